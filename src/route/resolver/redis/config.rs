//! `WsRouteResolver NAME redis redis://[:password@]host[:port][/db] [name=...] [password=...]`

use percent_encoding::percent_decode_str;
use redis::RedisConnectionInfo;

use crate::route::resolver::pattern::Pattern;
use crate::route::resolver::secret;
use crate::route::resolver::trust::Trust;
use crate::upstream::connect::host_port;
use crate::upstream::target::{self, Address, TargetError};

const KNOWN: &str = "name, password, ca, verify, ttl, negative, stale or timeout";

/// What to write as a locator.
const FORM: &str = "use redis://host:port/db, rediss://host:port/db or unix:/path.sock?db=0";

/// Where a Redis server is, and what it is asked for. Read-only; `Debug` hides the password.
#[derive(Debug, Clone)]
pub struct RedisConfig {
    /// Where it listens.
    pub address: Address,
    /// `rediss://`
    pub tls: bool,
    /// Whom to trust then.
    pub trust: Trust,
    /// Credentials and the number of the database.
    pub login: RedisConnectionInfo,
    /// `name=`: the name under which a key's answer is kept.
    pub name: Pattern,
    /// The locator for logs, without credentials.
    pub shown: String,
}

impl RedisConfig {
    /// Parses the locator and the options. Files are read here.
    ///
    /// # Errors
    /// What is wrong and what to write, as one line, without the password.
    pub fn parse(locator: &str, options: &[(&str, &str)]) -> Result<RedisConfig, String> {
        let mut config = parse_locator(locator)?;
        for &(option, value) in options {
            match option {
                "name" => config.name = Pattern::parse(value)?,
                "password" => {
                    let path = value
                        .strip_prefix("file:")
                        .ok_or("password= is no file, use password=file:/absolute/path")?;
                    if config.login.password().is_some() {
                        return Err("two passwords, use password=file: and none in the URL".into());
                    }
                    config.login = config.login.set_password(secret::read(option, path)?);
                }
                _ if config.trust.set(option, value)? => {}
                _ => return Err(format!("unknown option {option:?}, use {KNOWN}")),
            }
        }
        config.trust.check(config.tls, "rediss")?;
        match config.name.is_fixed() {
            true => Err("all requests would be the same, use {key} in name=".into()),
            false => Ok(config),
        }
    }
}

fn parse_locator(locator: &str) -> Result<RedisConfig, String> {
    // The locator may hold a password: no error quotes it.
    let (scheme, rest) = locator.split_once(':').ok_or(FORM)?;
    let scheme = scheme.to_ascii_lowercase();
    let mut login = RedisConnectionInfo::default().set_skip_set_lib_name();
    let (address, db) = match scheme.as_str() {
        "redis" | "rediss" => {
            let rest = rest.strip_prefix("//").ok_or(FORM)?;
            let (authority, db) = match rest.split_once('/') {
                Some((authority, db)) => (authority, db),
                None => (rest, ""),
            };
            let (credentials, authority) = match authority.rsplit_once('@') {
                Some((credentials, authority)) => (credentials, authority),
                None => ("", authority),
            };
            login = with_credentials(login, credentials)?;
            let (host, port) = target::split_host_port(authority).map_err(explain)?;
            let port = port.map_or(Ok(6379), target::parse_port).map_err(explain)?;
            (Address::Tcp { host: target::parse_host(host).map_err(explain)?, port }, db)
        }
        "unix" | "redis+unix" => {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            let (path, db) = path.split_once("?db=").unwrap_or((path, ""));
            (target::socket_address(path).map_err(explain)?, db)
        }
        _ => return Err(format!("unknown scheme {scheme:?}, {FORM}")),
    };
    let shown = match &address {
        Address::Tcp { host, port } => format!("{scheme}://{}", host_port(host, *port)),
        Address::Unix(path) => format!("unix:{}", path.display()),
    };
    if !db.is_empty() {
        let number =
            db.parse::<u16>().map_err(|_| format!("{shown}: the database is no number"))?;
        login = login.set_db(number.into());
    }
    let name = Pattern::parse("{key}")?;
    Ok(RedisConfig {
        address,
        tls: scheme == "rediss",
        trust: Trust::default(),
        login,
        name,
        shown,
    })
}

