//! Connecting to an upstream and shaking hands with it.

pub mod target;

pub use target::{Address, Target};
