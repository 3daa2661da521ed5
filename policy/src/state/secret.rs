//! The secret behind tokens and keys, from which each gets a key of its own.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A secret of the installation. It is never shown.
#[derive(Clone)]
pub struct Secret([u8; 32]);

impl Secret {
    /// Makes one of whatever the operator has: the same bytes make the same secret.
    pub fn new(material: &[u8]) -> Self {
        Self(mac(b"portcullis policy", &[material]))
    }

    /// The key for `purpose`.
    pub(crate) fn key(&self, purpose: &str) -> [u8; 32] {
        mac(&self.0, &[purpose.as_bytes()])
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// HMAC-SHA256 of `parts`, one after the other.
pub(crate) fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC takes keys of any length: there is nothing that could fail.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}
