//! One `WsRouteResolver` directive: pure data, parsed while httpd reads its configuration. What
//! it describes is built in the child.

use std::sync::Arc;
use std::time::Duration;

use super::Resolver;
use super::docker::{DockerConfig, DockerResolver};
use super::file::{FileConfig, FileResolver};
use super::http::{HttpConfig, HttpResolver};
use super::redis::{RedisConfig, RedisResolver};
use super::sql::SqlConfig;
use crate::route::cache::CachedResolver;
use crate::route::units::duration;

/// A resolver as configured: NAME TYPE LOCATOR [option=value...].
#[derive(Debug, Clone)]
pub struct ResolverConfig {
    /// What `WsRoute` calls it.
    pub name: String,
    /// The type and what belongs to it.
    pub kind: Kind,
    /// How long answers are good and errors are borne.
    pub times: Times,
}

/// The type of a resolver.
#[derive(Debug, Clone)]
pub enum Kind {
    /// `file PATH`
    File(FileConfig),
    /// `http URL`
    Http(HttpConfig),
    /// `redis URL`
    Redis(RedisConfig),
    /// `docker ENGINE`
    Docker(DockerConfig),
    /// `sql LOCATOR query="..." [option=value...]`
    Sql(SqlConfig),
}

/// `ttl= negative= stale= timeout=`, which every resolver takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    /// How long an answer is served without asking again. Zero (`off`): not at all.
    pub ttl: Duration,
    /// How long "unknown" is.
    pub negative: Duration,
    /// For how long after its `ttl` an answer stands in while the resolver is out of order.
    pub stale: Duration,
    /// When a resolver is late; `None`: never.
    pub timeout: Option<Duration>,
}

impl Default for Times {
    fn default() -> Times {
        Times {
            ttl: Duration::from_secs(2),
            negative: Duration::from_secs(1),
            stale: Duration::from_secs(30),
            timeout: Some(Duration::from_secs(2)),
        }
    }
}

impl ResolverConfig {
    /// Parses the arguments of `WsRouteResolver`: the name, and what follows it.
    ///
    /// # Errors
    /// What is wrong and what to write, as one line.
    pub fn parse<S: AsRef<str>>(name: &str, args: &[S]) -> Result<ResolverConfig, String> {
        if !is_resolver_name(name) {
            return Err(format!("bad resolver name {name:?}, use letters, digits, _ . and -"));
        }
        let args: Vec<&str> = args.iter().map(AsRef::as_ref).collect();
        let [kind, locator, ref options @ ..] = args[..] else {
            return Err("too few arguments, use NAME TYPE LOCATOR [option=value...]".into());
        };
        let mut times = Times::default();
        let mut rest = Vec::new();
        for (at, option) in options.iter().enumerate() {
            // It may be the second half of a secret: no quoting.
            let (key, value) = option.split_once('=').ok_or_else(|| {
                format!("option {} has no =, use option=value or option=\"two words\"", at + 1)
            })?;
            if !times.set(key, value)? {
                rest.push((key, value));
            }
        }
        let kind = match kind.to_ascii_lowercase().as_str() {
            "file" => Kind::File(FileConfig::parse(locator, &rest)?),
            "sql" => Kind::Sql(SqlConfig::parse(locator, &rest)?),
            "http" => Kind::Http(HttpConfig::parse(locator, &rest)?),
            "redis" => Kind::Redis(RedisConfig::parse(locator, &rest)?),
            "docker" => Kind::Docker(DockerConfig::parse(locator, &rest)?),
            _ => {
                return Err(format!("unknown type {kind:?}, use file, sql, http, redis or docker"));
            }
        };
        Ok(ResolverConfig { name: name.to_owned(), kind, times })
    }

    /// Makes the resolver with its cache. Call it in the child, inside the tokio runtime; nothing
    /// is opened before the first question.
    pub fn build(&self) -> Arc<CachedResolver> {
        let resolver: Arc<dyn Resolver> = match &self.kind {
            Kind::File(config) => Arc::new(FileResolver::new(config.clone())),
            Kind::Http(config) => Arc::new(HttpResolver::new(config.clone())),
            Kind::Redis(config) => Arc::new(RedisResolver::new(config.clone())),
            Kind::Docker(config) => Arc::new(DockerResolver::new(config.clone())),
            Kind::Sql(config) => config.build(self.times.timeout),
        };
        Arc::new(CachedResolver::new(&self.name, resolver, self.times.clone()))
    }
}

