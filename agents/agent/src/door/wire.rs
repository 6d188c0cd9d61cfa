//! The connection below TLS: it ends when the other side is silent, keeps little waiting in the kernel, and remembers how the other
//! side began, which is a notice in plain text when an engine has no room. What silence means is known to `dial`.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use rebar_proto::{MAX_NOTICE, read_notice};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_io_timeout::TimeoutStream;

/// Bytes that wait in the kernel to be sent. What waits there cannot be overtaken by a sign of life.
const UNSENT: u32 = 16 * 1024;

/// A connection.
#[derive(Debug)]
pub struct Wire {
    tcp: Pin<Box<TimeoutStream<TcpStream>>>,
    /// How the other side began, until that is known not to be a notice.
    beginning: Vec<u8>,
}

impl Wire {
    /// Takes over a connection. Reading fails when the other side says nothing for so long.
    pub fn new(tcp: TcpStream, silence: Duration) -> io::Result<Self> {
        tcp.set_nodelay(true)?;
        SockRef::from(&tcp).set_tcp_notsent_lowat(UNSENT)?;
        let mut tcp = TimeoutStream::new(tcp);
        tcp.set_read_timeout(Some(silence));
        Ok(Self { tcp: Box::pin(tcp), beginning: Vec::new() })
    }

    /// The local end.
    pub fn local_addr(&self) -> io::Result<std::net::SocketAddr> {
        self.tcp.get_ref().local_addr()
    }

    /// When the other side wants to be asked again, if that is all that it said.
    pub fn told_to_wait(&self) -> Option<Duration> {
        read_notice(&self.beginning)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = self.tcp.as_mut().poll_read(context, buffer);
        let room = MAX_NOTICE.saturating_sub(self.beginning.len());
        let fresh = &buffer.filled()[before..];
        self.beginning.extend_from_slice(&fresh[..fresh.len().min(room)]);
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.tcp.as_mut().poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp.as_mut().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp.as_mut().poll_shutdown(context)
    }
}
