//! Frames in the same segment as the request, and frames right behind the 101.

use crate::harness::*;

const REPETITIONS: usize = 24;

#[tokio::test(flavor = "multi_thread")]
async fn of_the_client_and_of_the_upstream() {
    let up = Upstream::named("right behind the 101").await;
    let httpd = Httpd::with(ws("/ws", &up.url())).tls().start().await;
    for (how, client) in httpd.clients() {
        for size in [5, 3_000, 20_000] {
            for round in 0..REPETITIONS {
                let data: Vec<u8> = (0..size).map(|i| (i * 31 + round) as u8).collect();
                let early = frame(BINARY, true, true, &data);
                let (_, mut ws) = client.upgrade_with("/ws", &early).await;
                let hello = ws.frame().await;
                assert_eq!(hello.text(), "right behind the 101", "{how} {size} {round}");
                let back = ws.frame().await;
                assert!(back.data == data, "{how} {size} {round}: {back:?}");
                if round % 8 == 0 {
                    ws.echo("and then").await;
                    ws.leave().await;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_begun_early_and_finished_late() {
    let up = Upstream::named("hello").await;
    let httpd = Httpd::with(ws("/ws", &up.url())).tls().start().await;
    for (how, client) in httpd.clients() {
        for cut in [1, 3, 7, 100, 4_000] {
            let bytes = frame(BINARY, true, true, &[7; 5_000]);
            let (early, late) = bytes.split_at(cut);
            let (_, mut ws) = client.upgrade_with("/ws", early).await;
            assert_eq!(ws.frame().await.text(), "hello", "{how} {cut}");
            ws.raw(late).await;
            assert!(ws.frame().await.data == [7; 5_000], "{how} {cut}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_says_all_and_leaves() {
    let up = Upstream::serve(|mut conn| async move {
        let mut early = frame(TEXT, true, false, b"all I have to say");
        early.extend(frame(BINARY, true, false, &[1; 30_000]));
        early.extend(frame(CLOSE, true, false, &1000u16.to_be_bytes()));
        conn.accept_with("", &early).await;
        let _ = tokio::io::AsyncWriteExt::shutdown(&mut conn.ws.io).await;
        drain(conn).await;
    })
    .await;
    let httpd = Httpd::with(ws("/ws", &up.url())).tls().start().await;
    for (how, client) in httpd.clients() {
        for _ in 0..20 {
            let mut ws = client.upgrade("/ws").await;
            assert_eq!(ws.frame().await.text(), "all I have to say", "{how}");
            assert_eq!(ws.frame().await.data.len(), 30_000, "{how}");
            ws.expect_close(1000).await;
            ws.close(1000, "").await;
            ws.expect_end().await;
        }
    }
}
