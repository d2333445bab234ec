//! VS Code's own protocol, as far as a page speaks it before it shows a file: messages with a
//! header of 13 bytes in binary frames, calls of named channels in them.

use crate::harness::*;
use serde_json::{Value, json};
use std::time::Duration;

const REGULAR: u8 = 1;
const CONTROL: u8 = 2;
const CALL: usize = 100;

/// A session with the server of a VS Code.
pub struct VsCode {
    ws: Ws,
    sent: usize,
}

impl VsCode {
    /// Where the page of this version of VS Code opens its WebSocket.
    pub fn path(commit: &str) -> String {
        format!(
            "/stable-{commit}?reconnectionToken=d2c3&reconnection=false&skipWebSocketFrames=false"
        )
    }

    /// Opens a session.
    pub async fn open(client: &Client, commit: &str) -> VsCode {
        let ws = client.upgrade(&VsCode::path(commit)).await;
        let mut session = VsCode { ws, sent: 0 };
        let auth = json!({ "type": "auth", "auth": "00000000000000000000", "data": "" });
        session.message(CONTROL, auth.to_string().as_bytes()).await;
        session.until("\"type\":\"sign\"").await;
        let management = json!({ "type": "connectionType", "commit": commit, "signedData": "",
                                 "desiredConnectionType": 1 });
        session.message(CONTROL, management.to_string().as_bytes()).await;
        session.until("{\"type\":\"ok\"}").await;
        let context = object(json!({ "remoteAuthority": "tests", "clientId": "renderer" }));
        session.message(REGULAR, &context).await;
        session
    }

    /// Calls `channel.command(argument)` and awaits an answer with `expected` in it.
    pub async fn call(&mut self, channel: &str, command: &str, argument: Value, expected: &str) {
        let header = [number(CALL), number(self.sent), string(channel), string(command)];
        let call = [array(&header), object(argument)].concat();
        self.message(REGULAR, &call).await;
        self.until(expected).await;
    }

    async fn message(&mut self, kind: u8, data: &[u8]) {
        let id = if kind == REGULAR { self.sent + 1 } else { 0 };
        self.sent = self.sent.max(id);
        let numbers = [id, 0, data.len()].map(|n| (n as u32).to_be_bytes()).concat();
        self.ws.send(BINARY, &[&[kind], numbers.as_slice(), data].concat()).await;
    }

    /// Reads until `expected` has come.
    async fn until(&mut self, expected: &str) {
        let mut said = String::new();
        let reading = async {
            while !said.contains(expected) {
                let frame = self.ws.next().await.expect("code-server goes on talking");
                said += &frame.text();
            }
        };
        within(Duration::from_secs(60), &format!("{expected:?} from code-server"), reading).await;
    }
}

/// A value with its tag and its length in front.
fn tagged(tag: u8, length: usize, bytes: &[u8]) -> Vec<u8> {
    [&[tag], variable(length).as_slice(), bytes].concat()
}

fn string(text: &str) -> Vec<u8> {
    tagged(1, text.len(), text.as_bytes())
}

fn array(items: &[Vec<u8>]) -> Vec<u8> {
    tagged(4, items.len(), &items.concat())
}

fn object(value: Value) -> Vec<u8> {
    let text = value.to_string();
    tagged(5, text.len(), text.as_bytes())
}

fn number(n: usize) -> Vec<u8> {
    tagged(6, n, b"")
}

/// Seven bits a byte, the lowest first; the highest bit says that more follow.
fn variable(n: usize) -> Vec<u8> {
    match n {
        ..=127 => vec![n as u8],
        _ => [vec![n as u8 | 0x80], variable(n >> 7)].concat(),
    }
}
