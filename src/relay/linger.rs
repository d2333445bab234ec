//! The end of a connection that was no tunnel.

use crate::net::Io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// How long the client may take to read our last bytes and to end its side.
const LINGER: Duration = Duration::from_secs(2);

/// Ends our side and waits until the client has ended its own, for two seconds at most: to close
/// while it still sends would take the bytes away that it has not read yet.
pub async fn linger(mut client: Box<dyn Io>) {
    let wait = async {
        client.shutdown().await?;
        let mut unread = [0; 512];
        while client.read(&mut unread).await? > 0 {}
        std::io::Result::Ok(())
    };
    // Whatever goes wrong, the connection ends now.
    let _ = timeout(LINGER, wait).await;
}
