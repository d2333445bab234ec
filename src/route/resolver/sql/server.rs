//! Where a database server is, as a locator says it, and who may connect.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;

use super::fields::reason;
use crate::route::resolver::bind::Dialect;
use crate::route::resolver::{ResolveError, secret};

/// libpq's names. Any other would be passed over without a word, even a misspelt `sslmode`.
const POSTGRES: [&str; 12] = [
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
];
/// The names of MySQL's own tools.
const MYSQL: [&str; 5] = ["socket", "ssl-mode", "ssl-ca", "ssl-cert", "ssl-key"];
/// Those that name a file.
const FILES: [&str; 6] = ["sslrootcert", "sslcert", "sslkey", "ssl-ca", "ssl-cert", "ssl-key"];

/// A database server. `Debug` hides the locator, which may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Server {
    url: String,
    /// For errors: kind, host, port and database.
    place: String,
    /// Certificates and keys that the locator names.
    files: Vec<PathBuf>,
    password: Option<PasswordFile>,
}

/// A password in a file, which a child may or may not be able to read.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct PasswordFile {
    path: String,
    /// What it said when httpd read its configuration.
    at_start: String,
}

impl PasswordFile {
    /// Reads the file.
    ///
    /// # Errors
    /// As [`secret::read`].
    pub(super) fn read(path: &str) -> Result<PasswordFile, String> {
        let at_start = secret::read("password", path)?;
        Ok(PasswordFile { path: path.into(), at_start })
    }

    /// What it says now if it can be read, so that a new password counts.
    async fn now(&self) -> String {
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || secret::read("password", &path));
        read.await.ok().and_then(Result::ok).unwrap_or_else(|| self.at_start.clone())
    }
}

impl Server {
    /// Parses a locator of PostgreSQL or MySQL.
    ///
    /// # Errors
    /// What is wrong and what to write, as one line without anything that may be a password.
    pub(super) fn parse(
        locator: &str,
        dialect: Dialect,
        password: Option<PasswordFile>,
    ) -> Result<Server, String> {
        let (kind, names) = match dialect {
            Dialect::Postgres => ("postgres", &POSTGRES[..]),
            _ => ("mysql", &MYSQL[..]),
        };
        let example = format!("{kind}://user@host/database");
        let Some((_, rest)) = locator.split_once("://") else {
            return Err(format!("no host in the locator, use {example}"));
        };
        let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if rest.contains(['@', '#']) {
            return Err("the locator has an @ or # in a wrong place; in user, password and \
                        parameters use %40 for @, %23 for #, %2F for /, %3F for ?"
                .into());
        }
        let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        let parameters = rest.split_once('?').map_or("", |(_, parameters)| parameters);
        let parameters: Vec<(&str, String)> =
            parameters.split('&').filter(|p| !p.is_empty()).map(parameter).collect();
        let mut files = Vec::new();
        for (name, value) in &parameters {
            if !names.contains(name) {
                return Err(format!("unknown parameter {name:?} in the locator, use {names:?}"));
            }
            if FILES.contains(name) && !value.starts_with('/') {
                return Err(format!("{name}= is no absolute path, use {name}=/path"));
            }
            if FILES.contains(name) {
                files.push(value.into());
            }
        }
        if host.contains(',') {
            return Err("several hosts in the locator, use one".into());
        }
        if password.is_some()
            && (user.contains(':') || parameters.iter().any(|(name, _)| *name == "password"))
        {
            return Err("two passwords, use password=file: or one in the locator".into());
        }
        let mut server = Server { url: locator.into(), place: kind.into(), files, password };
        server.place = server
            .find_place(dialect)
            .map_err(|e| format!("bad locator ({}), use {example}", reason(&e)))?;
        Ok(server)
    }

    fn find_place(&self, dialect: Dialect) -> Result<String, sqlx::Error> {
        let (host, port, database) = match dialect {
            Dialect::Postgres => {
                let options = PgConnectOptions::from_str(&self.url)?;
                let socket = options.get_socket().map(|folder| folder.display().to_string());
                let host = socket.unwrap_or_else(|| options.get_host().to_owned());
                (host, options.get_port(), options.get_database().map(str::to_owned))
            }
            _ => {
                let options = MySqlConnectOptions::from_str(&self.url)?;
                if let Some(socket) = options.get_socket() {
                    return Ok(format!("mysql {}", socket.display()));
                }
                let host = options.get_host().to_owned();
                (host, options.get_port(), options.get_database().map(str::to_owned))
            }
        };
        let database = database.map(|name| format!("/{name}")).unwrap_or_default();
        Ok(format!("{} {host}:{port}{database}", self.place))
    }

    /// The options to connect with. Their files can be read: later, an error would not say which
    /// one is missing.
    pub(super) async fn options<O: FromStr<Err = sqlx::Error>>(&self) -> Result<O, ResolveError> {
        for path in &self.files {
            let file = tokio::fs::File::open(path).await;
            file.map_err(|e| self.failed(&format!("cannot read {}: {e}", path.display())))?;
        }
        self.url.parse().map_err(|e| self.failed(&reason(&e)))
    }

    /// The password, if it is in a file.
    pub(super) async fn password(&self) -> Option<String> {
        let file = self.password.as_ref()?;
        Some(file.now().await)
    }

    /// An error that says which server it is about.
    pub(super) fn failed(&self, what: &str) -> ResolveError {
        ResolveError::Failed(format!("{}: {what}", self.place))
    }
}

/// Name and decoded value of `name=value`.
fn parameter(text: &str) -> (&str, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let value = value.replace('+', " ");
    (name, percent_decode_str(&value).decode_utf8_lossy().into_owned())
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("url", &"MASKED")
            .field("place", &self.place)
            .field("files", &self.files)
            .field("password", &self.password.as_ref().map(|file| &file.path))
            .finish()
    }
}
