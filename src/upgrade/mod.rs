//! What an upgrade to WebSocket is (RFC 6455 4.2.1, RFC 9110 7.8).

pub mod request;

pub use request::Request;
