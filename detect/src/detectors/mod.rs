//! The detectors: one language or idea a module.

mod anomaly;
mod backdoor;
mod cmdexe;
mod code;
mod crlf;
mod deser;
mod jndi;
mod ldap;
mod lines;
mod mail;
mod nosql;
mod oob;
mod prototype;
mod session;
mod smuggling;
mod sqli;
mod ssi;
mod ssrf;
mod ssti;
mod tools;
mod traversal;
mod xpath;
mod xss;
mod xxe;

pub(crate) use self::anomaly::{inspect_request, inspect_response};
use crate::budget::Steps;
use crate::features::Features;
use crate::value::{Finding, Value};

/// A detector that reads one decoded value at a time.
#[derive(Debug)]
pub(crate) struct Detector {
    /// The module, for tests and benches.
    #[allow(dead_code)]
    pub(crate) name: &'static str,
    /// Words that [`Detector::possible`] may ask for; found in any case, anywhere, for all detectors in one pass.
    pub(crate) words: &'static [&'static str],
    /// Whether a value with these features, and with one of `words` in it or not, can possibly fire. A false "no" is
    /// a bypass: a property test holds this against `inspect`.
    pub(crate) possible: fn(Features, bool) -> bool,
    /// Reads the value with the detector's lexer.
    pub(crate) inspect: fn(&Value<'_>, &mut Steps) -> Option<Finding>,
}

/// All value detectors, at most 64: their position is their bit in [`Features`].
pub(crate) const DETECTORS: &[Detector] = &[
    sqli::DETECTOR,
    xss::DETECTOR,
    cmdexe::DETECTOR,
    code::DETECTOR,
    traversal::DETECTOR,
    traversal::FOLDERS,
    traversal::private::DETECTOR,
    traversal::private::SECRETS,
    jndi::DETECTOR,
    xxe::DETECTOR,
    ssrf::DETECTOR,
    crlf::DETECTOR,
    mail::DETECTOR,
    smuggling::DETECTOR,
    nosql::DETECTOR,
    ldap::DETECTOR,
    xpath::DETECTOR,
    deser::DETECTOR,
    deser::gadgets::PLAIN,
    deser::gadgets::ENCODED,
    ssti::DETECTOR,
    ssi::DETECTOR,
    prototype::DETECTOR,
    session::DETECTOR,
    backdoor::DETECTOR,
    oob::DETECTOR,
    tools::AGENTS,
    tools::SCANNERS,
    tools::BOTS,
    tools::BAD_BOTS,
    tools::PROBES,
];
