//! A socket that may leave tokio for a seat in an event loop.

use super::{Io, Seat, Side};
use libc::MSG_NOSIGNAL;
use socket2::Domain;
use std::io::{ErrorKind, IoSlice, Read, Result};
use std::mem;
use std::net::{self, Shutdown};
use std::os::fd::AsRawFd;
use std::os::unix;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// TCP or Unix, connected and not blocking.
#[derive(Debug)]
pub struct Socket(State);

#[derive(Debug)]
enum State {
    /// Known to tokio as soon as it is used there.
    Fresh(socket2::Socket),
    Tcp(TcpStream),
    Unix(UnixStream),
    Seated(Seated),
    /// It could not leave tokio.
    Lost,
}

#[derive(Debug)]
struct Seated {
    /// Before the socket: the loop lets go of it before it is closed.
    place: Place,
    socket: socket2::Socket,
}

#[derive(Debug)]
struct Place {
    seat: Arc<Seat>,
    side: Side,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.seat.leave(self.side);
    }
}

impl From<net::TcpStream> for Socket {
    fn from(socket: net::TcpStream) -> Socket {
        Socket(State::Fresh(socket.into()))
    }
}

impl From<unix::net::UnixStream> for Socket {
    fn from(socket: unix::net::UnixStream) -> Socket {
        Socket(State::Fresh(socket.into()))
    }
}

impl From<TcpStream> for Socket {
    fn from(socket: TcpStream) -> Socket {
        Socket(State::Tcp(socket))
    }
}

impl From<UnixStream> for Socket {
    fn from(socket: UnixStream) -> Socket {
        Socket(State::Unix(socket))
    }
}

impl Io for Socket {
    fn take_seat(&mut self, seat: &Arc<Seat>, side: Side) {
        let socket = match mem::replace(&mut self.0, State::Lost) {
            State::Fresh(socket) => Ok(socket),
            State::Tcp(tcp) => tcp.into_std().map(socket2::Socket::from),
            State::Unix(unix) => unix.into_std().map(socket2::Socket::from),
            State::Seated(Seated { socket, .. }) => Ok(socket),
            State::Lost => return,
        };
        if let Ok(socket) = socket {
            seat.take(side, socket.as_raw_fd());
            let place = Place { seat: seat.clone(), side };
            self.0 = State::Seated(Seated { place, socket });
        }
    }
}

impl Socket {
    /// Nothing can be read before the event loop has said so. Never where tokio has the socket.
    pub fn is_silent(&self) -> bool {
        matches!(&self.0, State::Seated(Seated { place, .. }) if !place.seat.is_readable(place.side))
    }

    /// As tokio has it.
    fn on_tokio(&mut self) -> Result<Pin<&mut dyn Io>> {
        if let State::Fresh(_) = self.0
            && let State::Fresh(socket) = mem::replace(&mut self.0, State::Lost)
        {
            self.0 = match socket.domain()? {
                Domain::UNIX => State::Unix(UnixStream::from_std(socket.into())?),
                _ => State::Tcp(TcpStream::from_std(socket.into())?),
            };
        }
        match &mut self.0 {
            State::Tcp(tcp) => Ok(Pin::new(tcp)),
            State::Unix(unix) => Ok(Pin::new(unix)),
            _ => Err(ErrorKind::NotConnected.into()),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        match &mut self.0 {
            State::Seated(seated) => seated.poll_read(buf),
            _ => self.on_tokio()?.poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        match &mut self.0 {
            State::Seated(seated) => {
                seated.poll_send(bytes.len(), |s| s.send_with_flags(bytes, MSG_NOSIGNAL))
            }
            _ => self.on_tokio()?.poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        match &mut self.0 {
            State::Seated(seated) => {
                let len = slices.iter().map(|slice| slice.len()).sum();
                seated.poll_send(len, |s| s.send_vectored_with_flags(slices, MSG_NOSIGNAL))
            }
            _ => self.on_tokio()?.poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match &mut self.0 {
            State::Seated(seated) => Poll::Ready(seated.shut_down()),
            _ => self.on_tokio()?.poll_shutdown(cx),
        }
    }
}

impl Seated {
    /// A peer that reset the connection has nothing to be told.
    fn shut_down(&self) -> Result<()> {
        match self.socket.shutdown(Shutdown::Write) {
            Err(e) if e.kind() == ErrorKind::NotConnected => Ok(()),
            done => done,
        }
    }

    /// A socket that is not ready is not asked: the loop gives the task a turn when it is.
    fn poll_read(&self, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let Place { seat, side } = &self.place;
        while seat.is_readable(*side) {
            let room = buf.initialize_unfilled();
            let offered = room.len();
            match (&self.socket).read(room) {
                Ok(n) => {
                    // Edge-triggered, and still no second call to be told that nothing is left: what comes
                    // after a read that was not full is an event of its own.
                    if 0 < n && n < offered {
                        seat.is_empty_now(*side);
                    }
                    buf.advance(n);
                    return Poll::Ready(Ok(()));
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    seat.may_wait(*side)?;
                    seat.is_empty_now(*side);
                    return Poll::Pending;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
        Poll::Pending
    }

    fn poll_send(
        &self,
        offered: usize,
        send: impl Fn(&socket2::Socket) -> Result<usize>,
    ) -> Poll<Result<usize>> {
        let Place { seat, side } = &self.place;
        while seat.is_writable(*side) {
            match send(&self.socket) {
                Ok(n) => {
                    if n < offered && seat.is_watched_for_writing(*side) {
                        seat.is_full_now(*side)?;
                    }
                    return Poll::Ready(Ok(n));
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    seat.is_full_now(*side)?;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn without_a_seat_it_is_tokios_of_either_kind() {
        let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let tcp = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (unix, far) = unix::net::UnixStream::pair().unwrap();
        tcp.set_nonblocking(true).unwrap();
        unix.set_nonblocking(true).unwrap();
        let far: [Box<dyn io::Write>; 2] = [Box::new(listener.accept().unwrap().0), Box::new(far)];
        for (mut socket, mut far) in [Socket::from(tcp), Socket::from(unix)].into_iter().zip(far) {
            socket.write_all(b"said").await.unwrap();
            far.write_all(b"x").unwrap();
            assert_eq!(socket.read_u8().await.unwrap(), b'x');
        }
    }
}
