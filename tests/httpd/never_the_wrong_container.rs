//! Ports are used again. What the cache knows about one container never leads into another.

use crate::harness::databases::Postgres;
use crate::harness::http_server::{HttpServer, Then, answer};
use crate::harness::*;
use crate::upgrade_reaches_the_right_upstream::users;
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Starts it with one child: all requests meet the same cache. On prefork one after the other.
pub async fn start_with_one_child(setup: Setup) -> Httpd {
    let httpd = setup.limits(limits_of_one_child()).start().await;
    // One child is few, and both the module and httpd may well say so.
    for text in ["AsyncRequestWorkerFactor", "ServerLimit is", "AH10159", "AH00161", "AH00484"] {
        httpd.log().allow(text);
    }
    httpd
}

fn limits_of_one_child() -> &'static str {
    match Mpm::of_this_run() {
        Mpm::Event => {
            "StartServers 1\nServerLimit 1\nThreadsPerChild 25\nMaxRequestWorkers 25\n\
             AsyncRequestWorkerFactor 300"
        }
        Mpm::Worker => {
            "StartServers 1\nServerLimit 1\nThreadLimit 400\nThreadsPerChild 400\nMaxRequestWorkers 400"
        }
        Mpm::Prefork => "StartServers 1\nServerLimit 1\nMaxRequestWorkers 1",
    }
}

/// A port, and whoever lives behind it now.
struct Door {
    address: SocketAddr,
    behind: Arc<Mutex<SocketAddr>>,
    task: JoinHandle<()>,
}

impl Door {
    async fn to(upstream: &Upstream) -> Door {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its number");
        let behind = Arc::new(Mutex::new(upstream.address));
        let shared = Arc::clone(&behind);
        let task = tokio::spawn(async move {
            while let Ok((mut here, _)) = listener.accept().await {
                let to = *shared.lock().expect("an address");
                tokio::spawn(async move {
                    let mut there = TcpStream::connect(to).await.expect("the upstream");
                    let _ = tokio::io::copy_bidirectional(&mut here, &mut there).await;
                });
            }
        });
        Door { address, behind, task }
    }