/// `user:password`, `:password` or `user`, percent-encoded.
fn with_credentials(
    login: RedisConnectionInfo,
    credentials: &str,
) -> Result<RedisConnectionInfo, String> {
    let decode = |text| {
        let decoded = percent_decode_str(text).decode_utf8();
        decoded.map_err(|_| "the credentials in the URL are not UTF-8".to_owned())
    };
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let login = match user {
        "" => login,
        user => login.set_username(decode(user)?),
    };
    Ok(match password {
        "" => login,
        password => login.set_password(decode(password)?),
    })
}

fn explain(error: TargetError) -> String {
    match error {
        TargetError::NoHost | TargetError::UserInfo => format!("no host, {FORM}"),
        // A password with a slash in it ends up in what is taken for host and port.
        TargetError::Port(_) | TargetError::Host(_) | TargetError::Brackets(_) => {
            format!("bad host or port, {FORM}; percent-encode the password")
        }
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(locator: &str, options: &[&str]) -> Result<RedisConfig, String> {
        let options: Vec<_> = options.iter().map(|o| o.split_once('=').unwrap()).collect();
        RedisConfig::parse(locator, &options)
    }

    #[test]
    fn locators() {
        type Case = (&'static str, &'static str, i64, Option<&'static str>, Option<&'static str>);
        let table: [Case; 9] = [
            ("redis://127.0.0.1", "redis://127.0.0.1:6379", 0, None, None),
            ("redis://h:1/", "redis://h:1", 0, None, None),
            ("REDIS://h:1/3", "redis://h:1", 3, None, None),
            ("rediss://[::1]:1/3", "rediss://[::1]:1", 3, None, None),
            ("redis://:hunter2@h", "redis://h:6379", 0, None, Some("hunter2")),
            ("redis://u:a%40b%2Fc@h", "redis://h:6379", 0, Some("u"), Some("a@b/c")),
            ("redis://u@h", "redis://h:6379", 0, Some("u"), None),
            ("unix:/run/redis.sock", "unix:/run/redis.sock", 0, None, None),
            ("redis+unix:///run/redis.sock?db=2", "unix:/run/redis.sock", 2, None, None),
        ];
        for (locator, shown, db, user, password) in table {
            let config = parse(locator, &[]).unwrap_or_else(|e| panic!("{locator}: {e}"));
            assert_eq!(config.shown, shown, "{locator}");
            assert_eq!(config.login.db(), db, "{locator}");
            assert_eq!(config.login.username(), user, "{locator}");
            assert_eq!(config.login.password(), password, "{locator}");
            assert_eq!(config.tls, locator.starts_with("rediss"), "{locator}");
            assert!(!format!("{config:?}").contains("hunter2"));
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        std::fs::write(&file, "hunter2\n").unwrap();
        let file = format!("password=file:{}", file.display());
        let config = parse("redis://h", &[&file, "name=desktop:{key}"]).unwrap();
        assert_eq!(config.login.password(), Some("hunter2"));
        let twice = parse("redis://:hunter3@h", &[&file]).unwrap_err();
        assert!(twice.starts_with("two passwords") && !twice.contains("hunter"), "{twice}");
    }

    #[test]
    fn bad_locators_and_options() {
        let table: &[(&str, &[&str], &str)] = &[
            ("127.0.0.1", &[], "use redis://host:port/db"),
            ("127.0.0.1:6379", &[], "unknown scheme \"127.0.0.1\", use redis://"),
            ("http://h", &[], "unknown scheme \"http\""),
            ("redis:h", &[], "use redis://"),
            ("redis://", &[], "no host"),
            ("redis://h:0", &[], "bad host or port"),
            ("redis://:hunter2/x@h", &[], "percent-encode the password"),
            ("redis://h/x", &[], "the database is no number"),
            ("redis://h/-1", &[], "the database is no number"),
            ("unix:run/redis.sock", &[], "bad socket path"),
            ("redis://h", &["name=desktop"], "use {key} in name="),
            ("redis://h", &["name={id}"], "unknown {id}"),
            ("redis://h", &["password=hunter2"], "use password=file:/absolute/path"),
            ("redis://h", &["password=file:hunter2"], "use an absolute path"),
            ("redis://h", &["verify=off"], "use rediss://"),
            ("redis://h", &["key=x"], "unknown option \"key\", use name"),
        ];
        for (locator, options, expected) in table {
            let error = parse(locator, options).unwrap_err();
            assert!(error.contains(expected), "{locator} {options:?}: {error}");
            let secret = error.contains("hunter2") && !options.contains(&"password=file:hunter2");
            assert!(!secret, "{error}");
        }
    }
}
