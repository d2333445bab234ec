//! A container engine's API in the test process, as far as routing asks it. It speaks what Docker
//! documents (https://docs.docker.com/reference/api/engine/version/v1.43/, "Containers"):
//!
//! * `GET /containers/json`: a list; without `all=true` of the running ones only. `filters` is a
//!   JSON object of lists. `label` holds `key` or `key=value`, exact; `name` is a regular
//!   expression, matched against the name with and without its slash. Values of one filter are
//!   alternatives, except labels, which must all be there; different filters must all match.
//! * `GET /containers/{id or name}/json`: one container; 404 with a `message` if there is none.
//! * A version before the path (`/v1.43/...`) must not be newer than the engine's: 400 else.

use super::http_server::{HttpServer, Received, Then, answer};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// The engine's API version, minor part.
const VERSION: u32 = 43;

/// An engine that runs until it is dropped.
pub struct DockerApi {
    server: HttpServer,
    containers: Arc<Mutex<Vec<Value>>>,
}

impl DockerApi {
    /// Listens on a Unix socket.
    pub fn unix(path: &Path) -> DockerApi {
        let containers = Arc::<Mutex<Vec<Value>>>::default();
        let served = Arc::clone(&containers);
        let server = HttpServer::unix(path, move |r, out| serve(&served.lock().unwrap(), r, out));
        DockerApi { server, containers }
    }

    /// Listens on a free loopback port.
    pub fn tcp() -> DockerApi {
        let containers = Arc::<Mutex<Vec<Value>>>::default();
        let served = Arc::clone(&containers);
        let server = HttpServer::tcp(move |r, out| serve(&served.lock().unwrap(), r, out));
        DockerApi { server, containers }
    }

    /// Where it listens on TCP.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Replaces all containers; each is what [`container`] gives, or a change of it.
    pub fn set(&self, containers: Vec<Value>) {
        *self.containers.lock().unwrap() = containers;
    }

    /// Path and query of all requests so far, decoded.
    pub fn received(&self) -> Vec<String> {
        self.server.received().iter().map(|r| decode(&r.target)).collect()
    }
}

/// A running container as `inspect` shows it: in the network `bridge` as 172.17.0.`n`, with
/// 6901/tcp exposed and not published.
pub fn container(n: u8, name: &str, labels: Value) -> Value {
    json!({
        "Id": format!("{n:064x}"),
        "Name": format!("/{name}"),
        "State": { "Status": "running", "Running": true },
        "Config": { "Labels": labels, "ExposedPorts": { "6901/tcp": {} } },
        "HostConfig": { "NetworkMode": "bridge" },
        "NetworkSettings": {
            "Ports": { "6901/tcp": null },
            "Networks": {
                "bridge": { "IPAddress": format!("172.17.0.{n}"), "GlobalIPv6Address": "" },
            },
        },
    })
}

fn serve(containers: &[Value], request: &Received, out: &mut dyn Write) -> io::Result<Then> {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let (status, body) = reply(containers, path, query);
    let headers = format!("Api-Version: 1.{VERSION}\r\nContent-Type: application/json\r\n");
    out.write_all(&answer(status, &headers, &body.to_string()))?;
    Ok(Then::Keep)
}

fn reply(containers: &[Value], path: &str, query: &str) -> (&'static str, Value) {
    let mut parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    if let Some(minor) = parts[0].strip_prefix("v1.") {
        if minor.parse::<u32>().is_ok_and(|minor| minor > VERSION) {
            let message = format!(
                "client version 1.{minor} is too new. Maximum supported API version is 1.{VERSION}"
            );
            return ("400 Bad Request", json!({ "message": message }));
        }
        parts.remove(0);
    }
    match parts[..] {
        ["version"] => ("200 OK", json!({ "ApiVersion": format!("1.{VERSION}") })),
        ["containers", "json"] => ("200 OK", list(containers, query)),
        ["containers", which, "json"] => {
            let found =
                containers.iter().find(|c| c["Id"] == which || c["Name"] == format!("/{which}"));
            match found {
                Some(container) => ("200 OK", container.clone()),
                None => {
                    let message = format!("No such container: {which}");
                    ("404 Not Found", json!({ "message": message }))
                }
            }
        }
        _ => ("404 Not Found", json!({ "message": "page not found" })),
    }
}

fn list(containers: &[Value], query: &str) -> Value {
    let parameter = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(n, _)| *n == name).map(|(_, value)| decode(value))
    };
    let all = parameter("all").is_some_and(|all| all == "true" || all == "1");
    let filters = parameter("filters").unwrap_or("{}".into());
    let filters: Value = serde_json::from_str(&filters).expect("filters in JSON");
    let listed = containers
        .iter()
        .filter(|c| all || c["State"]["Status"] == "running")
        .filter(|c| passes(c, &filters));
    listed.map(summary).collect()
}

fn passes(container: &Value, filters: &Value) -> bool {
    let filters = filters.as_object().expect("an object of filters");
    filters.iter().all(|(filter, values)| {
        let mut values = values.as_array().expect("a list").iter().filter_map(Value::as_str);
        match filter.as_str() {
            "label" => values.all(|wanted| {
                let labels = &container["Config"]["Labels"];
                match wanted.split_once('=') {
                    Some((name, value)) => labels[name] == value,
                    None => labels.get(wanted).is_some(),
                }
            }),
            "name" => values.any(|wanted| {
                let pattern = regex::Regex::new(wanted).expect("a regular expression");
                let name = container["Name"].as_str().expect("a name");
                pattern.is_match(name) || pattern.is_match(&name[1..])
            }),
            other => panic!("the test's engine knows no filter {other:?}"),
        }
    })
}

/// A container as the list shows it.
fn summary(container: &Value) -> Value {
    json!({
        "Id": container["Id"],
        "Names": [container["Name"]],
        "Labels": container["Config"]["Labels"],
        "State": container["State"]["Status"],
        "Status": "Up 5 seconds",
    })
}

/// As in a form: `%XX`, and `+` for a blank.
fn decode(text: &str) -> String {
    let text = text.replace('+', " ");
    percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned()
}
