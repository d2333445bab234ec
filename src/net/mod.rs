//! Byte streams, and the event loops below the sessions that relay them.
//!
//! A stream begins on tokio, which handshakes need. When a session begins to relay, its two [`Socket`]s
//! take a [`Seat`] in an [`EventLoop`]: a thread that does nothing but copy, with as little between the
//! kernel's word that a socket is readable and the read as can be.

mod event_loop;
mod io;
mod seat;
mod socket;

pub use event_loop::{EventLoop, LoopHandle};
pub use io::Io;
pub use seat::{Seat, Side};
pub use socket::Socket;
