//! A resolver between its declaration and its first use.

use crate::route::{CachedResolver, ResolverConfig};
use std::sync::{Arc, OnceLock};

/// One `WsRouteResolver`: declared in the parent, started in the child at its first use.
pub struct Declared {
    config: ResolverConfig,
    running: OnceLock<Arc<CachedResolver>>,
}

impl Declared {
    /// A resolver that is not started yet.
    pub fn new(config: ResolverConfig) -> Arc<Declared> {
        Arc::new(Declared { config, running: OnceLock::new() })
    }

    /// The running resolver. Must be called inside a runtime.
    pub fn running(&self) -> Arc<CachedResolver> {
        self.running.get_or_init(|| self.config.build()).clone()
    }
}
