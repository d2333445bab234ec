//! Whether mpm_event leaves room for suspended connections: the arithmetic, for the module at its
//! start and for `wsroutectl lint`.

/// httpd's own `AsyncRequestWorkerFactor`.
pub const DEFAULT_FACTOR: f64 = 2.0;
/// Below this factor a child stops accepting after a few hundred WebSockets.
const ENOUGH: f64 = 20.0;

/// What bounds the connections of mpm_event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Headroom {
    /// `AsyncRequestWorkerFactor`
    pub factor: f64,
    /// `ThreadsPerChild`
    pub threads: u32,
    /// How many children `MaxRequestWorkers` needs.
    pub children: u32,
    /// `ServerLimit`
    pub server_limit: u32,
}

impl Headroom {
    /// Connections that one child takes while all its workers are idle:
    /// `ThreadsPerChild + AsyncRequestWorkerFactor x idle workers`.
    pub fn per_child(&self) -> f64 {
        f64::from(self.threads) * (self.factor + 1.0)
    }

    /// Connections that all children take.
    pub fn total(&self) -> f64 {
        self.per_child() * f64::from(self.children)
    }

    /// What is said at `AsyncRequestWorkerFactor`, if it is too small.
    pub fn factor_warning(&self) -> Option<String> {
        (self.factor < ENOUGH).then(|| {
            format!(
                "AsyncRequestWorkerFactor is {}: a child takes at most {:.0} connections, \
                 WebSockets included, and then no HTTP request either; set it to 300 as \
                 conf/wsroute.conf does",
                self.factor,
                self.per_child()
            )
        })
    }

    /// What is said at `ServerLimit`, if no slot is left for children that drain.
    pub fn limit_warning(&self) -> Option<String> {
        (self.server_limit <= self.children).then(|| {
            format!(
                "ServerLimit is {} and MaxRequestWorkers needs as many as {}: after a graceful \
                 restart no new child can start while WebSockets live in the old ones; raise \
                 ServerLimit as conf/wsroute.conf does",
                self.server_limit, self.children
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room() {
        let debian = Headroom { factor: 2.0, threads: 25, children: 6, server_limit: 16 };
        assert_eq!((debian.per_child(), debian.total()), (75.0, 450.0));
        assert!(debian.factor_warning().unwrap().contains("at most 75 connections"));
        assert_eq!(debian.limit_warning(), None);
        let ours = Headroom { factor: 300.0, server_limit: 6, ..debian };
        assert_eq!((ours.per_child(), ours.factor_warning()), (7525.0, None));
        assert!(ours.limit_warning().unwrap().contains("needs as many as 6"));
    }
}
