//! Safe wrappers over httpd's C interface. Nothing here decides anything about WebSockets.
//!
//! Facts that many SAFETY lines rest on are numbered in docs/safety.md.

#[macro_use]
pub mod guard;

pub mod connection;
pub mod expression;
pub mod filtered;
pub mod h2;
pub mod log;
pub mod mpm;
pub mod pool;
pub mod request;
