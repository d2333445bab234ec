//! Names of a cluster, from a real DNS server. glibc asks the one in /etc/resolv.conf at port 53,
//! so the test needs a network and a file of its own, and starts itself once more in there.

use super::containers::plain_at;
use super::programs::Program;
use super::*;
use rustix::process::{getgid, getuid};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Set for the test that runs in a network of its own.
const INSIDE: &str = "WSROUTE_CLUSTER";

/// What a pod has. All of 10.96.0.0/16, from which a cluster takes its Services, is this host.
const RESOLV_CONF: &str = "search desktops.svc.cluster.local svc.cluster.local cluster.local\n\
                           nameserver 10.96.0.10\noptions ndots:5\n";

/// Arguments: the resolv.conf to use, and what to run then.
const CLUSTER: &str = "ip link set lo up && ip route add local 10.96.0.0/16 dev lo &&
    echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start &&
    mount --bind \"$1\" /etc/resolv.conf && shift && exec \"$@\"";

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn kubernetes_dns() {
    match std::env::var_os(INSIDE) {
        None => in_a_network_of_its_own("kubernetes_dns"),
        Some(_) => services_are_found().await,
    }
}

/// Runs the test `name` of this file again. Root may make the network; others are root in a
/// namespace of users for that, and themselves again for the test.
fn in_a_network_of_its_own(name: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let resolv_conf = folder.path().join("resolv.conf");
    fs::write(&resolv_conf, RESOLV_CONF).expect("a file");
    let (_, module) = module_path!().split_once("::").expect("below the test's crate");
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount"]).env(INSIDE, "1");
    let (user, group) = (getuid().as_raw(), getgid().as_raw());
    let myself = [format!("--map-user={user}"), format!("--map-group={group}")];
    if user != 0 {
        command.arg("--map-root-user");
    }
    command.args(["sh", "-c", CLUSTER, "sh"]).arg(&resolv_conf);
    if user != 0 {
        command.arg("unshare").args(myself);
    }
    command.arg(std::env::current_exe().expect("this test"));
    command.args(["--exact", &format!("{module}::{name}"), "--nocapture"]);
    let output = command.output().expect("unshare of util-linux");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "in a network of its own: {said}"
    );
}

/// The DNS server of a cluster, and the folder of its Services: a file for each.
struct Dns {
    _server: Program,
    services: tempfile::TempDir,
}

impl Dns {
    fn start() -> Dns {
        let services = tempfile::tempdir().expect("a folder");
        let folder = format!("--hostsdir={}", services.path().display());
        let arguments = [
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--pid-file=",
            "--user=root",
            "--listen-address=10.96.0.10",
            "--bind-interfaces",
            "--no-resolv",
            "--no-hosts",
            "--local=/cluster.local/",
            &folder,
        ];
        Dns { _server: Program::start("/usr/sbin/dnsmasq", &arguments), services }
    }

    /// Gives the desktop of `user` an address, and waits until the name leads there.
    async fn service(&self, user: &str, address: Ipv4Addr) {
        let name = format!("desktop-{user}.desktops.svc.cluster.local");
        let file = self.services.path().join(user);
        // Complete from its first moment on: dnsmasq reads what it is told of at once.
        write_whole(&file, &format!("{address} {name}\n"));
        let found = || (name.as_str(), 6901).to_socket_addrs().is_ok();
        eventually(PATIENCE, &format!("{name} has an address"), found).await;
    }
}

fn write_whole(file: &Path, text: &str) {
    let outside = tempfile::NamedTempFile::new().expect("a file");
    fs::write(outside.path(), text).expect("a file");
    outside.persist(file).expect("a file that is moved");
}

async fn services_are_found() {
    let dns = Dns::start();
    let address = |n| Ipv4Addr::new(10, 96, 0, n);
    let desktop = |n, name| plain_at(SocketAddr::from((address(n), 6901)), name);
    let (alice, _bob) = (desktop(21, "alice's").await, desktop(22, "bob's").await);
    dns.service("alice", address(21)).await;
    dns.service("bob", address(22)).await;
    dns.service("mallory", Ipv4Addr::LOCALHOST).await;

    let hash = run("openssl", &["passwd", "-apr1", "builder"]);
    let others = ["carol", "mallory", "a.b"].map(|user| format!("{user}:{hash}"));
    let users = users() + "\n" + &others.concat();
    let httpd = start(example("kubernetes-dns", &[]).file("users", users)).await;
    httpd.log().allow(words::NOT_ALLOWED);
    let client = |user| browser(&httpd, "desktop.example.org", user);
    reaches(&client("alice"), "/websockify", "alice's").await;
    reaches(&client("bob"), "/websockify", "bob's").await;
    assert_eq!(alice.last_seen().header("Authorization"), "");
    assert_eq!(client("alice").get("/vnc.html").await.text(), "alice's /vnc.html");
    client("a.b").refused("/websockify", 404).await;
    client("alice").without("Authorization").refused("/websockify", 401).await;
    // Whatever the DNS says: not into httpd's own host.
    client("mallory").refused("/websockify", 403).await;

    // carol's pod starts while she waits: first there is no address, then nobody listens.
    let carol = client("carol");
    let (mut ws, _desktop) = tokio::join!(carol.upgrade("/websockify"), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        dns.service("carol", address(23)).await;
        desktop(23, "carol's").await
    });
    assert_eq!(ws.frame().await.text(), "carol's");
    ws.leave().await;
}
