//! SESSION-FIXATION: a session's identifier handed over where the framework never puts it.
//!
//! Catches the names of cookies that frameworks set and read as cookies only (`laravel_session`, `_rails_session`,
//! `koa.sess`, `__Host-next-auth.session-token`, `ASPSESSIONID...`) as names of parameters.
//!
//! Deliberately misses: `PHPSESSID`, `jsessionid`, `sessionid` and `sid`, which applications do carry in links.
//!
//! False-positive risk: an endpoint that takes another site's cookie as a parameter. Vectors:
//! `vectors/request/session.jsonl`.

use crate::budget::Steps;
use crate::detectors::Detector;
use crate::features::Features;
use crate::scan::starts_with_ignore_case;
use crate::signal::{Location, Tag};
use crate::value::{Finding, Part, Value};

/// The detector's row in the table.
pub(crate) const DETECTOR: Detector =
    Detector { name: "session", words: &["sess"], possible: |_: Features, word| word, inspect };

fn inspect(value: &Value<'_>, _steps: &mut Steps) -> Option<Finding> {
    let parameter = matches!(value.field.location, Location::QueryString | Location::Post);
    if !parameter || value.field.part != Part::Name {
        return None;
    }
    let name = value.bytes;
    let known = NAMES.iter().any(|known| name.eq_ignore_ascii_case(known)) || is_classic_asp(name);
    known.then_some(Finding {
        tag: Tag::SessionFixation,
        detector: "SESSION-COOKIE-NAME",
        span: 0..name.len(),
    })
}

const NAMES: [&[u8]; 17] = [
    b"laravel_session",
    b"ci_session",
    b"_rails_session",
    b"_session_id",
    b"rack.session",
    b"_flask_session",
    b"koa.sess",
    b"koa:sess",
    b"koa.sess.sig",
    b"koa:sess.sig",
    b"express.sess",
    b"asp.net_sessionid",
    b"weblogicsession",
    b"next-auth.session-token",
    b"__secure-next-auth.session-token",
    b"__host-next-auth.session-token",
    b"__secure-authjs.session-token",
];

/// `ASPSESSIONID` with the letters that the server adds.
fn is_classic_asp(name: &[u8]) -> bool {
    let rest = name.get(b"aspsessionid".len()..).unwrap_or_default();
    starts_with_ignore_case(name, b"aspsessionid") && rest.iter().all(u8::is_ascii_alphabetic)
}
