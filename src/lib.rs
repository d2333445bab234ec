//! mod_wsroute: WebSockets to per-user containers, inside Apache httpd.
//!
//! A WebSocket walks through the folders once, from left to right:
//!
//! `module::handler` sees the request -> [`upgrade`] says whether it is one -> [`route`] says where
//! to -> [`upstream`] connects and shakes hands -> `module::handoff` takes the client out of
//! httpd -> [`relay`] moves bytes until a [`relay::Outcome`] -> `module::finish` gives the
//! connection back, logs, counts. Below [`upstream`] and [`relay`] lies [`net`]: sockets, and who waits for them.
//!
//! [`config`] holds what the directives say; [`apache`] reads them from httpd's files, for
//! `wsroutectl`. `ffi`, `httpd` and `module` know httpd and are behind the feature "httpd". The other folders know nothing of it, hold no unsafe code and are compiled
//! and tested without its headers.

#[forbid(unsafe_code)]
pub mod apache;
#[forbid(unsafe_code)]
pub mod config;
#[forbid(unsafe_code)]
pub mod net;
#[forbid(unsafe_code)]
pub mod relay;
#[forbid(unsafe_code)]
pub mod route;
#[forbid(unsafe_code)]
pub mod tunnel;
#[forbid(unsafe_code)]
pub mod upgrade;
#[forbid(unsafe_code)]
pub mod upstream;
#[forbid(unsafe_code)]
pub mod words;

#[cfg(feature = "httpd")]
#[allow(unsafe_code)]
mod ffi;
#[cfg(feature = "httpd")]
#[allow(unsafe_code)]
#[macro_use]
mod httpd;
#[cfg(feature = "httpd")]
#[allow(unsafe_code)]
mod module;