impl Times {
    /// Sets one option; false if it is none of these.
    fn set(&mut self, option: &str, value: &str) -> Result<bool, String> {
        let time = || duration(value).map_err(|e| format!("{option}={e}"));
        let slot = match option {
            "ttl" => &mut self.ttl,
            "negative" => &mut self.negative,
            "stale" => &mut self.stale,
            "timeout" => {
                self.timeout = time()?.filter(|t| !t.is_zero());
                return Ok(true);
            }
            _ => return Ok(false),
        };
        *slot = time()?.unwrap_or_default();
        Ok(true)
    }
}

/// `[A-Za-z0-9_.-]+`, and not the word `Off`.
pub(crate) fn is_resolver_name(name: &str) -> bool {
    !name.is_empty()
        && !name.eq_ignore_ascii_case("off")
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn resolvers() {
        let file = ResolverConfig::parse("d", &["file", "/etc/d.txt"]).unwrap();
        let Kind::File(config) = file.kind else { panic!("{:?}", file.kind) };
        assert_eq!(config.path, PathBuf::from("/etc/d.txt"));
        assert_eq!(file.times, Times::default());

        let query = "query=SELECT host, port FROM d WHERE name = :key";
        let args = ["sql", "sqlite:/d.db", query, "ttl=5", "negative=off", "timeout=500ms"];
        let sql = ResolverConfig::parse("desk.tops-1_", &args).unwrap();
        assert_eq!(sql.times.ttl, Duration::from_secs(5));
        assert_eq!(sql.times.negative, Duration::ZERO);
        assert_eq!(sql.times.timeout, Some(Duration::from_millis(500)));
        assert!(matches!(sql.kind, Kind::Sql(_)));

        let kind = |args: &[&str]| ResolverConfig::parse("d", args).unwrap().kind;
        assert!(matches!(kind(&["http", "http://h/{key}"]), Kind::Http(_)));
        assert!(matches!(kind(&["Redis", "redis://h", "ttl=1"]), Kind::Redis(_)));
        assert!(matches!(kind(&["docker", "unix:/d", "label=a"]), Kind::Docker(_)));

        let off = ResolverConfig::parse("d", &["FILE", "/d", "timeout=off", "stale=1h"]).unwrap();
        assert_eq!(off.times.timeout, None);
        assert_eq!(off.times.stale, Duration::from_secs(3600));
    }

    #[tokio::test]
    async fn what_is_built_answers() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("desktops");
        std::fs::write(&path, "alice 10.0.0.5:6901\nbad\n").unwrap();
        let config = ResolverConfig::parse("d", &["file", path.to_str().unwrap()]).unwrap();
        let resolver = config.build();
        let facts = crate::route::Facts::of(&crate::upgrade::Request::default());
        let found = resolver.resolve(&facts.query("alice")).await.unwrap().answer.unwrap();
        assert_eq!(found.target.unwrap().to_string(), "ws://10.0.0.5:6901");
        assert!(resolver.resolve(&facts.query("bob")).await.unwrap().answer.is_none());
        assert_eq!((resolver.name(), resolver.warnings().len()), ("d", 1));
    }

    #[test]
    fn bad_resolvers() {
        let table: &[(&str, &[&str], &str)] = &[
            ("", &["file", "/d"], "bad resolver name"),
            ("off", &["file", "/d"], "bad resolver name"),
            ("a b", &["file", "/d"], "bad resolver name"),
            ("d", &["file"], "too few arguments"),
            ("d", &[], "too few arguments"),
            ("d", &["ldap", "/d"], "unknown type \"ldap\", use file, sql, http, redis or docker"),
            ("d", &["http", "ftp://h"], "use http://"),
            ("d", &["redis", "h"], "use redis://"),
            ("d", &["docker", "unix:/d"], "use label=NAME"),
            ("d", &["file", "d.txt"], "use an absolute path"),
            ("d", &["file", "/d", "query=x"], "unknown option \"query\", use ttl"),
            ("d", &["file", "/d", "ttl"], "option 1 has no =, use option=value"),
            ("d", &["http", "http://h/{key}", "header=X:", "hunter2"], "option 2 has no ="),
            ("d", &["file", "/d", "ttl=x"], "ttl=\"x\" is no time, use 500ms"),
            ("d", &["sql", "sqlite:/d"], "no query, use query="),
        ];
        for (name, args, text) in table {
            let error = ResolverConfig::parse(name, args).unwrap_err();
            assert!(error.contains(text), "{name} {args:?}: {error}");
        }
    }
}
