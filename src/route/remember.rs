//! The remember cookie (`WsRouteRemember`): the key of a page, for the WebSockets and sub-resources
//! that the page asks for.
//!
//! `wsroute=<payload>.<mac>`, both in base64url. The payload is a version byte, the time of issue
//! (8 bytes, seconds since 1970) and the key. The MAC, HMAC-SHA256, covers host and user too: on
//! another host, or for another user, the cookie says nothing.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::cookies;
use super::key::Candidate;
use crate::upgrade::{Detection, Request, detect};

/// The name of the cookie.
const NAME: &str = "wsroute";
const VERSION: u8 = 1;
/// How long it is good for, in seconds: 24 hours.
const LIFETIME: u64 = 24 * 3600;
/// How far the clock may have been set back since, in seconds.
const LEEWAY: u64 = 60;
/// A cookie with the longest key has 396 bytes.
const COOKIE_MAX: usize = 396;
/// How many cookies of this name are tried.
const TRIES: usize = 8;

/// What remember cookies are signed with. All children must have the same one: made in the parent
/// process at start. `Debug` masks it.
#[derive(Clone)]
pub struct RememberKey([u8; 32]);

impl RememberKey {
    /// A new one from the system's random numbers.
    ///
    /// # Errors
    /// `/dev/urandom` cannot be read.
    pub fn random() -> io::Result<RememberKey> {
        let mut bytes = [0; 32];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(RememberKey(bytes))
    }

    /// The bytes, for keeping them over a restart: with other ones, every cookie is forgotten.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The value of a `Set-Cookie` header that remembers `key` for the host and the user of
    /// `request`. Whether the key is theirs must have been decided.
    pub fn cookie(&self, key: &str, request: &Request, now: SystemTime) -> String {
        let payload = [&[VERSION][..], &seconds(now).to_be_bytes(), key.as_bytes()].concat();
        let mac = self.mac(&payload, request).finalize().into_bytes();
        let (payload, mac) = (URL_SAFE_NO_PAD.encode(&payload), URL_SAFE_NO_PAD.encode(mac));
        let secure = if request.https { "; Secure" } else { "" };
        format!("{NAME}={payload}.{mac}; Path=/; HttpOnly; SameSite=Lax{secure}")
    }

    /// The key that a cookie of `request` remembers. `None` without a cookie, or if it is forged,
    /// older than 24 hours, or made for another host or user.
    pub fn read(&self, request: &Request, now: SystemTime) -> Option<String> {
        cookies::values(request, NAME)
            .take(TRIES)
            .find_map(|cookie| self.verify(cookie, request, seconds(now)))
    }

    /// Adds the remembered key to the request's other `candidates`, behind them, where it
    /// [may be used](may_use_hints) and is not among them yet. Gives that key, used or not.
    pub fn add_to(
        &self,
        candidates: &mut Vec<Candidate>,
        request: &Request,
        now: SystemTime,
    ) -> Option<String> {
        let key = self.read(request, now)?;
        if may_use_hints(request) && !candidates.iter().any(|c| c.key == key) {
            candidates.extend(Candidate::remembered(key.clone(), request));
        }
        Some(key)
    }

    fn verify(&self, cookie: &[u8], request: &Request, now: u64) -> Option<String> {
        if cookie.len() > COOKIE_MAX {
            return None;
        }
        let dot = cookie.iter().position(|&b| b == b'.')?;
        let payload = URL_SAFE_NO_PAD.decode(&cookie[..dot]).ok()?;
        let mac = URL_SAFE_NO_PAD.decode(&cookie[dot + 1..]).ok()?;
        self.mac(&payload, request).verify_slice(&mac).ok()?;
        let (version, rest) = payload.split_first()?;
        let (issued, key) = rest.split_first_chunk()?;
        let issued = u64::from_be_bytes(*issued);
        let good = *version == VERSION
            && issued <= now.saturating_add(LEEWAY)
            && now.saturating_sub(issued) < LIFETIME;
        good.then(|| String::from_utf8(key.to_vec()).ok())?
    }

    /// Each field with its length before it: no two requests give the same bytes.
    fn mac(&self, payload: &[u8], request: &Request) -> Hmac<Sha256> {
        let mut mac = Hmac::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        let user = request.user.as_deref().map(str::as_bytes);
        for field in [Some(payload), Some(request.host.as_bytes()), user].into_iter().flatten() {
            mac.update(&(field.len() as u64).to_be_bytes());
            mac.update(field);
        }
        mac
    }
}

impl From<[u8; 32]> for RememberKey {
    fn from(bytes: [u8; 32]) -> RememberKey {
        RememberKey(bytes)
    }
}

impl fmt::Debug for RememberKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RememberKey(MASKED)")
    }
}

/// Whether a remembered key may decide where `request` goes: a WebSocket or a sub-resource, but no
/// page. Else, after one visit to a container, the portal's own pages would lead there.
pub fn may_use_hints(request: &Request) -> bool {
    if detect(request) == Detection::Upgrade {
        return true;
    }
    let has = |name: &str| request.header_lines(name).next().is_some();
    let says = |name: &str, tokens: &[&str]| {
        request.header_list(name).any(|t| tokens.iter().any(|token| t.eq_ignore_ascii_case(token)))
    };
    if has("sec-fetch-dest") || has("sec-fetch-mode") {
        return !says("sec-fetch-dest", PAGES) && !says("sec-fetch-mode", &["navigate"]);
    }
    // Browsers leave Sec-Fetch-* out where the page is plain http.
    let accept = request.header("accept").unwrap_or_default().trim_start();
    !accept.get(..9).is_some_and(|first| first.eq_ignore_ascii_case("text/html"))
}

/// The destinations that are pages (Fetch standard, "navigation request").
const PAGES: &[&str] = &["document", "iframe", "frame", "fencedframe", "embed", "object"];

/// The headers of a request as a container may see them: without our cookie.
pub fn stripped(headers: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    let strip = |(name, value): (String, Vec<u8>)| match name.eq_ignore_ascii_case("cookie") {
        true => strip(&value).map(|value| (name, value)),
        false => Some((name, value)),
    };
    headers.into_iter().filter_map(strip).collect()
}

/// The value of a `Cookie` line without our cookie, which is no business of the container's; the
/// others stay as they are, byte for byte. `None` if nothing is left.
pub fn strip(cookie_line: &[u8]) -> Option<Vec<u8>> {
    cookies::without(cookie_line, NAME)
}

fn seconds(now: SystemTime) -> u64 {
    now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
#[path = "remember_tests.rs"]
mod tests;
