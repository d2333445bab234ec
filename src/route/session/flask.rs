//! Flask's session cookie: itsdangerous' URLSafeTimedSerializer, `payload.time.signature`, each in
//! base64url. A payload that begins with a dot is compressed with zlib.

use std::fmt;
use std::io::Read;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::read::ZlibDecoder;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value};
use sha1::Sha1;

use super::{LEEWAY, tagged};

/// The largest session once it is unpacked, in bytes.
const SESSION_MAX: u64 = 64 << 10;

/// How Flask's cookies are verified. `Debug` masks the keys.
pub struct Flask {
    /// Derived from the secrets: HMAC-SHA1 of the salt.
    keys: Vec<[u8; 20]>,
    /// `None`: whatever its age.
    max_age: Option<Duration>,
}

impl Flask {
    /// Cookies signed with one of `secrets`, not older than `max_age`.
    pub fn new<'s>(
        secrets: impl Iterator<Item = &'s [u8]>,
        salt: &str,
        max_age: Option<Duration>,
    ) -> Flask {
        let derive = |secret| hmac(secret, salt.as_bytes()).finalize().into_bytes().into();
        Flask { keys: secrets.map(derive).collect(), max_age }
    }

    /// The session in `cookie`, at `now` (seconds since 1970).
    ///
    /// # Errors
    /// Why it is none, for the trace.
    pub fn verify(&self, cookie: &str, now: u64) -> Result<Map<String, Value>, &'static str> {
        let (signed, signature) = cookie.rsplit_once('.').ok_or("no session of Flask's")?;
        let signature = decode(signature)?;
        let fits = |key: &[u8; 20]| hmac(key, signed.as_bytes()).verify_slice(&signature).is_ok();
        if !self.keys.iter().any(fits) {
            return Err("the signature fits no secret= (or not the salt=)");
        }
        let (payload, time) = signed.rsplit_once('.').ok_or("it is signed, but has no time")?;
        self.check_age(&decode(time)?, now)?;
        let json = match payload.strip_prefix('.') {
            Some(packed) => unpack(&decode(packed)?)?,
            None => decode(payload)?,
        };
        match serde_json::from_slice(&json).map(tagged::untag) {
            Ok(Value::Object(session)) => Ok(session),
            _ => Err("it is signed, but no JSON object"),
        }
    }

    /// `time` is a big-endian number without leading zeros: seconds since 1970.
    fn check_age(&self, time: &[u8], now: u64) -> Result<(), &'static str> {
        if time.len() > 8 {
            return Err("its time is no number");
        }
        let made = time.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
        if made > now + LEEWAY {
            return Err("it is from the future: compare the clocks");
        }
        let age = now.saturating_sub(made);
        match self.max_age {
            Some(most) if age > most.as_secs() => Err("it is older than max-age="),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Flask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flask").field("keys", &"MASKED").field("max_age", &self.max_age).finish()
    }
}

fn hmac(key: &[u8], message: &[u8]) -> Hmac<Sha1> {
    let mac = Hmac::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.chain_update(message)
}

fn decode(text: &str) -> Result<Vec<u8>, &'static str> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| "it is no base64url")
}

fn unpack(packed: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut session = Vec::new();
    let read = ZlibDecoder::new(packed).take(SESSION_MAX + 1).read_to_end(&mut session);
    match read {
        Ok(length) if length as u64 <= SESSION_MAX => Ok(session),
        Ok(_) => Err("it unpacks to more than 64 KiB"),
        Err(_) => Err("it is signed, but does not unpack"),
    }
}
