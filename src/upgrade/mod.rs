//! What an upgrade to WebSocket is (RFC 6455 4.2.1, RFC 9110 7.8), what its frames and its close
//! codes look like.

pub mod accept;
pub mod close;
pub mod detect;
pub mod frame;
pub mod path;
pub mod request;

pub use accept::accept;
pub use detect::{Detection, Malformed, detect};
pub use request::Request;
