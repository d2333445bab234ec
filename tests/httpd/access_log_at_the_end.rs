//! The access log has a session's line when it is over, with its true duration and bytes.

use crate::harness::*;

const BYTES: usize = 100_000;

#[tokio::test(flavor = "multi_thread")]
async fn duration_bytes_and_key_are_true() {
    let up = Upstream::echo().await;
    let lines = format!("WsRoute \"{}/{{key}}\"\nWsRouteKey query:desktop", up.url());
    let httpd = Httpd::with(location("/ws", &lines)).tls().start().await;
    for (n, (how, client)) in httpd.clients().into_iter().enumerate() {
        let mut ws = client.upgrade("/ws?desktop=alice").await;
        ws.send(BINARY, &[1; BYTES]).await;
        assert_eq!(ws.frame().await.data.len(), BYTES, "{how}");
        tokio::time::sleep(ms(1_200)).await;
        let before = httpd.access().iter().filter(|a| a.status == 101).count();
        assert_eq!(before, n, "{how}: a line before the end");
        ws.leave().await;
        let line = httpd.sessions_logged(n + 1).await.pop().expect("a line");
        assert_eq!(line.request, "GET /ws?desktop=alice HTTP/1.1", "{how}");
        assert_eq!(line.key, "alice", "{how}");
        assert!(line.duration >= ms(1_200) && line.duration < ms(8_000), "{how}: {line:?}");
        let sizes = BYTES as u64..BYTES as u64 + 20_000;
        assert!(sizes.contains(&line.received), "{how}: {line:?}");
        assert!(sizes.contains(&line.sent), "{how}: {line:?}");
    }
    httpd.log().expect_count(3, words::SESSION_ENDED).await;
    let lines = httpd.log().lines();
    let ended = lines.iter().find(|l| l.text.contains(words::SESSION_ENDED)).expect("a line");
    assert_eq!((ended.module.as_str(), ended.level.as_str()), ("wsroute", "info"));
    for word in ["alice", "1000"] {
        assert!(ended.text.contains(word), "{word} in {}", ended.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_logged_as_what_they_are() {
    let up = Upstream::says("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno").await;
    let conf = ws("/no", &up.url()) + &ws("/down", "ws://127.0.0.1:9");
    let httpd = Httpd::with(conf).start().await;
    httpd.log().allow("upstream");
    for (n, (path, status)) in [("/no", 403), ("/down", 502)].into_iter().enumerate() {
        httpd.client().refused(path, status).await;
        eventually(SOON, "its line", || httpd.access().len() > n).await;
        assert_eq!(httpd.access()[n].status, status);
    }
    assert_eq!(httpd.access()[0].body, 2);
}
