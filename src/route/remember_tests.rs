//! Tests of `remember.rs`.

use super::*;
use std::time::Duration;

fn request(host: &str, user: Option<&str>) -> Request {
    Request { host: host.into(), user: user.map(Into::into), ..Request::default() }
}

/// `request` with the cookie that a `Set-Cookie` value sets.
fn with_cookie(request: &Request, value: &[u8]) -> Request {
    let headers = vec![("Cookie".to_owned(), [b"a=1; ", value, b"; b=2"].concat())];
    Request { headers, ..request.clone() }
}

fn pair(set_cookie: &str) -> &[u8] {
    set_cookie.split(';').next().unwrap().as_bytes()
}

#[test]
fn a_cookie_is_good_for_its_host_and_user() {
    let signer = RememberKey::from([7; 32]);
    let now = SystemTime::now();
    let requests = [
        request("a.example.org", Some("alice")),
        request("a.example.org", Some("bob")),
        request("a.example.org", Some("")),
        request("a.example.org", None),
        request("b.example.org", Some("alice")),
        request("", None),
        // The same bytes, cut elsewhere.
        request("a.example.orga", Some("lice")),
    ];
    for (i, made) in requests.iter().enumerate() {
        for key in ["desktop-1", "Käse", "a", &"x".repeat(255)] {
            let cookie = signer.cookie(key, made, now);
            for (j, read) in requests.iter().enumerate() {
                let read = with_cookie(read, pair(&cookie));
                let expected = (i == j).then(|| key.to_owned());
                assert_eq!(signer.read(&read, now), expected, "{i} {j} {key}");
            }
            let other = RememberKey::from([8; 32]);
            assert_eq!(other.read(&with_cookie(made, pair(&cookie)), now), None);
        }
    }
    assert_eq!(signer.read(&requests[0], now), None);
}

#[test]
fn what_is_set() {
    let signer = RememberKey::from([7; 32]);
    let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let mut request = request("a.example.org", Some("alice"));
    let cookie = signer.cookie("desktop-1", &request, now);
    let (name, attributes) = cookie.split_once("; ").unwrap();
    let (payload, mac) = name.strip_prefix("wsroute=").unwrap().split_once('.').unwrap();
    assert_eq!(payload, "AQAAAABlU_EAZGVza3RvcC0x");
    assert_eq!(mac.len(), 43);
    assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Lax");
    request.https = true;
    let secure = signer.cookie("desktop-1", &request, now);
    assert_eq!(secure, format!("{cookie}; Secure"));
    let longest = signer.cookie(&"x".repeat(255), &request, now);
    assert_eq!(pair(&longest).len(), "wsroute=".len() + COOKIE_MAX);
}

#[test]
fn a_cookie_ages() {
    let signer = RememberKey::from([7; 32]);
    let made = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let request = request("h", None);
    let cookie = signer.cookie("k", &request, made);
    let request = with_cookie(&request, pair(&cookie));
    let good = |now| signer.read(&request, now).is_some();
    let seconds = Duration::from_secs;
    let table = [
        (made, true),
        (made + seconds(LIFETIME - 1), true),
        (made + seconds(LIFETIME), false),
        (made + seconds(10 * LIFETIME), false),
        (made - seconds(LEEWAY), true),
        (made - seconds(LEEWAY + 1), false),
        (UNIX_EPOCH - seconds(1), false),
    ];
    for (now, expected) in table {
        assert_eq!(good(now), expected, "{now:?}");
    }
}

#[test]
fn forged_cookies_are_none() {
    let signer = RememberKey::from([7; 32]);
    let now = SystemTime::now();
    let plain = request("h", Some("alice"));
    let read = |cookie: &[u8]| signer.read(&with_cookie(&plain, cookie), now);
    let cookie = signer.cookie("desktop-1", &plain, now);
    let good = pair(&cookie);
    assert!(read(good).is_some());
    for at in "wsroute=".len()..good.len() {
        for new in [b'A', b'_', b'.', good[at] ^ 1, good[at] ^ 0x80] {
            let mut bytes = good.to_vec();
            bytes[at] = new;
            assert!(new == good[at] || read(&bytes).is_none(), "{at} {new}");
        }
        assert!(read(&good[..at]).is_none(), "cut at {at}");
    }
    let long = signer.cookie(&"x".repeat(256), &plain, now);
    let texts = [
        "wsroute=".to_owned(),
        "wsroute=.".into(),
        "wsroute=AQ.AQ".into(),
        format!("wsroute={}", "A".repeat(9000)),
        format!("{}=", String::from_utf8_lossy(good)),
    ];
    for text in texts.iter().map(String::as_bytes).chain([pair(&long), b"wsroute=\xff"]) {
        assert!(read(text).is_none(), "{}", String::from_utf8_lossy(text));
    }
    // Signed, but of another version, or too short.
    let signed = |payload: &[u8]| {
        let mac = URL_SAFE_NO_PAD.encode(signer.mac(payload, &plain).finalize().into_bytes());
        format!("wsroute={}.{mac}", URL_SAFE_NO_PAD.encode(payload)).into_bytes()
    };
    let time = seconds(now).to_be_bytes();
    assert_eq!(read(&signed(&[&[1], &time[..], b"k"].concat())).as_deref(), Some("k"));
    for payload in [&[][..], &[1], &[&[1], &time[..7]].concat(), &[&[2], &time[..], b"k"].concat()]
    {
        assert!(read(&signed(payload)).is_none(), "{payload:?}");
    }
    assert!(read(&signed(&[&[1], &time[..], b"\xff"].concat())).is_none());
    // The first that verifies.
    let other = signer.cookie("other", &plain, now);
    let both = [b"wsroute=x; ", pair(&other), b"; ", good].concat();
    assert_eq!(read(&both).as_deref(), Some("other"));
}

