//! The names of signals: those that the engine raises, those that only policies and consoles know, and an operator's own.

use portcullis_detect::{Patch, Tag};

/// The name of a signal as it is always written: `SQLI`, `CVE-2021-44228`, `site.scraper`. None where there is no such
/// signal. Names of the newer interface become those of the older.
pub(crate) fn canonical(name: &str) -> Option<String> {
    let name = name.trim();
    for (start, ours) in SCOPES {
        let rest = name
            .get(..start.len())
            .filter(|head| head.eq_ignore_ascii_case(start))
            .and_then(|_| name.get(start.len()..));
        if let Some(rest) = rest {
            return is_own(rest).then(|| format!("{ours}{rest}"));
        }
    }
    let upper = name.to_ascii_uppercase();
    if let Some(tag) = Tag::ALL.iter().find(|tag| tag.as_str() == upper) {
        return Some(tag.as_str().to_owned());
    }
    if let Some(known) = OTHERS.iter().find(|known| known.eq_ignore_ascii_case(name)) {
        return Some((*known).to_owned());
    }
    if upper.starts_with("CVE-") {
        return Patch::find(&upper)
            .map(|patch| patch.id.to_owned())
            .or_else(|| is_cve(&upper).then_some(upper));
    }
    let is_family = FAMILIES.iter().any(|family| upper.strip_prefix(family).is_some_and(is_own));
    is_family.then_some(upper)
}

/// Whether an operator's signal can be called so, behind `site.` or `corp.`.
pub(crate) fn is_own(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !name.is_empty() && name.len() <= 64 && name.bytes().all(is_letter)
}

fn is_cve(name: &str) -> bool {
    let mut parts = name.split('-').skip(1);
    let is_number = |part: Option<&str>| {
        part.is_some_and(|part| part.len() >= 4 && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    is_number(parts.next()) && is_number(parts.next())
}

const SCOPES: &[(&str, &str)] =
    &[("site.", "site."), ("corp.", "corp."), ("workspace.", "site."), ("account.", "corp.")];
const FAMILIES: &[&str] =
    &["VERIFIED-BOT.", "SUSPECTED-BOT.", "SUSPECTED-BAD-BOT.", "RSRC-ID-ENUM-", "USER-ID-ENUM-"];
/// Signals that exist beside the engine's.
const OTHERS: &[&str] = &[
    "2FA-CHANGED",
    "2FA-DISABLED",
    "ADDRESS-CHANGED",
    "ALL-REQUESTS",
    "ALLOWED",
    "API-SPEC-MISMATCH",
    "BLOCKED",
    "BOT-ANALYSIS",
    "CC-VAL-ATTEMPT",
    "CC-VAL-FAILURE",
    "CC-VAL-SUCCESS",
    "CHALLENGE-INVALID",
    "CHALLENGE-TOKEN-INVALID",
    "CHALLENGE-TOKEN-VALID",
    "CHALLENGED",
    "CLIENTSIDE-COOKIE-VALID",
    "DATACENTER",
    "DECEPTION",
    "EMAIL-CHANGED",
    "EMAIL-VALIDATION",
    "FASTLY-UNKNOWN-BACKEND",
    "GC-VAL-ATTEMPT",
    "GC-VAL-FAILURE",
    "GC-VAL-SUCCESS",
    "IMPOSTOR",
    "INFO-VIEWED",
    "INVITE-ATTEMPT",
    "INVITE-FAILURE",
    "INVITE-SUCCESS",
    "KBA-CHANGED",
    "LOGINATTEMPT",
    "LOGINDISCOVERY",
    "LOGINFAILURE",
    "LOGINSUCCESS",
    "MESSAGE-SENT",
    "PW-CHANGED",
    "PW-RESET-ATTEMPT",
    "PW-RESET-FAILURE",
    "PW-RESET-SUCCESS",
    "REGATTEMPT",
    "REGFAILURE",
    "REGSUCCESS",
    "SANS",
    "SIGSCI-IP",
    "SITE-FLAGGED-IP",
    "TORNODE",
    "VERIFIED-BOT",
    "WRONG-API-CLIENT",
    "rate-limit",
];

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn knows_every_kind_of_signal() {
        for (name, known) in [
            ("sqli", "SQLI"),
            ("site.My-Signal", "site.My-Signal"),
            ("workspace.x", "site.x"),
            ("account.x", "corp.x"),
            ("loginfailure", "LOGINFAILURE"),
            ("CVE-2021-44228", "CVE-2021-44228"),
            ("cve-2031-12345", "CVE-2031-12345"),
            ("VERIFIED-BOT.AI-CRAWLER", "VERIFIED-BOT.AI-CRAWLER"),
            ("rate-limit", "rate-limit"),
        ] {
            assert_eq!(canonical(name).as_deref(), Some(known));
        }
        for name in ["", "SQLLI", "site.", "site.a b", "CVE-1", "foo.bar"] {
            assert_eq!(canonical(name), None, "{name}");
        }
    }
}
