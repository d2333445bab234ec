//! PostgreSQL's binary values as text, as the server itself would write them in UTC.

use std::net::{Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;
use sqlx::postgres::{PgTypeKind, PgValueRef};
use sqlx::{TypeInfo, ValueRef};

use crate::route::resolver::sql::fields::{Unreadable, decimal, utf8};

/// 2000-01-01, PostgreSQL's first moment, in microseconds since 1970.
const EPOCH: i64 = 946_684_800_000_000;
/// Microseconds.
const DAY: i64 = 86_400_000_000;

/// The text of a value. A time at infinity, a thing that never happens, is as good as absent.
pub(super) fn text(value: PgValueRef<'_>) -> Result<Option<String>, Unreadable> {
    let kind = value.type_info();
    let unreadable = || Unreadable(format!("of the type {}", kind.name().to_ascii_lowercase()));
    let bytes = value.as_bytes().map_err(|_| unreadable())?;
    let text = match kind.name() {
        "BOOL" => (bytes == [1]).to_string(),
        "INT2" => i16::from_be_bytes(array(bytes)?).to_string(),
        "INT4" => i32::from_be_bytes(array(bytes)?).to_string(),
        "INT8" => i64::from_be_bytes(array(bytes)?).to_string(),
        "FLOAT4" => f32::from_be_bytes(array(bytes)?).to_string(),
        "FLOAT8" => f64::from_be_bytes(array(bytes)?).to_string(),
        "NUMERIC" => numeric(bytes).ok_or_else(unreadable)?,
        "TEXT" | "VARCHAR" | "NAME" | "JSON" | "UNKNOWN" | "BYTEA" => utf8(bytes)?,
        "CHAR" => utf8(bytes)?.trim_end_matches(' ').to_owned(),
        // A byte for the version comes first.
        "JSONB" => utf8(bytes.get(1..).unwrap_or_default())?,
        "UUID" => uuid(array(bytes)?),
        "INET" | "CIDR" => address(bytes).ok_or_else(unreadable)?,
        "TIMESTAMP" | "TIMESTAMPTZ" => match i64::from_be_bytes(array(bytes)?) {
            i64::MAX => return Ok(None),
            microseconds => moment(microseconds).ok_or_else(unreadable)?,
        },
        "DATE" => match i32::from_be_bytes(array(bytes)?) {
            i32::MAX => return Ok(None),
            days => moment(i64::from(days) * DAY).ok_or_else(unreadable)?,
        },
        "citext" | "xml" => utf8(bytes)?,
        _ if matches!(kind.kind(), PgTypeKind::Enum(_)) => utf8(bytes)?,
        _ => return Err(unreadable()),
    };
    Ok(Some(text))
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Unreadable> {
    bytes.try_into().map_err(|_| Unreadable(format!("{} bytes long", bytes.len())))
}

/// RFC 3339.
fn moment(microseconds: i64) -> Option<String> {
    Timestamp::from_microsecond(microseconds.checked_add(EPOCH)?).ok().map(|t| t.to_string())
}

fn uuid(bytes: [u8; 16]) -> String {
    let digits = format!("{:032x}", u128::from_be_bytes(bytes));
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

/// Family, bits of the mask, a flag, the address's length, the address. One address alone is
/// written without its mask.
fn address(bytes: &[u8]) -> Option<String> {
    let [_, bits, _, length, octets @ ..] = bytes else { return None };
    let text = match length {
        4 => Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?).to_string(),
        16 => Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?).to_string(),
        _ => return None,
    };
    match bits == &(length * 8) {
        true => Some(text),
        false => Some(format!("{text}/{bits}")),
    }
}

/// Four 16-bit words: the number of digits, the weight of the first, the sign, how many decimals
/// to show. Then the digits, to the base of 10,000.
fn numeric(bytes: &[u8]) -> Option<String> {
    let words: Vec<u16> =
        bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    let [_, weight, sign, scale, digits @ ..] = &words[..] else { return None };
    let sign = match sign {
        0 => "",
        0x4000 => "-",
        // Not a number, or infinite.
        _ => return None,
    };
    let weight = i32::from(weight.cast_signed());
    let digit = |power: i32| {
        let at = usize::try_from(weight - power).ok();
        at.and_then(|at| digits.get(at)).copied().unwrap_or(0)
    };
    let whole: String = (0..=weight.max(0)).rev().map(|p| format!("{:04}", digit(p))).collect();
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let scale = usize::from(*scale);
    let groups = i32::try_from(scale.div_ceil(4)).ok()?;
    let fraction: String = (1..=groups).map(|p| format!("{:04}", digit(-p))).collect();
    Some(decimal(&format!("{sign}{whole}.{}", &fraction[..scale])))
}
