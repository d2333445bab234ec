//! Apache configuration without httpd: read as httpd reads it, and asked as httpd asks it.
//!
//! [`Config::read`] follows `Include`, `Define`, `<IfModule>` and macros. [`Config::server`] finds
//! the virtual host of a request and [`Config::scope`] what holds there: the same sections in the
//! same order, and our directives through the module's own table and merges. What only a running
//! httpd can know is said, not guessed.

mod access;
mod conditional;
mod config;
mod defines;
pub mod expression;
mod include;
mod installed;
mod modules;
pub mod pattern;
pub mod proxy;
mod read;
mod scope;
mod section;
mod server;
mod syntax;
mod words;

pub use config::Config;
pub use modules::Modules;
pub use pattern::Pattern;
pub use read::{Options, Skipped};
pub use scope::{Conditions, Effective};
pub use section::{Kind, Section};
pub use server::{Address, Server};
pub use syntax::{Directive, Place, Problem};
pub use words::words;