    /// Another container gets the port.
    fn lead_to(&self, upstream: &Upstream) {
        *self.behind.lock().expect("an address") = upstream.address;
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An application that knows where desktops are: lines `key JSON`, and whether it is well.
#[derive(Clone, Default)]
struct Desktops(Arc<Mutex<Vec<(String, String)>>>, Arc<AtomicBool>);

impl Desktops {
    fn set(&self, key: &str, json: String) {
        let mut all = self.0.lock().expect("desktops");
        all.retain(|(k, _)| k != key);
        all.push((key.to_owned(), json));
    }

    /// From now on it answers 500, or hangs up.
    fn fail(&self) {
        self.1.store(true, Ordering::SeqCst);
    }

    fn serve(&self) -> HttpServer {
        let desktops = self.clone();
        HttpServer::tcp(move |request, write| {
            if desktops.1.load(Ordering::SeqCst) {
                return write.write_all(&answer("500 No", "", "")).map(|()| Then::Close);
            }
            let key = request.target.trim_start_matches("/d/").split('?').next().unwrap_or("");
            let all = desktops.0.lock().expect("desktops");
            let found = all.iter().find(|(k, _)| k == key).map_or("null", |(_, json)| json);
            write.write_all(&answer("200 OK", "", found)).map(|()| Then::Keep)
        })
    }
}

fn resolver(api: &HttpServer, options: &str) -> String {
    format!("WsRouteResolver desktops http http://{}/d/{{key}} {options}\n", api.address())
}

fn route(more: &str) -> String {
    location("/", &format!("WsRoute desktops\nWsRouteKey query:k\n{more}"))
}

async fn start(conf: String) -> Httpd {
    start_with_one_child(Httpd::with(conf)).await
}

/// Who answers for `key`.
async fn who(httpd: &Httpd, path: &str) -> String {
    let mut ws = httpd.client().upgrade(path).await;
    let name = ws.frame().await.text();
    ws.leave().await;
    name
}

/// A named container that shows `certificate`; and how many requests it was sent.
async fn container(certificate: &Certificate, name: &'static str) -> (Upstream, Arc<AtomicUsize>) {
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    let upstream = Upstream::serve_tls(certificate, move |mut conn| {
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            conn.accept_with("", &frame(TEXT, true, false, name.as_bytes())).await;
            while let Some(f) = conn.ws.next().await {
                let bytes = frame(f.op, f.fin, false, &f.data);
                if conn.ws.try_raw(&bytes).await.is_err() || f.op == CLOSE {
                    return;
                }
            }
        }
    });
    (upstream.await, requests)
}

fn fingerprint(certificate: &Certificate) -> String {
    let digest = Sha256::digest(certificate.der());
    digest.iter().map(|b| format!("{b:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_certificate_is_another_container() {
    let pki = Pki::get();
    let (alice, _) = container(&pki.self_signed, "alice").await;
    let (bob, requests) = container(&pki.elsewhere, "bob").await;
    let door = Door::to(&alice).await;
    let pin = fingerprint(&pki.self_signed);
    let row = |at: SocketAddr| format!(r#"{{"target":"wss://{at}","pin":"sha256:{pin}"}}"#);
    let desktops = Desktops::default();
    desktops.set("alice", row(door.address));
    let api = desktops.serve();
    let httpd = start(resolver(&api, "ttl=10min") + &route("")).await;
    httpd.log().allow("pin-mismatch");
    assert_eq!(who(&httpd, "/?k=alice").await, "alice");
    assert_eq!(who(&httpd, "/?k=alice").await, "alice");
    assert_eq!(api.received().len(), 1);

    // Bob's container gets alice's port, and the application still says the old one.
    door.lead_to(&bob);
    let client = httpd.client().basic("alice", "secret").header("Cookie", "portal=secret");
    client.refused("/?k=alice", 502).await;
    assert_eq!(api.received().len(), 2, "it was not asked anew");
    httpd.log().expect("pin-mismatch").await;

    // The application knows better by now.
    desktops.set("alice", row(alice.address));
    assert_eq!(who(&httpd, "/?k=alice").await, "alice");
    assert!(bob.connections() > 0, "the port was not tried");
    drop(httpd);
    // TLS was begun, but not a byte of the request went there: cookies, credentials.
    assert_eq!(requests.load(Ordering::SeqCst), 0);
}

/// A pin that cannot be looked at is no pin: without TLS nobody shows a certificate.
#[tokio::test(flavor = "multi_thread")]
async fn a_pin_is_not_passed_over() {
    let up = Upstream::echo().await;
    let pin = fingerprint(&Pki::get().self_signed);
    let desktops = Desktops::default();
    for (key, target) in [
        ("bare", up.address.to_string()),
        ("url", up.url()),
        ("http", format!("http://{}", up.address)),
    ] {
        let credentials = r#""username":"kasm","password":"secret""#;
        let row = format!(r#"{{"target":"{target}","pin":"sha256:{pin}",{credentials}}}"#);
        desktops.set(key, row);
    }
    let api = desktops.serve();
    let own = format!("WsRoute {}\nWsRouteUpstream pin=sha256:{pin}", up.url());
    let httpd = start(resolver(&api, "") + &route("") + &location("/own", &own)).await;
    for path in ["/?k=bare", "/?k=url", "/?k=http", "/own"] {
        httpd.client().refused(path, 502).await;
    }
    httpd.log().expect_count(4, "pin").await;
    assert_eq!(up.connections(), 0);
}

/// The first question is about alice; then her port is bob's, who is asked about.
#[tokio::test(flavor = "multi_thread")]
async fn where_another_id_moved_in() {
    let (alice, bob) = (Upstream::named("alice").await, Upstream::named("bob").await);
    let door = Door::to(&alice).await;
    let row = |at: SocketAddr, id: &str| format!(r#"{{"target":"{at}","id":"{id}"}}"#);
    let desktops = Desktops::default();
    desktops.set("alice", row(door.address, "c1"));
    let api = desktops.serve();
    let httpd = start(resolver(&api, "ttl=10min stale=10min") + &route("")).await;
    assert_eq!(who(&httpd, "/?k=alice").await, "alice");

    door.lead_to(&bob);
    desktops.set("alice", row(alice.address, "c1"));
    desktops.set("bob", row(door.address, "c2"));
    assert_eq!(who(&httpd, "/?k=bob").await, "bob");
    assert_eq!(who(&httpd, "/?k=alice").await, "alice");
    assert_eq!(who(&httpd, "/?k=bob").await, "bob");

    // Back again, and alice is not asked about at all: her container is gone.
    door.lead_to(&alice);
    desktops.set("bob", "null".into());
    desktops.set("carol", row(door.address, "c3"));
    who(&httpd, "/?k=carol").await;
    httpd.client().refused("/?k=bob", 404).await;
    httpd.log().expect(words::UNKNOWN_KEY).await;

    // Nor does an outage bring the forgotten answer back.
    desktops.set("dave", row(alice.address, "c4"));
    who(&httpd, "/?k=dave").await;
    desktops.fail();
    httpd.client().refused("/?k=alice", 502).await;
    httpd.log().expect("resolver-failed").await;
}

/// One container, several answers in the cache: for each host the question is another one.
#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_known_of_the_former_one_is_forgotten() {
    let (alice, bob) = (Upstream::named("alice").await, Upstream::named("bob").await);
    let door = Door::to(&alice).await;
    let row = |at: SocketAddr, id: &str| format!(r#"{{"target":"{at}","id":"{id}"}}"#);
    let desktops = Desktops::default();
    desktops.set("alice", row(door.address, "c1"));
    let api = desktops.serve();
    let resolver = format!(
        "WsRouteResolver desktops http http://{}/d/{{key}}?host={{host}} ttl=10min\n\
         WsRouteOrigin any\n",
        api.address()
    );
    let httpd = start(resolver + &route("")).await;
    let at = async |host: &str, key: &str| {
        let mut ws = httpd.client().host(host).upgrade(&format!("/?k={key}")).await;
        let name = ws.frame().await.text();
        ws.leave().await;
        name
    };
    assert_eq!(at("one.example", "alice").await, "alice");
    assert_eq!(at("two.example", "alice").await, "alice");
    door.lead_to(&bob);
    desktops.set("alice", row(alice.address, "c1"));
    desktops.set("bob", row(door.address, "c2"));
    assert_eq!(at("one.example", "bob").await, "bob");
    assert_eq!(at("two.example", "alice").await, "alice");
    assert_eq!(at("one.example", "alice").await, "alice");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_listens_the_cache_has_no_say() {
    let (alice, moved) = (Upstream::named("alice").await, Upstream::named("moved").await);
    let target = |at: SocketAddr| format!(r#"{{"target":"{at}"}}"#);
    let desktops = Desktops::default();
    desktops.set("alice", target(alice.address));
    let api = desktops.serve();
    let httpd = start(resolver(&api, "ttl=10min stale=10min") + &route("")).await;
    httpd.log().allow(words::REFUSED);
    assert_eq!(who(&httpd, "/?k=alice").await, "alice");
    let gone = alice.end().await;
    // The application does not know yet: asked anew, once, and refused.
    httpd.client().refused("/?k=alice", 502).await;
    assert_eq!(api.received().len(), 2);
    desktops.set("alice", target(moved.address));
    assert_eq!(who(&httpd, "/?k=alice").await, "moved");
    // The application is out of order while a stranger gets the port: what was forgotten is no
    // stale answer.
    moved.end().await;
    desktops.fail();
    httpd.client().refused("/?k=alice", 502).await;
    let stranger = Upstream::echo_at(gone).await;
    httpd.client().refused("/?k=alice", 502).await;
    assert_eq!(stranger.connections(), 0);
    httpd.log().expect("resolver-failed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_answer_has_an_end() {
    let up = Upstream::named("alice").await;
    let desktops = Desktops::default();
    desktops.set("alice", format!(r#"{{"target":"{}"}}"#, up.address));
    let api = desktops.serve();
    let conf = resolver(&api, "ttl=200ms negative=100ms stale=1s") + &route("");
    let httpd = start(conf).await;
    assert_eq!(who(&httpd, "/?k=alice").await, "alice");
    let known = Instant::now();
    desktops.fail();
    let end = ms(1_200);
    let mut served = 0;
    loop {
        let before = known.elapsed();
        let answer = httpd.client().ask("/?k=alice").await;
        let after = known.elapsed();
        match answer {
            Answer::Upgraded(_, ws) => {
                assert!(before < end, "stale after {before:?}");
                served += 1;
                drop(ws);
            }
            Answer::Refused(r, _) => {
                assert_eq!(r.status, 502);
                // The answer is some milliseconds younger than its session.
                assert!(after > end - ms(150), "no stale answer after {after:?}");
                break;
            }
        }
        tokio::time::sleep(ms(50)).await;
    }
    assert!(served > 3, "{served} sessions");
    for _ in 0..5 {
        httpd.client().refused("/?k=alice", 502).await;
        tokio::time::sleep(ms(100)).await;
    }
    httpd.log().expect("resolver-failed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_its_answer() {
    let up = Upstream::echo().await;
    let desktops = Desktops::default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs_f64();
    let expires = now + 2.0;
    desktops.set("alice", format!(r#"{{"target":"{}","expires":{expires}}}"#, up.address));
    desktops.set("bob", format!(r#"{{"target":"{}","expires":{}}}"#, up.address, now - 1.0));
    let api = desktops.serve();
    let conf = resolver(&api, "ttl=10min") + &route("");
    // Two sessions at once, also on prefork.
    let httpd = Httpd::with(conf).tls().start().await;
    httpd.client().refused("/?k=bob", 403).await;
    let mut sessions = Vec::new();
    for client in [httpd.client(), httpd.tls_client(Tls::V13)] {
        let mut ws = client.upgrade("/?k=alice").await;
        ws.echo("in time").await;
        sessions.push(ws);
    }
    for mut ws in sessions {
        ws.expect_close(1008).await;
        ws.expect_end().await;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs_f64();
    assert!((expires - 0.05..expires + 1.5).contains(&now), "{} s late", now - expires);
    up.until_open(0, SOON).await;
    // The cached answer is over, too.
    httpd.client().refused("/?k=alice", 403).await;
    httpd.log().expect("expired").await;
    assert_eq!(up.connections(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_owner_is_obeyed_after_the_ttl() {
    let up = Upstream::echo().await;
    let db = Postgres::start();
    db.sql("CREATE TABLE desktops (name text PRIMARY KEY, host text, port int, owner text)");
    db.sql(&format!(
        "INSERT INTO desktops VALUES ('desk', '127.0.0.1', {}, 'alice')",
        up.address.port()
    ));
    let login = "AuthType Basic\nAuthName d\nAuthUserFile \"${ROOT}/users\"\nRequire valid-user";
    let conf = format!(
        "WsRouteResolver desktops sql {} query=\"SELECT host, port, owner FROM desktops \
         WHERE name = :key\" ttl=500ms\n",
        db.url()
    ) + &route(&format!("WsRouteOwner \"%{{REMOTE_USER}}\"\n{login}"));
    let httpd = start_with_one_child(Httpd::with(conf).file("users", users())).await;
    let (alice, bob) =
        (httpd.client().basic("alice", "wonder"), httpd.client().basic("bob", "builder"));
    alice.upgrade("/?k=desk").await.leave().await;
    bob.refused("/?k=desk", 403).await;
    db.sql("UPDATE desktops SET owner = 'bob'");
    tokio::time::sleep(Duration::from_millis(600)).await;
    alice.refused("/?k=desk", 403).await;
    bob.upgrade("/?k=desk").await.leave().await;
    // Nobody's is nobody's.
    db.sql("UPDATE desktops SET owner = NULL");
    tokio::time::sleep(Duration::from_millis(600)).await;
    alice.refused("/?k=desk", 403).await;
    bob.refused("/?k=desk", 403).await;
    httpd.log().expect(words::NOT_YOURS).await;
    assert_eq!(up.connections(), 2);
}
