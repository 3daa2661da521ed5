//! Taking the address.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_config::{HostPort, Mode, RpcAddress};
use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixSocket, UnixStream, lookup_host};
use tokio::time::timeout;

use crate::listen::stream::Stream;

/// How long to wait for the owner of a socket file; one whose backlog is full is there all the same.
const PROBE: Duration = Duration::from_secs(1);

/// A taken address.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
}

#[derive(Debug)]
enum Socket {
    Unix { listener: UnixListener, file: SocketFile },
    Tcp(TcpListener),
}

/// Why the address can not be taken.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BindError {
    /// Another process answers there.
    #[error("another agent is listening on {}", path.display())]
    Live {
        /// The socket.
        path: PathBuf,
    },
    /// Something other than a socket is there.
    #[error("{} exists and is not a socket", path.display())]
    NotASocket {
        /// The file.
        path: PathBuf,
    },
    /// The folder of the socket is missing.
    #[error("folder {} does not exist", folder.display())]
    NoFolder {
        /// The folder.
        folder: PathBuf,
    },
    /// The system refuses a step.
    #[error("cannot {step} {address}")]
    System {
        /// The step.
        step: &'static str,
        /// The address.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Takes `address`; a unix socket gets the permission bits `mode`, and replaces a file that nobody answers at.
///
/// # Errors
///
/// When something else is there, or the system refuses.
pub async fn bind(address: &RpcAddress, mode: Mode, backlog: u32) -> Result<Listener, BindError> {
    let socket = match address {
        RpcAddress::Unix(path) => unix(path, mode, backlog).await?,
        RpcAddress::Tcp(address) => Socket::Tcp(tcp(address, backlog).await?),
    };
    Ok(Listener { socket })
}

impl Listener {
    /// The address in the form in which it is configured.
    pub fn address(&self) -> String {
        match &self.socket {
            Socket::Unix { file, .. } => format!("unix:{}", file.path.display()),
            Socket::Tcp(listener) => {
                listener.local_addr().map_or_else(|_| "tcp".to_owned(), |addr| addr.to_string())
            }
        }
    }

    /// Waits for a connection.
    pub(super) async fn accept(&mut self) -> io::Result<Stream> {
        match &self.socket {
            Socket::Unix { listener, .. } => Ok(Stream::Unix(listener.accept().await?.0)),
            Socket::Tcp(listener) => tcp_stream(listener.accept().await?.0),
        }
    }

    /// Gives the address up, and hands over what had connected by then.
    pub(super) fn close(self) -> Vec<Stream> {
        match self.socket {
            Socket::Unix { listener, file } => {
                file.remove();
                waiting(listener.into_std(), |listener| {
                    let (stream, _) = listener.accept()?;
                    stream.set_nonblocking(true)?;
                    UnixStream::from_std(stream).map(Stream::Unix)
                })
            }
            Socket::Tcp(listener) => waiting(listener.into_std(), |listener| {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(true)?;
                tcp_stream(tokio::net::TcpStream::from_std(stream)?)
            }),
        }
    }
}

/// Connections in the backlog. The listener does not block, so the first that is not there ends the list.
fn waiting<L>(listener: io::Result<L>, accept: impl Fn(&L) -> io::Result<Stream>) -> Vec<Stream> {
    match listener {
        Ok(listener) => std::iter::from_fn(|| accept(&listener).ok()).collect(),
        Err(_) => Vec::new(),
    }
}

async fn unix(path: &Path, mode: Mode, backlog: u32) -> Result<Socket, BindError> {
    let failed = |step| {
        let address = path.display().to_string();
        move |source| BindError::System { step, address, source }
    };
    clear(path).await?;
    let socket = UnixSocket::new_stream().map_err(failed("open"))?;
    socket.bind(path).map_err(failed("bind"))?;
    // Before the first connection is possible: to a module that runs as another user the socket is there or not, never
    // there and forbidden.
    fs::set_permissions(path, Permissions::from_mode(mode.0)).map_err(failed("set the mode of"))?;
    let listener = socket.listen(backlog).map_err(failed("listen on"))?;
    let file = SocketFile::at(path).map_err(failed("look at"))?;
    Ok(Socket::Unix { listener, file })
}

/// Makes room for a socket at `path`.
async fn clear(path: &Path) -> Result<(), BindError> {
    let failed = |step, source| BindError::System { step, address: path.display().to_string(), source };
    let kind = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            return match folder.filter(|folder| !folder.exists()) {
                Some(folder) => Err(BindError::NoFolder { folder: folder.to_owned() }),
                None => Ok(()),
            };
        }
        Err(error) => return Err(failed("look at", error)),
    };
    if !kind.is_socket() {
        return Err(BindError::NotASocket { path: path.to_owned() });
    }
    match timeout(PROBE, UnixStream::connect(path)).await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|error| failed("replace", error))
        }
        Ok(Err(error)) => Err(failed("probe", error)),
        Ok(Ok(_)) | Err(_) => Err(BindError::Live { path: path.to_owned() }),
    }
}

async fn tcp(address: &HostPort, backlog: u32) -> Result<TcpListener, BindError> {
    let failed = |step| {
        let address = address.to_string();
        move |source| BindError::System { step, address, source }
    };
    let resolved = match address.socket_addr() {
        Some(resolved) => resolved,
        None => lookup_host((address.host.as_str(), address.port))
            .await
            .and_then(|mut found| found.next().ok_or_else(|| io::ErrorKind::NotFound.into()))
            .map_err(failed("resolve"))?,
    };
    let socket = if resolved.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(failed("open"))?;
    socket.set_reuseaddr(true).map_err(failed("open"))?;
    socket.bind(resolved).map_err(failed("bind"))?;
    socket.listen(backlog).map_err(failed("listen on"))
}

fn tcp_stream(stream: tokio::net::TcpStream) -> io::Result<Stream> {
    // A reply is one short segment, and nothing follows it.
    stream.set_nodelay(true)?;
    Ok(Stream::Tcp(stream))
}

/// The file that a unix socket leaves behind.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(Self { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() })
    }

    /// Removes the file, unless another agent has put its own in its place.
    fn remove(&self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == (self.device, self.inode));
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "cannot remove the socket");
        }
    }
}
