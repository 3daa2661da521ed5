//! A connection over either kind of socket.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A connection.
#[derive(Debug)]
pub(super) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Stream {
    /// Adds to `buffer` what arrives next, at most `most` bytes, and leaves it in the socket: a process that is killed
    /// resets its connections then, where it would close them as if all were said. One module waits for ever for an
    /// answer that a closed connection owes.
    ///
    /// Until something arrives no memory is held: idle connections cost nothing.
    pub(super) async fn peek(&self, buffer: &mut Vec<u8>, most: usize) -> io::Result<usize> {
        let before = buffer.len();
        loop {
            self.readable().await?;
            buffer.resize(before + most, 0);
            let target = buffer.get_mut(before..).unwrap_or_default();
            let peeked = match self {
                Self::Unix(stream) => stream.try_io(Interest::READABLE, || peek(stream, target)),
                Self::Tcp(stream) => stream.try_io(Interest::READABLE, || peek(stream, target)),
            };
            buffer.truncate(before + peeked.as_ref().map_or(0, |peeked| *peeked));
            match peeked {
                // Readiness is a guess.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => buffer.shrink_to_fit(),
                peeked => return peeked,
            }
        }
    }

    /// Takes `bytes` that were seen out of the socket.
    pub(super) async fn discard(&mut self, bytes: usize) -> io::Result<()> {
        let mut scratch = vec![0; bytes];
        self.read_exact(&mut scratch).await.map(drop)
    }

    async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.readable().await,
            Self::Tcp(stream) => stream.readable().await,
        }
    }
}

fn peek(socket: impl AsFd, target: &mut [u8]) -> io::Result<usize> {
    let (peeked, _) = recv(socket, target, RecvFlags::PEEK | RecvFlags::DONTWAIT)?;
    Ok(peeked)
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Unix(stream) => stream.is_write_vectored(),
            Self::Tcp(stream) => stream.is_write_vectored(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn leaves_what_it_has_seen_until_told_to_take_it() {
        let (mut near, far) = UnixStream::pair().unwrap();
        let mut far = Stream::Unix(far);
        let mut seen = Vec::new();
        near.write_all(b"first").await.unwrap();
        assert_eq!(far.peek(&mut seen, 4096).await.unwrap(), 5);
        far.discard(5).await.unwrap();
        near.write_all(b" second").await.unwrap();
        assert_eq!(far.peek(&mut seen, 3).await.unwrap(), 3);
        assert_eq!(seen, b"first se");
        let mut rest = String::new();
        drop(near);
        far.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, " second");
    }

    #[tokio::test]
    async fn resets_its_peer_when_it_ends_without_an_answer() {
        let (mut near, far) = UnixStream::pair().unwrap();
        let far = Stream::Unix(far);
        near.write_all(b"asked").await.unwrap();
        far.peek(&mut Vec::new(), 4096).await.unwrap();
        drop(far);
        let error = near.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}
