//! Which modules are loaded, under both of their names: `rewrite_module` and `mod_rewrite.c`.

use std::collections::BTreeSet;

/// The MPMs by the stem of their source files.
const MPMS: [&str; 3] = ["event", "worker", "prefork"];

/// The modules of a configuration, in the order of reading.
#[derive(Debug, Clone, Default)]
pub struct Modules {
    /// `rewrite`, `mpm_event`
    stems: BTreeSet<String>,
    all: bool,
}

impl Modules {
    /// The compiled-in ones, by their source files.
    pub fn compiled_in(files: &[String]) -> Modules {
        Modules { stems: files.iter().filter_map(|file| stem(file)).collect(), all: false }
    }

    /// As if every module was loaded: for a piece of a configuration that loads none.
    pub fn all() -> Modules {
        Modules { stems: BTreeSet::new(), all: true }
    }

    /// `LoadModule NAME`
    pub fn load(&mut self, name: &str) {
        self.stems.extend(stem(name));
    }

    /// The module with this identifier or source file is there.
    pub fn has(&self, name: &str) -> bool {
        self.all || stem(name).is_some_and(|stem| self.stems.contains(&stem))
    }

    /// `event`, `worker` or `prefork`; `None` in a piece of a configuration.
    pub fn mpm(&self) -> Option<&'static str> {
        MPMS.into_iter().find(|mpm| self.stems.contains(&format!("mpm_{mpm}")))
    }
}

/// `rewrite` of `rewrite_module`, of `mod_rewrite.c` and of `mod_rewrite.rs`.
fn stem(name: &str) -> Option<String> {
    if let Some(stem) = name.strip_suffix("_module") {
        return Some(stem.to_owned());
    }
    let file = name.rsplit_once('.').map(|(file, _)| file)?;
    Some(match file {
        "http_core" => "http".to_owned(),
        mpm if MPMS.contains(&mpm) => format!("mpm_{mpm}"),
        _ => file.strip_prefix("mod_").unwrap_or(file).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_names() {
        let files = ["core.c", "mod_so.c", "http_core.c"].map(str::to_owned);
        let mut modules = Modules::compiled_in(&files);
        modules.load("mpm_event_module");
        modules.load("rewrite_module");
        for name in ["core.c", "so_module", "http_module", "event.c", "mod_rewrite.c"] {
            assert!(modules.has(name), "{name}");
        }
        for name in ["mod_ssl.c", "ssl_module", "rewrite", "prefork.c"] {
            assert!(!modules.has(name), "{name}");
        }
        assert_eq!(modules.mpm(), Some("event"));
        assert!(Modules::all().has("mod_ssl.c"));
        assert_eq!(Modules::all().mpm(), None);
    }
}
