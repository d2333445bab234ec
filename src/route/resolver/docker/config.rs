//! `WsRouteResolver NAME docker unix:/var/run/docker.sock label=NAME [port=...] [network=...]`

use crate::route::resolver::pattern::Pattern;
use crate::upstream::connect::host_port;
use crate::upstream::target::{self, TargetError, parse_port};

const KNOWN: &str =
    "label, name, port, network, address, owner-label, ttl, negative, stale or timeout";

/// What to write as a locator.
const FORM: &str = "use unix:/var/run/docker.sock or http://host:port";

/// Which engine is asked for which containers. Read-only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerConfig {
    /// Where the engine listens.
    pub engine: Engine,
    /// What makes a container the one of a key.
    pub select: Select,
    /// `port=`: the container's port. `None`: the only one it has.
    pub port: Option<u16>,
    /// `address=`
    pub address: AddressChoice,
    /// The label that says whose a container is.
    pub owner_label: String,
}

/// Where the engine's API is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Engine {
    /// A Unix socket on this machine.
    Unix(String),
    /// Plain HTTP: host and port.
    Http(String, u16),
}

/// What makes a container the one of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Select {
    /// The value of this label is the key.
    Label(String),
    /// This is its name.
    Name(Pattern),
}

/// Which address of a container is the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressChoice {
    /// The published one if there is one, else the container's own.
    Either,
    /// The one that the engine publishes on its host.
    Published,
    /// The container's own, in its only network.
    Container,
    /// `network=`: the container's own, in this network.
    Network(String),
}

impl DockerConfig {
    /// Parses the locator and the options.
    ///
    /// # Errors
    /// What is wrong and what to write, as one line.
    pub fn parse(locator: &str, options: &[(&str, &str)]) -> Result<DockerConfig, String> {
        let engine = Engine::parse(locator)?;
        let (mut select, mut port, mut address, mut network) = (None, None, None, None);
        let mut owner_label = "wsroute.owner".to_owned();
        for &(option, value) in options {
            if value.is_empty() {
                return Err(format!("{option}= needs a value"));
            }
            let chosen = match option {
                "label" => Some(Select::Label(value.to_owned())),
                "name" => Some(Select::Name(parse_name(value)?)),
                _ => None,
            };
            if chosen.is_some() && select.is_some() {
                return Err("more than one label= or name=, use one".into());
            }
            match option {
                "label" | "name" => select = chosen,
                "port" => port = Some(parse_port(value).map_err(|e| e.to_string())?),
                "network" => network = Some(value),
                "address" => address = Some(parse_address(value)?),
                "owner-label" => owner_label = value.to_owned(),
                _ => return Err(format!("unknown option {option:?}, use {KNOWN}")),
            }
        }
        let address = match (network, address) {
            (None, address) => address.unwrap_or(AddressChoice::Either),
            (Some(_), Some(AddressChoice::Published)) => {
                return Err("network= and address=published contradict each other, use one".into());
            }
            (Some(network), _) => AddressChoice::Network(network.to_owned()),
        };
        let select = select.ok_or("no label= and no name=, use label=NAME or name={key}")?;
        Ok(DockerConfig { engine, select, port, address, owner_label })
    }
}

impl Engine {
    fn parse(locator: &str) -> Result<Engine, String> {
        let (scheme, rest) = locator.split_once(':').ok_or_else(|| format!("no engine, {FORM}"))?;
        match scheme.to_ascii_lowercase().as_str() {
            "unix" => {
                let path = if rest.starts_with("///") { &rest[2..] } else { rest };
                target::socket_address(path).map_err(|e| e.to_string())?;
                Ok(Engine::Unix(path.to_owned()))
            }
            // As in DOCKER_HOST.
            "http" | "tcp" => {
                let authority =
                    rest.strip_prefix("//").ok_or_else(|| format!("no host, {FORM}"))?;
                let authority = authority.strip_suffix('/').unwrap_or(authority);
                let wrong = |e: TargetError| format!("{e}; {FORM}");
                let (host, port) = target::split_host_port(authority).map_err(wrong)?;
                let port = parse_port(port.ok_or_else(|| format!("no port, {FORM}"))?);
                let host = target::parse_host(host).map_err(wrong)?;
                Ok(Engine::Http(host, port.map_err(wrong)?))
            }
            "https" => Err("https: is not supported, use http: or unix: to a proxy".into()),
            _ => Err(format!("unknown scheme {scheme:?}, {FORM}")),
        }
    }

