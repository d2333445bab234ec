//! A lot of bytes, both ways at once. `WSROUTE_SOAK_MB=200` makes it a soak.

use crate::harness::*;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

fn megabytes() -> usize {
    let soak = std::env::var("WSROUTE_SOAK_MB").ok();
    soak.map_or(20, |mb| mb.parse().expect("WSROUTE_SOAK_MB is a number")) << 20
}

async fn source_and_sink(tell: mpsc::UnboundedSender<usize>) -> Upstream {
    Upstream::serve(move |mut conn| {
        let tell = tell.clone();
        async move {
            conn.accept().await;
            let early = std::mem::take(&mut conn.ws.buffer);
            let (mut reader, mut writer) = conn.ws.io.halves();
            let source = tokio::spawn(async move {
                patterned(1, megabytes(), false).pour(&mut writer).await.expect("written");
            });
            let mut checked = Checked::new(patterned(2, megabytes(), true));
            checked.take(&early);
            checked.drink(&mut reader).await;
            source.await.expect("the source");
            let _ = tell.send(checked.received);
            // The client ends it: a Close frame of httpd's would not belong to the stream.
            let _ = reader.read_to_end(&mut Vec::new()).await;
        }
    })
    .await
}

async fn both_ways(client: &Client, told: &mut mpsc::UnboundedReceiver<usize>, new_keys: bool) {
    let ws = client.upgrade("/ws").await;
    let (mut reader, mut writer) = ws.io.halves();
    let source = tokio::spawn(async move {
        let mut stream = patterned(2, megabytes(), true);
        if new_keys {
            stream.pour_with(&mut writer, 5 << 20, |w| w.with(Io::update_keys)).await
        } else {
            stream.pour(&mut writer).await
        }
    });
    let mut checked = Checked::new(patterned(1, megabytes(), false));
    checked.take(&ws.buffer);
    let limit = SOON * (3 + megabytes() as u32 / (20 << 20));
    within(limit, "all from the upstream", checked.drink(&mut reader)).await;
    within(limit, "all written", source).await.expect("the source").expect("written");
    let there = within(limit, "all at the upstream", told.recv()).await.expect("a report");
    assert!(there > megabytes(), "frames have heads");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_plaintext_and_tls() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let up = source_and_sink(tell).await;
    let httpd = Httpd::with(ws("/ws", &up.url())).tls().start().await;
    for (_, client) in httpd.clients() {
        both_ways(&client, &mut told, false).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_new_keys_on_the_way() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let up = source_and_sink(tell).await;
    let httpd = Httpd::with(ws("/ws", &up.url())).tls().start().await;
    both_ways(&httpd.tls_client(Tls::V13), &mut told, true).await;
}
