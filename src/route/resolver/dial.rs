//! Connections to the services that resolvers ask. The deadline is around them.

use std::net::SocketAddr;
use std::path::Path;

use crate::upstream::connect::connect;
use crate::upstream::{Address, Connected, Permit, UpstreamError};

/// Connects to a service.
///
/// # Errors
/// Why that failed, as one line that does not name the service.
pub async fn dial(address: &Address) -> Result<Connected, String> {
    connect(address, None, &Configured).await.map_err(reason)
}

/// The error without its event word and the peer's name: these are a WebSocket upstream's.
pub fn reason(error: UpstreamError) -> String {
    let text = error.to_string();
    text.splitn(3, ": ").last().unwrap_or_default().to_owned()
}

/// The administrator wrote where the service is: `WsRouteAllow` is about what it answers.
struct Configured;

impl Permit for Configured {
    fn address(&self, _: &str, _: SocketAddr) -> bool {
        true
    }

    fn unix(&self, _: &Path) -> bool {
        true
    }
}