    /// The engine for logs.
    pub fn shown(&self) -> String {
        match self {
            Engine::Unix(path) => format!("unix:{path}"),
            Engine::Http(host, port) => format!("http://{}", host_port(host, *port)),
        }
    }

    /// The host on which ports are published, and whether it is this machine.
    pub fn host(&self) -> (&str, bool) {
        match self {
            Engine::Unix(_) => ("127.0.0.1", true),
            Engine::Http(host, _) => {
                let address = host.parse::<std::net::IpAddr>();
                (host, host == "localhost" || address.is_ok_and(|a| a.is_loopback()))
            }
        }
    }
}

fn parse_name(text: &str) -> Result<Pattern, String> {
    let pattern = Pattern::parse(text)?;
    match pattern.is_fixed() {
        true => Err("all requests would be the same, use {key} in name=".into()),
        false => Ok(pattern),
    }
}

fn parse_address(value: &str) -> Result<AddressChoice, String> {
    match value {
        "published" => Ok(AddressChoice::Published),
        "container" => Ok(AddressChoice::Container),
        _ => Err(format!("address={value:?}, use published or container")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(locator: &str, options: &[&str]) -> Result<DockerConfig, String> {
        let options: Vec<_> = options.iter().map(|o| o.split_once('=').unwrap()).collect();
        DockerConfig::parse(locator, &options)
    }

    #[test]
    fn locators_and_options() {
        let table = [
            ("unix:/var/run/docker.sock", "unix:/var/run/docker.sock", "127.0.0.1", true),
            ("unix:///var/run/docker.sock", "unix:/var/run/docker.sock", "127.0.0.1", true),
            (
                "http://docker.example.org:2375",
                "http://docker.example.org:2375",
                "docker.example.org",
                false,
            ),
            ("tcp://10.0.0.9:2375/", "http://10.0.0.9:2375", "10.0.0.9", false),
            ("http://[::1]:2375", "http://[::1]:2375", "::1", true),
            ("http://localhost:2375", "http://localhost:2375", "localhost", true),
        ];
        for (locator, shown, host, here) in table {
            let engine = Engine::parse(locator).unwrap_or_else(|e| panic!("{locator}: {e}"));
            assert_eq!(engine.shown(), shown, "{locator}");
            assert_eq!(engine.host(), (host, here), "{locator}");
        }
        let config = parse("unix:/d", &["label=desktop"]).unwrap();
        assert_eq!(config.select, Select::Label("desktop".into()));
        assert_eq!((config.port, config.address), (None, AddressChoice::Either));
        assert_eq!(config.owner_label, "wsroute.owner");
        let options = ["name=desk-{key}", "port=6901", "network=desks", "owner-label=owner"];
        let config = parse("unix:/d", &options).unwrap();
        assert!(matches!(config.select, Select::Name(_)));
        assert_eq!(config.port, Some(6901));
        assert_eq!(config.address, AddressChoice::Network("desks".into()));
        assert_eq!(config.owner_label, "owner");
    }

    #[test]
    fn bad_locators_and_options() {
        let table: &[(&str, &[&str], &str)] = &[
            ("/var/run/docker.sock", &[], "no engine, use unix:/var/run/docker.sock"),
            ("unix:docker.sock", &[], "bad socket path"),
            ("ssh://h", &[], "unknown scheme \"ssh\", use unix:"),
            ("https://h:2376", &[], "use http: or unix: to a proxy"),
            ("http://h", &[], "no port, use"),
            ("http:h:1", &[], "no host, use"),
            ("http://u@h:1", &[], "user information"),
            ("http://h:1/x", &[], "bad port"),
            ("unix:/d", &[], "use label=NAME or name={key}"),
            ("unix:/d", &["label=a", "name={key}"], "more than one label= or name="),
            ("unix:/d", &["label="], "label= needs a value"),
            ("unix:/d", &["name=desk"], "use {key} in name="),
            ("unix:/d", &["label=a", "port=0"], "bad port"),
            ("unix:/d", &["label=a", "address=any"], "use published or container"),
            ("unix:/d", &["label=a", "network=n", "address=published"], "contradict each other"),
            ("unix:/d", &["label=a", "image=x"], "unknown option \"image\", use label"),
        ];
        for (locator, options, expected) in table {
            let error = parse(locator, options).unwrap_err();
            assert!(error.contains(expected), "{locator} {options:?}: {error}");
        }
    }
}
