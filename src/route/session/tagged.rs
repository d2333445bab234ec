//! Flask's TaggedJSONSerializer: what JSON has no type for is an object with one member, whose
//! name is the tag.

use serde_json::{Map, Value};

/// The value behind the tags, at every depth: text for Markup and UUIDs, a list for a tuple. Bytes
/// and dates, which make no key, become null.
pub fn untag(value: Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(untag).collect()),
        Value::Object(members) => {
            untag_one(members.into_iter().map(|(name, value)| (name, untag(value))).collect())
        }
        plain => plain,
    }
}

/// `members` are untagged already.
fn untag_one(mut members: Map<String, Value>) -> Value {
    let tag = match members.keys().next() {
        Some(name) if members.len() == 1 => name.clone(),
        _ => return Value::Object(members),
    };
    let value = members.get_mut(&tag).map(Value::take).unwrap_or_default();
    match (tag.as_str(), value) {
        (" t", Value::Array(items)) => Value::Array(items),
        (" m", Value::String(text)) => Value::String(text),
        (" u", Value::String(hex)) => uuid(&hex).map_or(Value::Null, Value::String),
        (" di", Value::Object(inner)) => Value::Object(inner.into_iter().map(unescape).collect()),
        (" t" | " m" | " u" | " di" | " b" | " d", _) => Value::Null,
        (_, value) => Value::Object(Map::from_iter([(tag, value)])),
    }
}

/// An object whose only name looks like a tag has `__` behind it.
fn unescape((name, value): (String, Value)) -> (String, Value) {
    (name.strip_suffix("__").unwrap_or(&name).to_owned(), value)
}

/// As Python prints it: `12345678-1234-...`.
fn uuid(hex: &str) -> Option<String> {
    if hex.len() != 32 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    Some([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}
