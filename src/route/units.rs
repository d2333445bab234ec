//! Times as httpd writes them.

use std::time::Duration;

/// No time in a configuration is longer than this (ten years): it keeps sums of times in range.
const LONGEST: Duration = Duration::from_secs(3650 * 24 * 3600);

/// Parses `500ms`, `30s`, `5min`, `1h`, a bare number of seconds, or `off` (`None`).
///
/// # Errors
/// What is wrong and what to write, as one line.
pub fn duration(text: &str) -> Result<Option<Duration>, String> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    let wrong = || {
        format!("{text:?} is no time, use 500ms, 30s, 5min, 1h, a bare number of seconds or off")
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let milliseconds = match unit.to_ascii_lowercase().as_str() {
        "ms" => 1,
        "" | "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    let time = number.checked_mul(milliseconds).map(Duration::from_millis);
    match time {
        Some(time) if time <= LONGEST => Ok(Some(time)),
        _ => Err(format!("{text:?} is too long a time, use at most ten years or off")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let table = [
            ("500ms", Some(500)),
            ("30s", Some(30_000)),
            ("30", Some(30_000)),
            ("5min", Some(300_000)),
            ("1h", Some(3_600_000)),
            ("1H", Some(3_600_000)),
            ("0", Some(0)),
        ];
        for (text, expected) in table {
            assert_eq!(duration(text), Ok(expected.map(Duration::from_millis)), "{text}");
        }
        assert_eq!(duration("off"), Ok(None));
        assert_eq!(duration("Off"), Ok(None));
    }

    #[test]
    fn no_times() {
        for text in ["", "s", "-1", "+1", "1m", "1d", "1.5s", "1 s", " 1", "99999999999h", "x"] {
            assert!(duration(text).is_err(), "{text:?}");
        }
        assert!(duration("18446744073709551616").is_err());
        assert!(duration("87601h").is_err());
    }
}
