//! The whole configuration as httpd sees it after reading: servers, sections, what our directives
//! say in each.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::modules::Modules;
use super::read::{self, Options, Skipped, Tree};
use super::section::{Builder, Kind};
use super::server::{self, Server};
use super::syntax::{Directive, Place, Problem};
use crate::config::ServerConfig;

/// A configuration. Read-only.
pub struct Config {
    /// The main server, then the virtual hosts in order.
    pub servers: Vec<Server>,
    /// The modules that are loaded.
    pub modules: Modules,
    /// Sections that do not count here and have our directives in them.
    pub skipped: Vec<Skipped>,
    /// What is wrong with our directives. httpd would not start with any of these.
    pub problems: Vec<Problem>,
    /// Every file that was read.
    pub files: Vec<Arc<std::path::Path>>,
    /// ServerRoot.
    pub root: PathBuf,
    /// httpd's version.
    pub version: [u32; 3],
}

impl Config {
    /// Reads what `options` name.
    ///
    /// # Errors
    /// A file that cannot be read, sections that do not fit, what httpd refuses while it reads.
    /// Errors in our own directives are in [`Config::problems`].
    pub fn read(options: &Options) -> Result<Config, Problem> {
        Ok(Config::build(read::read(options)?))
    }

    /// The main server.
    pub fn main(&self) -> &Server {
        &self.servers[0]
    }

    /// The server that httpd gives a request for `host` (lower case) at `port` to, and what had to
    /// be assumed. `local` is the address it comes to, if that is known.
    pub fn server(
        &self,
        host: &str,
        port: u16,
        local: Option<IpAddr>,
    ) -> (&Server, Option<String>) {
        server::choose(&self.servers, host, port, local)
    }

    /// The directive called `name` that counts for `server`: its own, or the main server's.
    pub fn last<'c>(&'c self, server: &'c Server, name: &str) -> Option<&'c Directive> {
        server.last(name).or_else(|| self.main().last(name))
    }

    fn build(tree: Tree) -> Config {
        let Tree { directives, modules, files, skipped, root, version } = tree;
        let (hosts, main): (Vec<_>, Vec<_>) =
            directives.into_iter().partition(|d| d.is("<VirtualHost"));
        let file = files.first().cloned().unwrap_or_else(|| Arc::from(root.as_path()));
        let mut problems = Vec::new();
        let mut own = ServerConfig::default();
        let place = Place { file, line: 1 };
        let mut main_server = build_server(None, place, &main, &mut own, &mut problems);
        let mut servers: Vec<Server> = Vec::new();
        for host in &hosts {
            let mut config = ServerConfig::default();
            let place = host.place.clone();
            let mut server =
                build_server(Some(host), place, host.inner(), &mut config, &mut problems);
            server.config = ServerConfig::merge(&own, &config);
            server.tls = server.last("SSLEngine").map_or(main_server.tls, Directive::is_on);
            servers.push(server);
        }
        main_server.config = own;
        servers.insert(0, main_server);
        problems.sort_by(|a, b| a.place.cmp(&b.place));
        Config { servers, modules, skipped, problems, files, root, version }
    }
}

fn build_server(
    host: Option<&Directive>,
    place: Place,
    inside: &[Directive],
    config: &mut ServerConfig,
    problems: &mut Vec<Problem>,
) -> Server {
    let main = host.is_none();
    let title = host.map_or_else(|| "the main server".to_owned(), Directive::to_string);
    let mut builder = Builder { server: config, main, problems, sections: Vec::new() };
    let base = builder.build(Kind::Server, place.clone(), title, inside);
    let sections = builder.sections;
    let mut server = Server {
        place,
        main,
        addresses: host.map_or_else(Vec::new, server::addresses),
        name: None,
        aliases: Vec::new(),
        tls: false,
        base,
        sections,
        config: ServerConfig::default(),
    };
    server.name = server.last("ServerName").and_then(server::server_name);
    let aliases = server.base.all("ServerAlias").flat_map(Directive::words);
    server.aliases = aliases.map(|alias| alias.to_ascii_lowercase()).collect();
    server.tls = server.last("SSLEngine").is_some_and(Directive::is_on);
    server
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
