//! What the two sides of a tunnel are to the code between them.

use super::{Seat, Side};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::{TcpStream, UnixStream};

/// A byte stream: TCP, Unix, or TLS over one of them.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {
    /// From now on the event loop of `seat` wakes the task that waits for this stream. No byte is lost.
    fn take_seat(&mut self, seat: &Arc<Seat>, side: Side);
}

/// Woken from tokio's thread: [`Socket`](super::Socket) is the one for sessions.
impl Io for TcpStream {
    fn take_seat(&mut self, _: &Arc<Seat>, _: Side) {}
}

/// As for [`TcpStream`].
impl Io for UnixStream {
    fn take_seat(&mut self, _: &Arc<Seat>, _: Side) {}
}

/// In memory: whoever writes wakes.
impl Io for DuplexStream {
    fn take_seat(&mut self, _: &Arc<Seat>, _: Side) {}
}

impl<T: Io> Io for tokio_rustls::client::TlsStream<T> {
    fn take_seat(&mut self, seat: &Arc<Seat>, side: Side) {
        self.get_mut().0.take_seat(seat, side);
    }
}

impl<T: Io + ?Sized> Io for Box<T> {
    fn take_seat(&mut self, seat: &Arc<Seat>, side: Side) {
        (**self).take_seat(seat, side);
    }
}
