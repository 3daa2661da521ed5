//! WEAKTLS: protocols before TLS 1.2 and ciphers that are broken.

use crate::engine::Inspection;
use crate::request::Request;
use crate::scan;
use crate::signal::{Location, Tag};

/// Marks of ciphers without encryption, authentication or strength, as OpenSSL and IANA name them.
const CIPHERS: [&[u8]; 10] =
    [b"RC4", b"NULL", b"EXPORT", b"EXP-", b"DES", b"MD5", b"ANON", b"ADH", b"AECDH", b"RC2"];

pub(super) fn inspect(request: &Request<'_>, inspection: &mut Inspection<'_>) {
    if is_old(request.tls_protocol) {
        inspection.note(Tag::WeakTls, Location::Request, "TLS-PROTOCOL", request.tls_protocol);
    }
    if request.tls_cipher.is_empty() {
        return;
    }
    let upper = request.tls_cipher.to_ascii_uppercase();
    if CIPHERS.iter().any(|mark| scan::find(&upper, mark).is_some()) {
        inspection.note(Tag::WeakTls, Location::Request, "TLS-CIPHER", request.tls_cipher);
    }
}

/// Whether `protocol`, in any spelling, is SSL or TLS 1.0 or 1.1.
fn is_old(protocol: &[u8]) -> bool {
    let is_ssl = protocol.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(b"ssl"));
    let digits: Vec<u8> = protocol.iter().copied().filter(u8::is_ascii_digit).collect();
    is_ssl || !protocol.is_empty() && matches!(digits.as_slice(), b"1" | b"10" | b"11")
}
