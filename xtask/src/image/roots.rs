//! The roots that upstreams' certificates are checked against: Mozilla's, as of a fixed version of a crate.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

const LINE: usize = 64;

/// All of them as PEM.
pub(crate) fn pem() -> String {
    let mut text = String::new();
    for certificate in TLS_SERVER_ROOT_CERTS {
        text += "-----BEGIN CERTIFICATE-----\n";
        let encoded = STANDARD.encode(certificate);
        let mut rest = encoded.as_str();
        while !rest.is_empty() {
            let (line, after) = rest.split_at(rest.len().min(LINE));
            text += line;
            text += "\n";
            rest = after;
        }
        text += "-----END CERTIFICATE-----\n";
    }
    text
}
