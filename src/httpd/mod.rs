//! Safe wrappers over httpd's C interface. Nothing here decides anything about WebSockets.
//!
//! docs/safety.md collects the facts that the SAFETY lines rest on.

#[macro_use]
pub mod guard;

pub mod blocks;
pub mod connection;
pub mod cpu_clock;
pub mod errand;
pub mod expression;
pub mod filtered;
pub mod h2;
pub mod log;
pub mod log_record;
pub mod mod_ssl;
pub mod mpm;
mod network;
pub mod pool;
pub mod request;
pub mod revision;
pub mod seed;
pub mod sockets_folder;
pub mod suspended;
pub mod table;
pub mod unmap;
