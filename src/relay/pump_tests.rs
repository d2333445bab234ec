//! Tests of `pump.rs`.

use super::super::Sessions;
use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

const TEXT: &[u8] = b"\x81\x02hi";
const MASKED: &[u8] = b"\x81\x82\0\0\0\0hi";
const CLOSE_1000: &[u8] = b"\x88\x02\x03\xe8";

struct Rig {
    client: DuplexStream,
    upstream: DuplexStream,
    sessions: Sessions,
    relay: tokio::task::JoinHandle<Summary>,
}

fn rig(terms: Terms, room: usize) -> Rig {
    let (client, client_end) = duplex(room);
    let (upstream, upstream_end) = duplex(room);
    let sessions = Sessions::default();
    let session = sessions.enter();
    let relay = tokio::spawn(async move {
        let client = End { io: Box::new(client_end), early: Vec::new(), half_close: true };
        let upstream = End { io: Box::new(upstream_end), early: Vec::new(), half_close: true };
        match Relay::new(client, upstream, terms, session).run().await {
            Pause::Over(summary) => summary,
            Pause::MoveTo(_) => unreachable!("there is one thread"),
        }
    });
    Rig { client, upstream, sessions, relay }
}

const FOREVER: Terms = Terms { drain: Duration::from_secs(30), expires: None };

async fn rest_of(stream: &mut DuplexStream) -> Vec<u8> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.unwrap();
    all
}

