//! Answers as services write them: JSON of some shapes, or websockify's plain `host:port`.

use std::net::Ipv6Addr;

use serde_json::{Map, Value};

use super::ResolveError;
use crate::route::answer::Answer;

/// A longer text is no target, and not worth quoting. Bytes.
const TARGET_MAX: usize = 512;

/// Reads an answer: a target as plain text, or JSON that is (at `pointer`, RFC 6901) a target, an
/// object with the fields of an answer, or `null`. Nothing there means that the key is unknown.
///
/// # Errors
/// [`ResolveError::Malformed`]
pub fn parse(text: &str, pointer: Option<&str>) -> Result<Option<Answer>, ResolveError> {
    let text = text.trim();
    let json = pointer.is_some() || text.starts_with(['{', '[', '"']) || text == "null";
    if !json {
        return target(text);
    }
    let value: Value =
        serde_json::from_str(text).map_err(|e| malformed(format!("this is no JSON: {e}")))?;
    match value.pointer(pointer.unwrap_or_default()) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => target(text),
        Some(Value::Object(object)) => from_fields(fields(object)?),
        Some(_) => Err(malformed("neither a target nor an object with a target".into())),
    }
}

/// Builds an answer from fields as [`Answer::from_fields`] does. websockify's TokenRedis has the
/// port in `host`; that is a target.
///
/// # Errors
/// [`ResolveError::Malformed`]
pub fn from_fields(mut fields: Vec<(String, String)>) -> Result<Option<Answer>, ResolveError> {
    let at = |name: &str| fields.iter().position(|(n, _)| n.eq_ignore_ascii_case(name));
    if let (None, Some(host), None) = (at("target"), at("host"), at("port")) {
        let (name, value) = &mut fields[host];
        if value.contains(':') && value.trim().parse::<Ipv6Addr>().is_err() {
            *name = "target".into();
        }
    }
    Answer::from_fields(fields, false)
}

fn target(text: &str) -> Result<Option<Answer>, ResolveError> {
    match text.len() > TARGET_MAX {
        true => Err(malformed("neither JSON nor a target".into())),
        false => Answer::from_fields([("target", text)], false),
    }
}

/// The known fields that are not null, as text.
fn fields(object: &Map<String, Value>) -> Result<Vec<(String, String)>, ResolveError> {
    let mut fields = Vec::new();
    for (name, value) in object.iter().filter(|(name, _)| Answer::has_field(name)) {
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Object(headers) if name.eq_ignore_ascii_case("headers") => {
                Value::from(headers.clone()).to_string()
            }
            _ => return Err(malformed(format!("{name} is neither text nor a number"))),
        };
        fields.push((name.clone(), text));
    }
    Ok(fields)
}

