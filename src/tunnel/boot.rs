//! Waiting for a container that boots (`WsRouteTimeout boot=`).

use super::Plan;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long after the first attempt the second one comes; then longer, up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(100);
/// A container is looked at this often at least.
const LONGEST: Duration = Duration::from_secs(1);

/// The attempts at one container.
pub struct BootWait {
    until: Option<Instant>,
    next: Duration,
}

impl BootWait {
    /// `None`: there is no waiting at all.
    pub fn new(boot: Option<Duration>) -> BootWait {
        let until = boot.and_then(|boot| Instant::now().checked_add(boot));
        BootWait { until, next: FIRST }
    }

    /// `boot=` is there.
    pub fn is_configured(&self) -> bool {
        self.until.is_some()
    }

    /// Waits for the time of the next attempt. False if there is none: the time is over, or the
    /// client went away.
    pub async fn wait(&mut self, plan: &Plan) -> bool {
        let now = Instant::now();
        let Some(left) = self.until.map(|until| until.saturating_duration_since(now)) else {
            return false;
        };
        if left.is_zero() || (plan.client_is_gone)() {
            return false;
        }
        sleep(self.next.min(left)).await;
        self.next = (self.next * 3 / 2).min(LONGEST);
        true
    }
}