#[tokio::test(start_paused = true)]
async fn a_close_handshake_passes_as_it_is() {
    let mut t = rig(FOREVER, 1024);
    t.client.write_all(MASKED).await.unwrap();
    t.client.write_all(b"\x88\x82\0\0\0\0\x03\xe8").await.unwrap();
    let mut got = vec![0; MASKED.len() + 8];
    t.upstream.read_exact(&mut got).await.unwrap();
    t.upstream.write_all(CLOSE_1000).await.unwrap();
    t.upstream.shutdown().await.unwrap();
    assert_eq!(rest_of(&mut t.client).await, CLOSE_1000);
    drop(t.client);
    let summary = t.relay.await.unwrap();
    assert_eq!(summary.outcome, Outcome::ClientClosed);
    assert_eq!(summary.close, Some(CloseCode(1000)));
    assert_eq!((summary.up.messages, summary.down.bytes), (1, 4));
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_ends_between_frames_becomes_1011() {
    let mut t = rig(FOREVER, 1024);
    t.upstream.write_all(TEXT).await.unwrap();
    t.upstream.shutdown().await.unwrap();
    let got = rest_of(&mut t.client).await;
    assert_eq!(got[..4], *TEXT);
    assert_eq!((got[4], &got[6..8]), (0x88, &1011u16.to_be_bytes()[..]));
    // What the client still sends goes upstream (half-close), then its end.
    t.client.write_all(MASKED).await.unwrap();
    t.client.shutdown().await.unwrap();
    assert_eq!(rest_of(&mut t.upstream).await, MASKED);
    let summary = t.relay.await.unwrap();
    assert_eq!(summary.outcome, Outcome::UpstreamLost);
    assert_eq!(summary.close, Some(CloseCode::UPSTREAM_LOST));
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_ends_inside_a_frame_adds_nothing() {
    let mut t = rig(FOREVER, 1024);
    t.upstream.write_all(&TEXT[..3]).await.unwrap();
    t.upstream.shutdown().await.unwrap();
    assert_eq!(rest_of(&mut t.client).await, TEXT[..3]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_half_closes_gets_the_rest_and_no_more() {
    let mut t = rig(FOREVER, 1024);
    t.client.write_all(MASKED).await.unwrap();
    t.client.shutdown().await.unwrap();
    assert_eq!(rest_of(&mut t.upstream).await, MASKED);
    tokio::time::sleep(Duration::from_secs(50)).await;
    t.upstream.write_all(TEXT).await.unwrap();
    drop(t.upstream);
    assert_eq!(rest_of(&mut t.client).await, TEXT);
    assert_eq!(t.relay.await.unwrap().outcome, Outcome::ClientLost);
}

#[tokio::test(start_paused = true)]
async fn a_half_closed_tunnel_without_traffic_ends_after_a_minute() {
    let mut t = rig(FOREVER, 1024);
    t.client.shutdown().await.unwrap();
    let begin = Instant::now();
    let summary = t.relay.await.unwrap();
    assert_eq!(begin.elapsed().as_secs(), HALF_CLOSED_IDLE.as_secs());
    assert_eq!(summary.outcome, Outcome::ClientLost);
}

#[tokio::test(start_paused = true)]
async fn stop_closes_with_1001_and_the_answer_goes_upstream() {
    let mut t = rig(FOREVER, 1024);
    t.upstream.write_all(TEXT).await.unwrap();
    tokio::task::yield_now().await;
    t.sessions.order(Order::Stop);
    let got = rest_of(&mut t.client).await;
    assert_eq!((got[4], &got[6..8]), (0x88, &1001u16.to_be_bytes()[..]));
    let answer = b"\x88\x82\0\0\0\0\x03\xe9";
    t.client.write_all(answer).await.unwrap();
    t.client.shutdown().await.unwrap();
    assert_eq!(rest_of(&mut t.upstream).await, answer);
    assert_eq!(t.relay.await.unwrap().outcome, Outcome::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_close_frame_waits_for_the_end_of_the_frame_under_way() {
    let mut t = rig(FOREVER, 1024);
    t.upstream.write_all(&TEXT[..3]).await.unwrap();
    let mut got = vec![0; 3];
    t.client.read_exact(&mut got).await.unwrap();
    t.sessions.order(Order::Stop);
    tokio::time::sleep(Duration::from_millis(100)).await;
    // The end of that frame and a whole one behind it, which comes too late.
    t.upstream.write_all(&[&TEXT[3..], TEXT].concat()).await.unwrap();
    let got = rest_of(&mut t.client).await;
    assert_eq!((got[0], got[1], &got[3..5]), (b'i', 0x88, &1001u16.to_be_bytes()[..]));
}

#[tokio::test(start_paused = true)]
async fn drain_lets_a_session_live_its_time_and_then_closes_with_1012() {
    let mut t = rig(FOREVER, 1024);
    let begin = Instant::now();
    t.sessions.order(Order::Drain);
    let got = rest_of(&mut t.client).await;
    assert_eq!(begin.elapsed().as_secs(), 30);
    assert_eq!(&got[2..4], 1012u16.to_be_bytes());
    drop(t.client);
    assert_eq!(t.relay.await.unwrap().outcome, Outcome::Drained);
}

#[tokio::test(start_paused = true)]
async fn a_session_expires_with_1008() {
    let terms = Terms { expires: Some(Duration::from_secs(5)), ..FOREVER };
    let mut t = rig(terms, 1024);
    assert_eq!(&rest_of(&mut t.client).await[2..4], 1008u16.to_be_bytes());
}

#[tokio::test(start_paused = true)]
async fn no_close_frame_follows_one_that_has_passed() {
    let mut t = rig(FOREVER, 1024);
    t.upstream.write_all(CLOSE_1000).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    t.sessions.order(Order::Stop);
    assert_eq!(rest_of(&mut t.client).await, CLOSE_1000);
    assert_eq!(t.relay.await.unwrap().outcome, Outcome::UpstreamClosed);
}

#[tokio::test]
async fn a_slow_reader_stops_the_other_side_and_nothing_is_lost() {
    let t = rig(FOREVER, 4096);
    let data: Vec<u8> = (0..3_000_000u32).map(|n| n as u8).collect();
    let frame = [b"\x82\x7f".as_slice(), &(data.len() as u64).to_be_bytes(), &data].concat();
    let (mut up_read, mut up_write) = tokio::io::split(t.upstream);
    let (mut cl_read, mut cl_write) = tokio::io::split(t.client);
    let sent = frame.clone();
    let writer = tokio::spawn(async move {
        up_write.write_all(&sent).await.unwrap();
        up_write.shutdown().await.unwrap();
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!writer.is_finished());
    let mut got = Vec::new();
    cl_read.read_to_end(&mut got).await.unwrap();
    assert!(got[..frame.len()] == frame, "differs");
    assert_eq!(&got[frame.len() + 2..frame.len() + 4], 1011u16.to_be_bytes());
    cl_write.shutdown().await.unwrap();
    assert_eq!(up_read.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    assert_eq!(t.relay.await.unwrap().down.bytes, frame.len() as u64);
}
