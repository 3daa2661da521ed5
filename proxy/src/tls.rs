//! TLS toward clients and upstreams, with rustls and ring.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::uri::Authority;
use pkcs8::{EncryptedPrivateKeyInfo, SecretDocument};
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{VerifierBuilderError, WebPkiServerVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime,
};
use tokio_rustls::rustls::{
    self, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};
use tracing::warn;

use crate::connect::Configs;
use crate::settings::{Passphrase, ServerTls, TlsVersion, UpstreamTls};

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that cannot be read or holds no PEM of the kind.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// What cannot be a server's name.
    #[error("{name:?} is not a server name")]
    Name {
        /// The name.
        name: String,
    },
    /// Roots that certificates cannot be checked against.
    #[error(
        "no roots that certificates can be checked against, neither the system's nor in a file that is named"
    )]
    Roots(#[from] VerifierBuilderError),
    /// Certificate and key that do not fit, or another refusal of rustls.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

const TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12, &rustls::version::TLS13];
const TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// How https listeners speak TLS.
///
/// # Errors
/// Where a file is unreadable, or certificate and key do not fit.
pub fn server(tls: &ServerTls, http2: bool) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates(&tls.certificate)?;
    let key = match &tls.passphrase {
        Some(passphrase) => open(&tls.key, passphrase)?,
        None => PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| fault(&tls.key, &error))?,
    };
    let versions = match tls.least {
        TlsVersion::Tls12 => TLS12,
        TlsVersion::Tls13 => TLS13,
    };
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = alpn(http2);
    Ok(Arc::new(config))
}

/// How a client speaks TLS with HTTP/1.1, to servers whose certificate the roots in a file vouch for; the system's roots
/// where there is none.
///
/// # Errors
/// Where the file is unreadable, or there are no roots.
pub fn client(roots_file: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    let mut config = connector(Check::As(web(roots_file)?, None))?;
    config.alpn_protocols = alpn(false);
    Ok(Arc::new(config))
}

/// How https upstreams are spoken to.
///
/// # Errors
/// Where the file of roots is unreadable, or there are no roots.
pub(crate) fn clients(tls: &UpstreamTls) -> Result<Configs, TlsError> {
    let name = tls.verify_name.as_deref().map(name_of).transpose()?;
    let check = if tls.verify { Check::As(web(tls.roots.as_deref())?, name) } else { Check::Nothing };
    let mut config = connector(check)?;
    let mut offering = |protocols: &[&[u8]]| {
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(config.clone())
    };
    Ok(Configs {
        http1: offering(&[b"http/1.1"]),
        http2: offering(&[b"h2"]),
        either: offering(&[b"h2", b"http/1.1"]),
    })
}

fn connector(check: Check) -> Result<ClientConfig, TlsError> {
    let provider = provider();
    let verifier = Verifier { check, provider: Arc::clone(&provider) };
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(TLS12)?.dangerous();
    Ok(builder.with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

fn web(roots_file: Option<&Path>) -> Result<Arc<WebPkiServerVerifier>, TlsError> {
    let roots = Arc::new(roots(roots_file)?);
    Ok(WebPkiServerVerifier::builder_with_provider(roots, provider()).build()?)
}

/// The name sent to an upstream.
///
/// # Errors
/// Where it cannot stand in a certificate.
pub(crate) fn server_name(tls: &UpstreamTls, upstream: &Authority) -> Result<ServerName<'static>, TlsError> {
    let host = upstream.host().trim_start_matches('[').trim_end_matches(']');
    name_of(tls.server_name.as_deref().unwrap_or(host))
}

fn name_of(name: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(name.to_owned()).map_err(|_| TlsError::Name { name: name.to_owned() })
}

/// An encrypted key in PKCS #8, as OpenSSL writes it.
fn open(path: &Path, passphrase: &Passphrase) -> Result<PrivateKeyDer<'static>, TlsError> {
    let fault = |reason: String| TlsError::File { path: path.to_owned(), reason };
    let passphrase = match passphrase {
        Passphrase::Text(text) => text.clone(),
        Passphrase::Environment(name) => std::env::var(name)
            .map_err(|error| fault(format!("its passphrase, environment variable {name}: {error}")))?,
        Passphrase::File(file) => std::fs::read_to_string(file)
            .map_err(|error| fault(format!("its passphrase, {}: {error}", file.display())))?
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned(),
    };
    let text = std::fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
    let (label, document) = SecretDocument::from_pem(&text).map_err(|error| fault(error.to_string()))?;
    if label != "ENCRYPTED PRIVATE KEY" {
        return Err(fault(
            "not an ENCRYPTED PRIVATE KEY (PKCS #8), yet tls-key-passphrase is given".to_owned(),
        ));
    }
    let locked = EncryptedPrivateKeyInfo::try_from(document.as_bytes());
    let locked = locked.map_err(|error| fault(error.to_string()))?;
    let key =
        locked.decrypt(passphrase).map_err(|_| fault("tls-key-passphrase does not open it".to_owned()))?;
    Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn alpn(http2: bool) -> Vec<Vec<u8>> {
    let offered: &[&[u8]] = if http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
    offered.iter().map(|protocol| protocol.to_vec()).collect()
}

fn roots(file: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    match file {
        Some(path) => {
            for certificate in certificates(path)? {
                store.add(certificate)?;
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            for error in &found.errors {
                warn!(%error, "a system root was not read");
            }
            store.add_parsable_certificates(found.certs);
        }
    }
    Ok(store)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).map_err(|error| fault(path, &error))?.collect();
    let found = found.map_err(|error| fault(path, &error))?;
    if found.is_empty() {
        return Err(TlsError::File { path: path.to_owned(), reason: "holds no certificate".to_owned() });
    }
    Ok(found)
}

fn fault(path: &Path, error: &rustls::pki_types::pem::Error) -> TlsError {
    TlsError::File { path: path.to_owned(), reason: error.to_string() }
}

/// Checks a server's certificate as far as it is to be checked; its signatures must be right in any case.
#[derive(Debug)]
struct Verifier {
    check: Check,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
enum Check {
    /// It must have this name, whichever was asked for (`tls-verify-servername`); else the one that was.
    As(Arc<WebPkiServerVerifier>, Option<ServerName<'static>>),
    /// Any will do (`tls-insecure-skip-verify`).
    Nothing,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        asked: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match &self.check {
            Check::As(web, name) => {
                let name = name.as_ref().unwrap_or(asked);
                web.verify_server_cert(end_entity, intermediates, name, ocsp_response, now)
            }
            Check::Nothing => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
