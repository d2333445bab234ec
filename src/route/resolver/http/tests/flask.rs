//! The first user's own interface, as a real Flask application.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::*;

const APP: &str = r#"
from flask import Flask, abort, jsonify, request
from werkzeug.serving import make_server

app = Flask(__name__)

@app.get("/api/apache/container-target/<path:path>")
def target(path):
    if request.headers.get("X-API-Key") != "hunter2":
        abort(401)
    return jsonify(target={"alice/desk": "10.0.0.5:6901", "bob": "10.0.0.6:6901"}.get(path))

@app.get("/who")
def who():
    return jsonify(target=request.cookies["session"] + ":1")

server = make_server("127.0.0.1", 0, app, threaded=True)
print(server.port, flush=True)
server.serve_forever()
"#;

struct Flask {
    process: Child,
    port: u16,
}

impl Flask {
    fn start() -> Flask {
        // Debian's, whatever other Python is in the way.
        let mut process = Command::new("/usr/bin/python3")
            .args(["-c", APP])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("/usr/bin/python3 is needed by the tests");
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse();
        let port = port.expect("Flask is needed by the tests: apt-get install python3-flask");
        Flask { process, port }
    }
}

impl Drop for Flask {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn the_first_users_application() {
    let flask = Flask::start();
    let base = format!("http://127.0.0.1:{}", flask.port);
    let api = format!("{base}/api/apache/container-target/{{key}}");
    let d = resolver(&api, &["header=X-API-Key: hunter2"]);
    for (key, expected) in [
        ("alice/desk", some("ws://10.0.0.5:6901")),
        ("bob", some("ws://10.0.0.6:6901")),
        ("nobody", Ok(None)),
        ("bob/../alice/desk", Ok(None)),
        ("bob?x", Ok(None)),
        ("bob#x", Ok(None)),
        ("%62ob", Ok(None)),
        ("ä b", Ok(None)),
    ] {
        assert_eq!(target(&d, key).await, expected, "{key}");
    }
    let wrong = resolver(&api, &["header=X-API-Key: hunter3"]);
    assert_eq!(target(&wrong, "bob").await, Err(ResolveError::Unauthorized(401)));

    let who = resolver(&format!("{base}/who"), &["forward=Cookie"]);
    for name in ["alice", "bob"] {
        let cookie = [("Cookie".to_owned(), format!("session={name}").into_bytes())];
        let query = Query { headers: cookie.as_slice().into(), ..query("k") };
        let answer = who.resolve(query).await.unwrap().unwrap();
        assert_eq!(answer.target.unwrap().to_string(), format!("ws://{name}:1"));
    }
}
