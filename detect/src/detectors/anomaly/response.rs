//! What a response's status says: HTTP4XX and its kin, and FORCEFULBROWSING.

use crate::engine::Inspection;
use crate::request::Response;
use crate::scan::starts_with_ignore_case;
use crate::signal::{Location, Tag};

/// First segments of paths behind which administration lies.
const ADMIN: [&[u8]; 20] = [
    b"admin",
    b"administrator",
    b"wp-admin",
    b"phpmyadmin",
    b"pma",
    b"adminer",
    b"manager",
    b"console",
    b"jenkins",
    b"actuator",
    b"jmx-console",
    b"web-console",
    b"solr",
    b"cpanel",
    b"webadmin",
    b"server-status",
    b"server-info",
    b"management",
    b"druid",
    b"_admin",
];

pub(super) fn inspect(response: &Response<'_>, inspection: &mut Inspection<'_>) {
    let tag = match response.code {
        403 => Tag::Http403,
        404 => Tag::Http404,
        429 => Tag::Http429,
        500 => Tag::Http500,
        503 => Tag::Http503,
        code => match code / 100 {
            4 => Tag::Http4xx,
            5 => Tag::Http5xx,
            _ => return,
        },
    };
    inspection.note(tag, Location::Response, "STATUS", b"");
    if matches!(response.code, 401 | 403 | 404) && is_admin(response.target) {
        inspection.note(Tag::ForcefulBrowsing, Location::Path, "ADMIN-PATH", response.target);
    }
}

/// Whether the first or second segment of `target`'s path is an administration's.
fn is_admin(target: &[u8]) -> bool {
    let end = target.iter().position(|&byte| byte == b'?').unwrap_or(target.len());
    let path = target.get(..end).unwrap_or_default();
    path.split(|&byte| byte == b'/').filter(|segment| !segment.is_empty()).take(2).any(|segment| {
        ADMIN.iter().any(|name| {
            starts_with_ignore_case(segment, name)
                && segment.get(name.len()).is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-')
        })
    })
}
