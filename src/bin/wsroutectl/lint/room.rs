//! Whether httpd has room for WebSockets: MPM, threads, children.

use mod_wsroute::apache::{Directive, Place};
use mod_wsroute::config::headroom::{DEFAULT_FACTOR, Headroom};

use super::finding::Finding;
use super::site::Site;

/// A worker or a process for each WebSocket.
pub fn mpm(site: &Site<'_>) -> Vec<Finding> {
    let Some(mpm @ ("worker" | "prefork")) = site.config.modules.mpm() else { return Vec::new() };
    let Some(routed) = site.routed.first() else { return Vec::new() };
    let line = site.config.main().base.all("LoadModule").find(|line| line.args.contains(mpm));
    let place = line.map_or(&routed.line.place, |line| &line.place);
    let each = if mpm == "worker" { "thread" } else { "process" };
    let most = requests(site, mpm);
    let what = format!("on mpm_{mpm} each WebSocket holds a {each}, and there are {most}");
    let mend = format!("use mpm_event (Debian: a2dismod mpm_{mpm}; a2enmod mpm_event)");
    vec![Finding::warning(place, what, mend)]
}

/// What the module itself warns of at its start, on event.
pub fn headroom(site: &Site<'_>) -> Vec<Finding> {
    let (Some(room), Some(routed)) = (event(site), site.routed.first()) else { return Vec::new() };
    let mend = "see conf/wsroute.conf";
    let at = |name: &str| setting(site, &[name]).map_or(&routed.line.place, |line| &line.place);
    let factor = room.factor_warning();
    let factor = factor.map(|text| Finding::warning(at("AsyncRequestWorkerFactor"), text, mend));
    let limit = room.limit_warning();
    let limit = limit.map(|text| Finding::warning(at("ServerLimit"), text, mend));
    factor.into_iter().chain(limit).collect()
}

/// `--sessions N`
pub fn sessions(site: &Site<'_>) -> Vec<Finding> {
    let Some(wanted) = site.sessions else { return Vec::new() };
    let start = Place { file: site.config.main().place.file.clone(), line: 1 };
    let at = |line: Option<&Directive>| line.map_or(start.clone(), |line| line.place.clone());
    let factor = setting(site, &["AsyncRequestWorkerFactor"]);
    let workers = setting(site, &["MaxRequestWorkers", "MaxClients"]);
    let (place, most, how, mend) = match (event(site), site.config.modules.mpm()) {
        (Some(room), _) => (
            at(factor.or(workers)),
            room.total(),
            format!(
                "{} children x ({} threads + factor {} x {} idle threads)",
                room.children, room.threads, room.factor, room.threads
            ),
            "raise AsyncRequestWorkerFactor, then MaxRequestWorkers, as conf/wsroute.conf does",
        ),
        (None, Some(mpm)) => (
            at(workers),
            f64::from(requests(site, mpm)),
            "MaxRequestWorkers".to_owned(),
            "use mpm_event, or raise MaxRequestWorkers and ServerLimit",
        ),
        (None, None) => {
            let what = "no MPM is loaded here, so the room for WebSockets is not known";
            return vec![Finding::note(&start, what, "name the file that httpd itself reads")];
        }
    };
    if most > f64::from(wanted) {
        return Vec::new();
    }
    let what =
        format!("{wanted} WebSockets leave no connection for HTTP: there are {most:.0}, {how}");
    vec![Finding::warning(&place, what, mend)]
}

/// The limits of mpm_event, with httpd's own defaults.
fn event(site: &Site<'_>) -> Option<Headroom> {
    if site.config.modules.mpm() != Some("event") {
        return None;
    }
    let threads = number(site, &["ThreadsPerChild"], 25).max(1);
    let server_limit = number(site, &["ServerLimit"], 16);
    let requests = number(site, &["MaxRequestWorkers", "MaxClients"], server_limit * threads);
    let factor = setting(site, &["AsyncRequestWorkerFactor"]);
    let factor = factor.and_then(|line| line.words().first()?.parse().ok());
    Some(Headroom {
        factor: factor.unwrap_or(DEFAULT_FACTOR),
        threads,
        children: (requests / threads).max(1),
        server_limit,
    })
}

/// `MaxRequestWorkers` of worker and prefork.
fn requests(site: &Site<'_>, mpm: &str) -> u32 {
    let usual = match mpm {
        "prefork" => number(site, &["ServerLimit"], 256),
        _ => number(site, &["ServerLimit"], 16) * number(site, &["ThreadsPerChild"], 25),
    };
    number(site, &["MaxRequestWorkers", "MaxClients"], usual)
}

fn number(site: &Site<'_>, names: &[&str], usual: u32) -> u32 {
    let line = setting(site, names);
    line.and_then(|line| line.words().first()?.parse().ok()).unwrap_or(usual)
}

/// The last of these lines in the main server.
fn setting<'c>(site: &Site<'c>, names: &[&str]) -> Option<&'c Directive> {
    let mut main = site.config.main().base.directives.iter();
    main.rfind(|line| names.iter().any(|name| line.is(name)))
}
