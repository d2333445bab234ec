//! What the two sides of a tunnel are to the code between them.

use std::io::Result;
use std::os::fd::{AsFd, OwnedFd};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::{TcpStream, UnixStream};

/// A byte stream: TCP, Unix, or TLS over one of them.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {
    /// From now on the runtime that is entered wakes the task that waits for this stream. No byte is
    /// lost; if it fails, the runtime of before still does.
    ///
    /// # Errors
    /// No descriptor is left.
    fn move_here(&mut self) -> Result<()>;
}

impl Io for TcpStream {
    fn move_here(&mut self) -> Result<()> {
        *self = TcpStream::from_std(duplicate(self)?.into())?;
        Ok(())
    }
}

impl Io for UnixStream {
    fn move_here(&mut self) -> Result<()> {
        *self = UnixStream::from_std(duplicate(self)?.into())?;
        Ok(())
    }
}

/// A descriptor can be taken out of tokio by value only; what is at hand is a reference.
fn duplicate(socket: &impl AsFd) -> Result<OwnedFd> {
    socket.as_fd().try_clone_to_owned()
}

impl<T: Io> Io for tokio_rustls::client::TlsStream<T> {
    fn move_here(&mut self) -> Result<()> {
        self.get_mut().0.move_here()
    }
}

impl<T: Io + ?Sized> Io for Box<T> {
    fn move_here(&mut self) -> Result<()> {
        (**self).move_here()
    }
}

/// In memory: bound to no runtime.
impl Io for DuplexStream {
    fn move_here(&mut self) -> Result<()> {
        Ok(())
    }
}
