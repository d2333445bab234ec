//! The connection to a Redis server: one for each runtime, shared by all its questions, and made
//! anew when there is the least doubt about it.

use std::sync::Arc;

use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;

use super::RedisConfig;
use crate::net::Io;
use crate::route::resolver::cause::one_line;
use crate::route::resolver::dial::{dial, reason};
use crate::route::resolver::per_runtime::PerRuntime;
use crate::upstream::{Address, Connected, policy, tls};

/// The links of a resolver.
#[derive(Default)]
pub struct Links {
    slots: PerRuntime<Slot>,
}

/// A link, or one that somebody is making.
type Slot = Arc<OnceCell<Link>>;

/// A connection, and the task that serves it; the task ends with it.
struct Link {
    connection: MultiplexedConnection,
    driver: JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// One question's use of a link. Unless it proves the link good, the next question makes a new
/// one: an answer that nobody waited for may mean that the server is gone. Other questions that
/// are under way keep theirs.
pub struct Use<'a> {
    links: &'a Links,
    slot: Slot,
    /// The link had been made before.
    pub kept: bool,
    good: bool,
}

impl Links {
    /// Begins a question on this runtime's link.
    pub fn begin(&self) -> Use<'_> {
        let Ok(slot) = self.slots.get(|| Ok::<_, std::convert::Infallible>(Slot::default()));
        Use { links: self, kept: slot.initialized(), slot, good: false }
    }
}

impl Use<'_> {
    /// The connection, made now if need be.
    ///
    /// # Errors
    /// Why there is none, as one line that names no server.
    pub async fn connection(&self, config: &RedisConfig) -> Result<MultiplexedConnection, String> {
        let link = self.slot.get_or_try_init(|| open(config)).await?;
        Ok(link.connection.clone())
    }

    /// The server has answered.
    pub fn proved_good(mut self) {
        self.good = true;
    }
}

impl Drop for Use<'_> {
    fn drop(&mut self) {
        if !self.good {
            self.links.slots.retain(|slot| !Arc::ptr_eq(slot, &self.slot));
        }
    }
}

async fn open(config: &RedisConfig) -> Result<Link, String> {
    let connected = dial(&config.address).await?;
    let io: Box<dyn Io> = match config.tls {
        false => connected.io,
        true => shake_hands(connected, config).await?,
    };
    // The deadline is around all of this.
    let unhurried = AsyncConnectionConfig::new().set_response_timeout(None);
    let made = MultiplexedConnection::new_with_config(&config.login, io, unhurried).await;
    let (connection, driver) = made.map_err(|e| one_line(&e.to_string()))?;
    Ok(Link { connection, driver: tokio::spawn(driver) })
}

async fn shake_hands(connected: Connected, config: &RedisConfig) -> Result<Box<dyn Io>, String> {
    let host = match &config.address {
        Address::Tcp { host, .. } => host,
        Address::Unix(_) => "localhost",
    };
    let trust = tls::Trust {
        name: policy::server_name(host)?,
        verify: !config.trust.unverified,
        pin: None,
        settings: &config.trust.settings,
    };
    tls::handshake(connected, trust).await.map_err(reason)
}