#[test]
fn no_mutation_panics_or_counts() {
    let signer = RememberKey::from([7; 32]);
    let now = SystemTime::now();
    let plain = request("h", Some("alice"));
    let cookie = signer.cookie("desktop-1", &plain, now);
    let good = &pair(&cookie)["wsroute=".len()..];
    let mut state = 42_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % below
    };
    for round in 0..10_000 {
        let mut bytes = good.to_vec();
        for _ in 0..=random(4) {
            let at = random(bytes.len() + 1);
            match random(4) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, random(256) as u8),
                2 => bytes.extend_from_within(at..),
                _ if at < bytes.len() => bytes[at] = random(256) as u8,
                _ => {}
            }
        }
        let cookie = [b"wsroute=", &bytes[..]].concat();
        let found = signer.read(&with_cookie(&plain, &cookie), now);
        let whole = bytes.windows(good.len()).any(|w| w == good);
        assert!(whole || found.is_none(), "round {round}: {}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn keys_are_random_and_masked() {
    let (a, b) = (RememberKey::random().unwrap(), RememberKey::random().unwrap());
    assert_ne!(a.bytes(), b.bytes());
    assert_eq!(format!("{a:?}"), "RememberKey(MASKED)");
    assert_eq!(RememberKey::from(*a.bytes()).bytes(), a.bytes());
}

#[test]
fn pages_are_not_led_by_it() {
    const UPGRADE: &[(&str, &str)] = &[
        ("Host", "h"),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let html = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");
    let table: &[(&[(&str, &str)], bool)] = &[
        (UPGRADE, true),
        (&[UPGRADE, &[html]].concat(), true),
        (&[("Sec-Fetch-Dest", "document"), ("Sec-Fetch-Mode", "navigate")], false),
        (&[("Sec-Fetch-Dest", "document")], false),
        (&[("Sec-Fetch-Dest", "iframe"), ("Sec-Fetch-Mode", "navigate")], false),
        (&[("sec-fetch-dest", "frame")], false),
        (&[("Sec-Fetch-Dest", "embed")], false),
        (&[("Sec-Fetch-Mode", "navigate")], false),
        (&[("Sec-Fetch-Mode", "NAVIGATE")], false),
        (&[("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Mode", "navigate")], false),
        (&[("Sec-Fetch-Dest", "script"), ("Sec-Fetch-Mode", "no-cors")], true),
        (&[("Sec-Fetch-Dest", "empty"), ("Sec-Fetch-Mode", "cors"), html], true),
        (&[("Sec-Fetch-Dest", "image")], true),
        (&[("Sec-Fetch-Mode", "websocket")], true),
        (&[html], false),
        (&[("Accept", " TEXT/HTML")], false),
        (&[("Accept", "text/css,*/*;q=0.1")], true),
        (&[("Accept", "*/*")], true),
        (&[("Accept", "image/avif,text/html")], true),
        (&[("Accept", "text/ht")], true),
        (&[], true),
    ];
    for (headers, expected) in table {
        let headers = headers.iter().map(|(n, v)| (n.to_string(), v.as_bytes().to_vec()));
        let request = Request { headers: headers.collect(), ..Request::default() };
        assert_eq!(may_use_hints(&request), *expected, "{:?}", request.headers);
    }
}

#[test]
fn the_remembered_key_stands_last() {
    let signer = RememberKey::from([7; 32]);
    let now = SystemTime::now();
    let mut plain = request("h", None);
    plain.raw_path = "/app/x%20y".into();
    plain.path = "/app/x y".into();
    plain.scope = Some("/app".into());
    let added = |key: &str, present: &[&str], accept: &str| {
        let mut request = with_cookie(&plain, pair(&signer.cookie(key, &plain, now)));
        request.headers.push(("Accept".into(), accept.into()));
        let mut candidates: Vec<Candidate> =
            present.iter().filter_map(|k| Candidate::remembered((*k).into(), &plain)).collect();
        signer.add_to(&mut candidates, &request, now);
        candidates
    };
    let keys = |all: Vec<Candidate>| all.into_iter().map(|c| c.key).collect::<Vec<_>>();
    let expected = Candidate {
        key: "k".into(),
        rule: "remembered".into(),
        shown: "k".into(),
        tail: Some("/x%20y".into()),
        hint: true,
    };
    assert_eq!(added("k", &[], "*/*"), [expected]);
    assert_eq!(keys(added("k", &["a", "b"], "*/*")), ["a", "b", "k"]);
    assert_eq!(keys(added("k", &["a", "k", "b"], "*/*")), ["a", "k", "b"]);
    assert_eq!(keys(added("k", &["a"], "text/html")), ["a"]);
    // Whoever signed that: it is no key.
    for key in ["a\nb", "", "\u{85}"] {
        assert_eq!(keys(added(key, &["a"], "*/*")), ["a"], "{key:?}");
    }
    let mut candidates = Vec::new();
    signer.add_to(&mut candidates, &plain, now);
    assert_eq!(candidates, []);
}

#[test]
fn our_cookie_is_stripped() {
    let cookie = RememberKey::from([7; 32]).cookie("k", &Request::default(), SystemTime::now());
    let line = [b"a=\"1\"; ", pair(&cookie), b";b=\xff"].concat();
    assert_eq!(strip(&line).as_deref(), Some(&b"a=\"1\";b=\xff"[..]));
    assert_eq!(strip(pair(&cookie)), None);
    assert_eq!(strip(b"wsroute2=1").as_deref(), Some(&b"wsroute2=1"[..]));
}
