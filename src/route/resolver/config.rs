//! One `WsRouteResolver` directive: pure data, parsed while httpd reads its configuration. What
//! it describes is built in the child.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::bind::BoundQuery;
use super::file::FileResolver;
use super::sql::SqlResolver;
use crate::route::cache::CachedResolver;
use crate::route::units::duration;

/// The path a locator may have, as the error text says it.
const ABSOLUTE: &str = "use an absolute path";

/// A resolver as configured: NAME TYPE LOCATOR [option=value...].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolverConfig {
    /// What `WsRoute` calls it.
    pub name: String,
    /// The type and what belongs to it.
    pub kind: Kind,
    /// How long answers are good and errors are borne.
    pub times: Times,
}

/// The type of a resolver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `file PATH`
    File {
        /// The text file, absolute.
        path: PathBuf,
    },
    /// `sql sqlite:PATH query="..." [pool=N]`
    Sql {
        /// The database file, absolute.
        path: PathBuf,
        /// The query with its binds.
        query: BoundQuery,
        /// Connections in each child at most.
        pool: u32,
    },
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
        for option in options {
            let (key, value) = option
                .split_once('=')
                .ok_or_else(|| format!("{option:?} is no option, use option=value"))?;
            if !times.set(key, value)? {
                rest.push((key, value));
            }
        }
        let kind = match kind.to_ascii_lowercase().as_str() {
            "file" => parse_file(locator, &rest)?,
            "sql" => parse_sql(locator, &rest)?,
            "http" | "redis" | "docker" => {
                return Err(format!("type {kind} comes with a later version, use file or sql"));
            }
            _ => return Err(format!("unknown type {kind:?}, use file or sql")),
        };
        Ok(ResolverConfig { name: name.to_owned(), kind, times })
    }

    /// Makes the resolver with its cache. Call it in the child, inside the tokio runtime; nothing
    /// is opened before the first question.
    pub fn build(&self) -> Arc<CachedResolver> {
        let resolver: Arc<dyn super::Resolver> = match &self.kind {
            Kind::File { path } => Arc::new(FileResolver::new(path.clone())),
            Kind::Sql { path, query, pool } => {
                let wait = self.times.timeout.unwrap_or(Duration::from_secs(30));
                Arc::new(SqlResolver::new(path.clone(), query.clone(), *pool, wait))
            }
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

fn parse_file(locator: &str, options: &[(&str, &str)]) -> Result<Kind, String> {
    if let Some((option, _)) = options.first() {
        return Err(format!("unknown option {option:?}, use ttl, negative, stale or timeout"));
    }
    match locator.starts_with('/') {
        true => Ok(Kind::File { path: locator.into() }),
        false => Err(format!("file {locator:?} is relative, {ABSOLUTE}")),
    }
}

fn parse_sql(locator: &str, options: &[(&str, &str)]) -> Result<Kind, String> {
    let path = sqlite_path(locator)?;
    let (mut query, mut pool) = (None, 4);
    for &(option, value) in options {
        match option {
            "query" => query = Some(BoundQuery::parse(value)?),
            "pool" => {
                let number = value.parse().ok().filter(|n| (1..=1000).contains(n));
                pool = number.ok_or_else(|| format!("pool={value:?}, use 1 to 1000"))?;
            }
            _ => {
                return Err(format!(
                    "unknown option {option:?}, use query, pool, ttl, negative, stale or timeout"
                ));
            }
        }
    }
    let query = query.ok_or("no query, use query=\"SELECT host, port FROM ... = :key\"")?;
    Ok(Kind::Sql { path, query, pool })
}

fn sqlite_path(locator: &str) -> Result<PathBuf, String> {
    let Some((scheme, path)) = locator.split_once(':') else {
        return Err(format!("{locator:?} is no database, use sqlite:/absolute/path"));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "sqlite" => {}
        "postgres" | "postgresql" | "mysql" | "mariadb" => {
            return Err(format!("{scheme}: comes with a later version, use sqlite:PATH"));
        }
        // The locator may hold a password: only the scheme is shown.
        _ => return Err(format!("unknown database {scheme:?}, use sqlite:/absolute/path")),
    }
    let path = if path.starts_with("///") { &path[2..] } else { path };
    match path.starts_with('/') && !path.starts_with("//") {
        true => Ok(path.into()),
        false => Err(format!("database {locator:?} is relative, {ABSOLUTE}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers() {
        let file = ResolverConfig::parse("d", &["file", "/etc/d.txt"]).unwrap();
        assert_eq!(file.kind, Kind::File { path: "/etc/d.txt".into() });
        assert_eq!(file.times, Times::default());

        let query = "query=SELECT host, port FROM d WHERE name = :key";
        let args = ["sql", "sqlite:/d.db", query, "ttl=5", "negative=off", "timeout=500ms"];
        let sql = ResolverConfig::parse("desk.tops-1_", &args).unwrap();
        assert_eq!(sql.times.ttl, Duration::from_secs(5));
        assert_eq!(sql.times.negative, Duration::ZERO);
        assert_eq!(sql.times.timeout, Some(Duration::from_millis(500)));
        let Kind::Sql { path, query, pool } = sql.kind else { panic!("{:?}", sql.kind) };
        assert_eq!((path, pool), (PathBuf::from("/d.db"), 4));
        assert_eq!(query.sql, "SELECT host, port FROM d WHERE name = ?1");

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
        let q = "query=:key";
        let table: &[(&str, &[&str], &str)] = &[
            ("", &["file", "/d"], "bad resolver name"),
            ("off", &["file", "/d"], "bad resolver name"),
            ("a b", &["file", "/d"], "bad resolver name"),
            ("d", &["file"], "too few arguments"),
            ("d", &[], "too few arguments"),
            ("d", &["ldap", "/d"], "unknown type \"ldap\", use file or sql"),
            ("d", &["redis", "redis://h"], "comes with a later version"),
            ("d", &["file", "d.txt"], "use an absolute path"),
            ("d", &["file", "/d", "query=x"], "unknown option \"query\", use ttl"),
            ("d", &["file", "/d", "ttl"], "\"ttl\" is no option"),
            ("d", &["file", "/d", "ttl=x"], "ttl=\"x\" is no time, use 500ms"),
            ("d", &["sql", "sqlite:/d"], "no query, use query="),
            ("d", &["sql", "sqlite:d", q], "use an absolute path"),
            ("d", &["sql", "sqlite://d", q], "use an absolute path"),
            ("d", &["sql", "/d", q], "use sqlite:"),
            ("d", &["sql", "postgres://u:p@h/d", q], "postgres: comes with a later version"),
            ("d", &["sql", "mysql://h", q], "comes with a later version"),
            ("d", &["sql", "oracle:p", q], "unknown database \"oracle\""),
            ("d", &["sql", "sqlite:/d", "query=:x"], "unknown bind :x"),
            ("d", &["sql", "sqlite:/d", q, "pool=0"], "use 1 to 1000"),
            ("d", &["sql", "sqlite:/d", q, "size=1"], "unknown option \"size\", use query"),
        ];
        for (name, args, text) in table {
            let error = ResolverConfig::parse(name, args).unwrap_err();
            assert!(error.contains(text), "{name} {args:?}: {error}");
        }
    }
}
