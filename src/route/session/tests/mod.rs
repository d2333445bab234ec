//! Tests of sessions, with cookies and tokens that the real Flask and the real PyJWT make.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::*;

mod arguments;
mod flask;
mod jwt;

/// The claims that `value`, a cookie or a header's value at the policy's place, gives at `now`.
fn claims_at(policy: &SessionPolicy, value: &[u8], now: SystemTime) -> Option<Claims> {
    policy.claims(&request(policy, &[value]), now, &mut Vec::new())
}

fn claims(policy: &SessionPolicy, value: &str) -> Option<Claims> {
    claims_at(policy, value.as_bytes(), SystemTime::now())
}

/// Why there are no claims.
fn reason(policy: &SessionPolicy, value: &str) -> String {
    let mut trace = Vec::new();
    let found = policy.claims(&request(policy, &[value.as_bytes()]), SystemTime::now(), &mut trace);
    assert!(found.is_none(), "{value:.60} gave claims");
    assert!(!trace.iter().any(|line| line.contains(value)), "the value is in the trace");
    trace.concat()
}

/// A request with these values at the policy's place, one line each.
fn request(policy: &SessionPolicy, values: &[&[u8]]) -> Request {
    let line = |value: &&[u8]| match &policy.place {
        Place::Cookie(name) => {
            ("Cookie".to_owned(), [format!("a=b; {name}=").as_bytes(), value, b"; c=d"].concat())
        }
        Place::Header(name) => (name.clone(), value.to_vec()),
    };
    Request { headers: values.iter().map(line).collect(), ..Request::default() }
}

fn days(n: u64) -> Duration {
    Duration::from_secs(n * 24 * 3600)
}

/// What `script` prints as JSON; it has `input` as JSON. Debian's Python, as in tests/setup.
fn python(script: &str, input: &Value) -> Value {
    let script = format!("import json, sys\ninput = json.load(sys.stdin)\n{script}");
    let mut child = Command::new("/usr/bin/python3")
        .args(["-W", "ignore", "-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("install python3 (tests/setup)");
    write!(child.stdin.take().unwrap(), "{input}").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "Python says why; is it a missing python3-flask, python3-jwt or python3-cryptography?"
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A file with `content` for the options `secret=` and `key=`; only its owner reads it.
fn file(dir: &tempfile::TempDir, name: &str, content: &[u8]) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = dir.path().join(name);
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    format!("file:{}", path.display())
}

fn policy(args: &[&str]) -> SessionPolicy {
    let policy = SessionPolicy::parse(args).unwrap_or_else(|e| panic!("{args:?}: {e}"));
    assert_eq!(policy.warnings(), [""; 0], "{args:?}");
    policy
}

/// Each copy of `token` with one byte changed, in every place: two other letters of base64url, a
/// dot, and a byte that is none of them.
fn tampered(token: &str) -> impl Iterator<Item = Vec<u8>> {
    let others = |old: u8| [b'A', b'_', b'.', old ^ 1, old ^ 0x80].into_iter();
    token.bytes().enumerate().flat_map(move |(at, old)| {
        others(old).filter(move |new| *new != old).map(move |new| {
            let mut bytes = token.as_bytes().to_vec();
            bytes[at] = new;
            bytes
        })
    })
}

/// 10,000 requests whose value is `token`, cut, stretched and changed by chance, always the same
/// way. None may panic; none may give claims unless the token is still whole in it.
fn survives_mutations(policy: &SessionPolicy, tokens: &[&str]) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for round in 0..10_000 {
        let token = tokens[round % tokens.len()];
        let mut bytes = token.as_bytes().to_vec();
        for _ in 0..=random(4) {
            let at = random(bytes.len() + 1);
            match random(5) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, random(256) as u8),
                2 => bytes.extend_from_within(at..),
                3 => bytes.insert(at, b".=; \"-_{"[random(8)]),
                _ if at < bytes.len() => bytes[at] = random(256) as u8,
                _ => {}
            }
        }
        let found = claims_at(policy, &bytes, SystemTime::now()).is_some();
        let whole = bytes.windows(token.len()).any(|w| w == token.as_bytes());
        assert!(whole || !found, "round {round}: {}", String::from_utf8_lossy(&bytes));
    }
}
