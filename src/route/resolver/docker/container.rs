//! From what the engine says about a container to the fields of an answer.

use std::collections::{BTreeSet, HashMap};

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum as Status, HealthStatusEnum as Health,
    PortBinding,
};

use super::config::{AddressChoice, DockerConfig};

/// The fields of the answer that `container` is.
///
/// # Errors
/// It runs, but its port or its address is not clear.
pub fn fields(
    container: &ContainerInspectResponse,
    config: &DockerConfig,
) -> Result<Vec<(&'static str, String)>, String> {
    let none = HashMap::new();
    let labels = container.config.as_ref().and_then(|c| c.labels.as_ref()).unwrap_or(&none);
    let state = state(container);
    let mut fields = vec![("state", state.clone()), ("id", short_id(container))];
    let labelled = [
        ("owner", config.owner_label.as_str()),
        ("scheme", "wsroute.scheme"),
        ("path", "wsroute.path"),
    ];
    for (field, label) in labelled {
        fields.extend(labels.get(label).map(|value| (field, value.clone())));
    }
    // Only a container that runs has an address that stays.
    if state == "running" {
        let port = match labels.get("wsroute.port") {
            Some(text) => {
                text.parse().map_err(|_| format!("label wsroute.port={text:?}, use a number"))?
            }
            None => match config.port {
                Some(port) => port,
                None => only_port(container)?,
            },
        };
        let (host, port) = address(container, config, port)?;
        fields.extend([("host", host), ("port", port)]);
    }
    Ok(fields)
}

/// As `docker ps` shows it.
pub fn short_id(container: &ContainerInspectResponse) -> String {
    container.id.as_deref().unwrap_or_default().chars().take(12).collect()
}

fn state(container: &ContainerInspectResponse) -> String {
    let state = container.state.as_ref();
    let health = state.and_then(|s| s.health.as_ref()).and_then(|h| h.status);
    match state.and_then(|s| s.status) {
        Some(Status::RUNNING) if health == Some(Health::STARTING) => "starting".into(),
        Some(Status::CREATED | Status::RESTARTING) => "starting".into(),
        Some(Status::EXITED | Status::DEAD) => "exited".into(),
        Some(status) if status != Status::EMPTY => status.to_string(),
        _ => "unknown".into(),
    }
}

/// The only TCP port that is published, or else the only one that is exposed.
fn only_port(container: &ContainerInspectResponse) -> Result<u16, String> {
    let tcp = |name: &String| name.strip_suffix("/tcp")?.parse().ok();
    let is_bound = |bound: &Option<Vec<_>>| bound.as_ref().is_some_and(|b| !b.is_empty());
    let published = ports(container).into_iter().flatten().filter(|(_, bound)| is_bound(bound));
    let published: BTreeSet<u16> = published.filter_map(|(name, _)| tcp(name)).collect();
    let exposed = container.config.as_ref().and_then(|c| c.exposed_ports.as_ref());
    let exposed: BTreeSet<u16> = exposed.into_iter().flatten().filter_map(tcp).collect();
    for ports in [&published, &exposed] {
        if let (1, Some(port)) = (ports.len(), ports.first()) {
            return Ok(*port);
        }
    }
    let found: Vec<String> = published.union(&exposed).map(u16::to_string).collect();
    let found = if found.is_empty() { "none".into() } else { found.join(", ") };
    Err(format!("which TCP port? It has {found}; use port= or the label wsroute.port"))
}

/// Host and port to connect to for the container's `port`.
fn address(
    container: &ContainerInspectResponse,
    config: &DockerConfig,
    port: u16,
) -> Result<(String, String), String> {
    let own =
        |network: Option<&str>| Ok((own_address(container, config, network)?, port.to_string()));
    let public = || published(container, config, port);
    match &config.address {
        AddressChoice::Either => public().map_or_else(|| own(None), Ok),
        AddressChoice::Published => public().ok_or_else(|| {
            format!("port {port} is not published where it can be reached, use docker run -p")
        }),
        AddressChoice::Container => own(None),
        AddressChoice::Network(network) => own(Some(network)),
    }
}

/// Where the engine publishes `port`.
fn published(
    container: &ContainerInspectResponse,
    config: &DockerConfig,
    port: u16,
) -> Option<(String, String)> {
    let bindings = ports(container)?.get(&format!("{port}/tcp"))?.as_ref()?;
    bindings.iter().find_map(|PortBinding { host_ip, host_port }| {
        let port = host_port.clone().filter(|port| !port.is_empty())?;
        let (host, here) = config.engine.host();
        let host = match host_ip.as_deref().unwrap_or_default() {
            "" | "0.0.0.0" | "::" => host,
            // Another machine's loopback is not ours.
            "::1" if !here => return None,
            ip if ip.starts_with("127.") && !here => return None,
            ip => ip,
        };
        Some((host.to_owned(), port))
    })
}

/// The container's address in `network`, or in the only network it is in.
fn own_address(
    container: &ContainerInspectResponse,
    config: &DockerConfig,
    network: Option<&str>,
) -> Result<String, String> {
    let settings = container.network_settings.as_ref();
    let networks = settings.and_then(|s| s.networks.as_ref());
    let mut candidates: Vec<(&str, String)> = Vec::new();
    for (name, endpoint) in networks.into_iter().flatten() {
        let addresses = [&endpoint.ip_address, &endpoint.global_ipv6_address];
        let address = addresses.into_iter().flatten().find(|a| !a.is_empty());
        match address {
            Some(address) => candidates.push((name, address.clone())),
            // It has the network of the engine's host.
            None if name == "host" => candidates.push((name, config.engine.host().0.to_owned())),
            None => {}
        }
    }
    candidates.retain(|(name, _)| network.is_none_or(|network| network == *name));
    candidates.sort();
    match (candidates.as_slice(), network) {
        ([(_, address)], _) => Ok(address.clone()),
        ([], Some(network)) => Err(format!("it has no address in the network {network:?}")),
        ([], None) => Err("it has no address of its own, use docker run -p".into()),
        (several, _) => {
            let names: Vec<&str> = several.iter().map(|(name, _)| *name).collect();
            Err(format!("it is in the networks {}, use network=", names.join(", ")))
        }
    }
}

fn ports(
    container: &ContainerInspectResponse,
) -> Option<&HashMap<String, Option<Vec<PortBinding>>>> {
    container.network_settings.as_ref()?.ports.as_ref()
}
