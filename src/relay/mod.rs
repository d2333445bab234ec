//! The byte copying inside a tunnel.
