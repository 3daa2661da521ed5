//! `envoy-grpc-cert` and `envoy-grpc-key`.

use portcullis_config::Settings;
use portcullis_proxy::{ServerTls, TlsError, TlsVersion, server_config};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

/// Why the server can not speak TLS.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsOptionError {
    /// One of the two is missing.
    #[error("{missing}: must be set where {set} is")]
    Half {
        /// What is missing.
        missing: &'static str,
        /// What is there.
        set: &'static str,
    },
    /// They can not be used.
    #[error("envoy-grpc-cert, envoy-grpc-key")]
    Unusable(#[from] TlsError),
}

/// What makes a connection a TLS one; none where the server speaks in the clear.
pub(super) fn acceptor(settings: &Settings) -> Result<Option<TlsAcceptor>, TlsOptionError> {
    let half = |missing, set| Err(TlsOptionError::Half { missing, set });
    let (certificate, key) = match (settings.envoy_grpc_cert.as_ref(), settings.envoy_grpc_key.as_ref()) {
        (None, None) => return Ok(None),
        (Some(_), None) => return half("envoy-grpc-key", "envoy-grpc-cert"),
        (None, Some(_)) => return half("envoy-grpc-cert", "envoy-grpc-key"),
        (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
    };
    let files = ServerTls { certificate, key, passphrase: None, least: TlsVersion::Tls12 };
    let config = server_config(&files, true)?;
    Ok(Some(config.into()))
}
