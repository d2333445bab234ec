//! A WebSocket inside HTTP/2 (RFC 8441).

use crate::harness::*;
use bytes::Bytes;
use h2::client::SendRequest;
use h2::ext::Protocol;
use http::{Method, Request, StatusCode};

async fn start(conf: String) -> Option<Httpd> {
    if Mpm::of_this_run() == Mpm::Prefork {
        println!("nothing to do on Prefork: mod_http2 does not work there");
        return None;
    }
    let setup = Httpd::with(conf).tls().module("http2").global("Protocols h2 h2c http/1.1");
    Some(setup.global("H2WebSockets on").start().await)
}

/// An HTTP/2 connection whose server has announced extended CONNECT.
async fn connection(client: &Client) -> SendRequest<Bytes> {
    let io = client.connect_alpn(&["h2"]).await;
    let (send, connection) = h2::client::handshake(io).await.expect("HTTP/2");
    tokio::spawn(async move {
        let _ = connection.await;
    });
    let mut send = send.ready().await.expect("a stream");
    let known = || send.is_extended_connect_protocol_enabled();
    eventually(SOON, "SETTINGS_ENABLE_CONNECT_PROTOCOL", known).await;
    send = send.ready().await.expect("a stream");
    send
}

struct Stream {
    send: h2::SendStream<Bytes>,
    receive: h2::RecvStream,
    buffer: Vec<u8>,
}

async fn ask(h2: &mut SendRequest<Bytes>, path: &str) -> (StatusCode, Stream) {
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri(format!("http://localhost{path}"))
        .extension(Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", "binary")
        .header("cookie", "a=b")
        .body(())
        .expect("a request");
    let (response, send) = h2.send_request(request, false).expect("sent");
    let response = within(SOON, "an answer", response).await.expect("an answer");
    let status = response.status();
    (status, Stream { send, receive: response.into_body(), buffer: Vec::new() })
}

impl Stream {
    fn write(&mut self, bytes: Vec<u8>) {
        self.send.send_data(bytes.into(), false).expect("sent");
    }

    async fn read(&mut self, n: usize) -> Vec<u8> {
        let reading = async {
            while self.buffer.len() < n {
                let Some(data) = self.receive.data().await else { return };
                let data = data.expect("data");
                self.receive.flow_control().release_capacity(data.len()).expect("capacity");
                self.buffer.extend_from_slice(&data);
            }
        };
        within(SOON, "bytes", reading).await;
        let n = n.min(self.buffer.len());
        self.buffer.drain(..n).collect()
    }

    async fn echo(&mut self, data: &[u8]) {
        self.write(frame(BINARY, true, true, data));
        let expected = frame(BINARY, true, false, data);
        assert!(self.read(expected.len()).await == expected, "the echo of {} bytes", data.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_plaintext_and_tls() {
    let up = Upstream::echo().await;
    let Some(httpd) = start(ws("/ws", &up.url())).await else { return };
    for (n, client) in [httpd.client(), httpd.tls_client(Tls::V13)].into_iter().enumerate() {
        let mut h2 = connection(&client).await;
        let (status, mut stream) = ask(&mut h2, "/ws?x=1").await;
        assert_eq!(status, 200);
        for size in [0, 5, 300, 16_384, 200_000] {
            stream.echo(&vec![7; size]).await;
        }
        // Another stream beside it, and then a page on the same connection.
        let (status, mut other) = ask(&mut h2, "/ws?x=2").await;
        assert_eq!(status, 200);
        other.echo(b"beside").await;
        stream.echo(b"still").await;
        let seen = up.last().await;
        assert_eq!(seen.target(), "/ws?x=2");
        assert_eq!(seen.all("Cookie"), ["a=b"]);
        assert_eq!(seen.all("Upgrade").len(), 1);
        for stream in [&mut stream, &mut other] {
            stream.write(frame(CLOSE, true, true, &1000u16.to_be_bytes()));
            let close = frame(CLOSE, true, false, &1000u16.to_be_bytes());
            assert_eq!(stream.read(close.len()).await, close);
            assert!(stream.read(1).await.is_empty(), "the stream ends");
        }
        httpd.log().expect_count(2 * n + 2, words::SESSION_ENDED).await;
        up.until_open(0, SOON).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_answers() {
    let foreign = "WsRouteOrigin same";
    let up = Upstream::echo().await;
    let conf = location("/ws", &format!("WsRoute \"{}\"\n{foreign}\nRequire all denied", up.url()))
        + &ws("/down", "ws://127.0.0.1:9");
    let Some(httpd) = start(conf).await else { return };
    httpd.log().allow("AH01630");
    httpd.log().allow(words::REFUSED);
    let mut h2 = connection(&httpd.client()).await;
    assert_eq!(ask(&mut h2, "/ws").await.0, 403);
    assert_eq!(ask(&mut h2, "/down").await.0, 502);
    assert_eq!(up.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_lost_is_reported() {
    let up = Upstream::serve(|mut conn| async move {
        conn.accept().await;
        conn.ws.send(TEXT, b"before").await;
    })
    .await;
    let Some(httpd) = start(ws("/ws", &up.url())).await else { return };
    httpd.log().allow("upstream");
    let mut h2 = connection(&httpd.client()).await;
    let (status, mut stream) = ask(&mut h2, "/ws").await;
    assert_eq!(status, 200);
    let mut expected = frame(TEXT, true, false, b"before");
    expected.extend(&[0x88]);
    let got = stream.read(expected.len()).await;
    assert_eq!(got, expected);
    let length = stream.read(1).await[0] as usize;
    let payload = stream.read(length).await;
    assert_eq!(payload[..2], 1011u16.to_be_bytes());
}