fn malformed(reason: String) -> ResolveError {
    ResolveError::Malformed(reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn shapes() {
        let table = [
            (r#"{"target":"10.0.0.5:6901"}"#, None, Some("ws://10.0.0.5:6901")),
            (r#"{"Target":"wss://h:1/x"}"#, None, Some("wss://h:1/x")),
            (r#"{"target":"h:1","error":{"code":[0]}}"#, None, Some("ws://h:1")),
            (r#"{"target":null}"#, None, None),
            (r#"{"target":""}"#, None, None),
            (r#"{"host":"10.0.0.5","port":5901}"#, None, Some("ws://10.0.0.5:5901")),
            (r#"{"host":"10.0.0.5","port":"5901"}"#, None, Some("ws://10.0.0.5:5901")),
            (r#"{"host":"10.0.0.5:6901"}"#, None, Some("ws://10.0.0.5:6901")),
            (r#"{"host":"[::1]:6901"}"#, None, Some("ws://[::1]:6901")),
            (r#"{"host":"fd00::5","port":1}"#, None, Some("ws://[fd00::5]:1")),
            (r#"{"host":null,"port":null}"#, None, None),
            (r#""h:1""#, None, Some("ws://h:1")),
            (" h:1\n", None, Some("ws://h:1")),
            ("ws+unix:/run/a.sock", None, Some("ws+unix:/run/a.sock")),
            ("null", None, None),
            ("{}", None, None),
            ("", None, None),
            (r#"{"a":{"b":"h:1"}}"#, Some("/a/b"), Some("ws://h:1")),
            (r#"{"a":{"b":{"host":"h","port":1}}}"#, Some("/a/b"), Some("ws://h:1")),
            (r#"{"a/b":[0,{"~":"h:1"}]}"#, Some("/a~1b/1/~0"), Some("ws://h:1")),
            (r#"{"a":{"b":null}}"#, Some("/a/b"), None),
            (r#"{"a":null}"#, Some("/a/b"), None),
            (r#""h:1""#, Some(""), Some("ws://h:1")),
        ];
        for (text, pointer, expected) in table {
            let answer = parse(text, pointer).unwrap_or_else(|e| panic!("{text}: {e}"));
            let target = answer.map(|a| a.target.unwrap().to_string());
            assert_eq!(target.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn every_field() {
        let text = format!(
            r#"{{"target":"h:1","scheme":"wss","path":"/p","owner":"alice","state":"running",
            "expires":1700000000,"username":7,"password":"x","pin":"{}","id":"c1",
            "headers":{{"X-A":"b"}}}}"#,
            "0a".repeat(32)
        );
        let answer = parse(&text, None).unwrap().unwrap();
        assert_eq!(answer.target.as_ref().unwrap().to_string(), "wss://h:1/p");
        assert_eq!(answer.owner.as_deref(), Some("alice"));
        assert_eq!(answer.expires, Some(UNIX_EPOCH + Duration::from_secs(1_700_000_000)));
        assert_eq!(
            (answer.username.as_deref(), answer.password.as_deref()),
            (Some("7"), Some("x"))
        );
        assert_eq!(answer.headers, [("X-A".to_owned(), "b".to_owned())]);
        assert_eq!((answer.pin, answer.id.as_deref()), (Some([10; 32]), Some("c1")));
        let starting = parse(r#"{"state":"creating","host":"10.0.0.5"}"#, None).unwrap().unwrap();
        assert_eq!((starting.target.clone(), starting.is_running()), (None, false));
    }

    #[test]
    fn malformed_answers() {
        let long = "x".repeat(TARGET_MAX + 1);
        let deep = "[".repeat(100_000);
        let table = [
            (r#"{"target":"#, None, "this is no JSON: EOF while parsing"),
            (r#"{"target":"h:1"} x"#, None, "this is no JSON: trailing characters"),
            (&deep, None, "this is no JSON: recursion limit"),
            (&long, None, "neither JSON nor a target"),
            ("unknown", None, "no port"),
            ("<html>no</html>", None, "target \"<html>no</html>\""),
            ("h:1", Some("/target"), "this is no JSON"),
            ("[\"h:1\"]", None, "neither a target nor an object"),
            (r#"{"a":7}"#, Some("/a"), "neither a target nor an object"),
            (r#"{"target":{"host":"h"}}"#, None, "target is neither text nor a number"),
            (r#"{"target":false}"#, None, "target is neither text nor a number"),
            (r#"{"target":"h:1","owner":["alice"]}"#, None, "owner is neither"),
            (r#"{"target":"h:1","headers":["X"]}"#, None, "headers is neither"),
            (r#"{"target":"h:1","headers":{"Upgrade":"x"}}"#, None, "belongs to the handshake"),
            (r#"{"target":"h:1\r\nX: y"}"#, None, "blank, control"),
            (r#"{"target":"user:hunter2@h:1"}"#, None, "user information"),
            (r#"{"host":"user:hunter2@h:1"}"#, None, "user information"),
            (r#"{"host":"h"}"#, None, "host without port"),
            (r#"{"host":"fd00::5"}"#, None, "host without port"),
            (r#"{"host":"h","port":70000}"#, None, "bad port"),
            (r#"{"host":"h","port":1.5}"#, None, "bad port"),
            (r#"{"target":"h:1","scheme":"ftp"}"#, None, "unknown scheme"),
        ];
        for (text, pointer, expected) in table {
            let error = parse(text, pointer).unwrap_err();
            assert!(matches!(error, ResolveError::Malformed(_)), "{error:?}");
            let error = error.to_string();
            assert!(error.contains(expected) && error.len() < 300, "{expected}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
