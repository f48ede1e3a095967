//! The bytes of a connection, whatever carries them. Imports: nothing of ours.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

/// One connection, after its handshake if it has one.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    /// The state of TLS is a kilobyte; a connection without it should not carry the room for it.
    Tls(Box<TlsStream<Wire>>),
    Unix(UnixStream),
}

/// The socket below TLS. What TLS takes from us waits in a buffer of its own (64 KiB), so only here is
/// it seen whether the client takes anything.
#[derive(Debug)]
pub(super) struct Wire {
    socket: TcpStream,
    /// Bytes that the system has taken.
    sent: u64,
}

impl Stream {
    /// Returns how many bytes of TLS the system has taken so far; without TLS, what comes of writing says
    /// it.
    pub(super) fn sent(&self) -> Option<u64> {
        match self {
            Self::Tcp(_) | Self::Unix(_) => None,
            Self::Tls(inner) => Some(inner.get_ref().0.sent),
        }
    }
}

impl Wire {
    pub(super) fn new(socket: TcpStream) -> Self {
        Self { socket, sent: 0 }
    }

    fn count(&mut self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = written {
            self.sent += *bytes as u64;
        }
    }
}

/// Asks whatever carries the bytes.
macro_rules! forward {
    ($stream:expr, $inner:ident => $ask:expr) => {
        match $stream.get_mut() {
            Stream::Tcp($inner) => $ask,
            Stream::Tls($inner) => $ask,
            Stream::Unix($inner) => $ask,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        forward!(self, inner => Pin::new(inner).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        forward!(self, inner => Pin::new(inner).poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, inner => Pin::new(inner).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, inner => Pin::new(inner).poll_shutdown(cx))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(inner) => inner.is_write_vectored(),
            Self::Tls(inner) => inner.is_write_vectored(),
            Self::Unix(inner) => inner.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        forward!(self, inner => Pin::new(inner).poll_write_vectored(cx, buffers))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.count(&written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, buffers);
        self.count(&written);
        written
    }
}
