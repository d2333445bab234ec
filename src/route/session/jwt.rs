//! JSON Web Tokens (RFC 7519), signed ones (RFC 7515): `header.payload.signature`, each in
//! base64url. The configuration says how they are signed; the token's own header has no say in it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde_json::{Map, Value};

/// How tokens are verified. `Debug` masks the keys.
#[derive(Debug)]
pub struct Jwt {
    /// The only `alg` that counts.
    pub algorithm: Algorithm,
    /// One of them must verify; `kid` is not asked.
    pub keys: Vec<DecodingKey>,
    /// Must be among the token's `aud`. Without it a token that has an `aud` is for somebody else
    /// (RFC 7519 4.1.3).
    pub audience: Option<String>,
    /// Must be the token's `iss`. Without it any will do.
    pub issuer: Option<String>,
    /// How far the issuer's clock may be off, in seconds.
    pub leeway: u64,
    /// A token without `exp` is good for ever.
    pub exp_optional: bool,
}

impl Jwt {
    /// The claims in `token`, at `now` (seconds since 1970).
    ///
    /// # Errors
    /// Why it does not count, for the trace.
    pub fn verify(&self, token: &str, now: u64) -> Result<Map<String, Value>, &'static str> {
        let (message, signature) = token.rsplit_once('.').ok_or("no JSON Web Token")?;
        let (header, payload) = message.split_once('.').ok_or("no JSON Web Token")?;
        self.check_header(&object(header)?)?;
        let fits = |key| crypto::verify(signature, message.as_bytes(), key, self.algorithm);
        if !self.keys.iter().any(|key| fits(key).unwrap_or(false)) {
            return Err("the signature fits no key=");
        }
        let claims = object(payload)?;
        self.check_times(&claims, now)?;
        self.check_parties(&claims)?;
        Ok(claims)
    }

    fn check_header(&self, header: &Map<String, Value>) -> Result<(), &'static str> {
        let named = header.get("alg").and_then(Value::as_str);
        if named.and_then(|name| name.parse().ok()) != Some(self.algorithm) {
            return Err("it is not signed with alg=");
        }
        // RFC 7515 4.1.11: what must be understood, and is not, makes it invalid.
        match header.contains_key("crit") {
            true => Err("it demands extensions (crit)"),
            false => Ok(()),
        }
    }

    /// RFC 7519 4.1.4 and 4.1.5.
    fn check_times(&self, claims: &Map<String, Value>, now: u64) -> Result<(), &'static str> {
        let (now, leeway) = (now as f64, self.leeway as f64);
        match time(claims, "exp")? {
            Some(end) if now >= end + leeway => return Err("it has expired"),
            None if !self.exp_optional => return Err("it has no exp (exp=optional allows that)"),
            _ => {}
        }
        match time(claims, "nbf")? {
            Some(begin) if now + leeway < begin => Err("it is not valid yet (nbf)"),
            _ => Ok(()),
        }
    }

    fn check_parties(&self, claims: &Map<String, Value>) -> Result<(), &'static str> {
        let is = |value: &Value, wanted: &str| value.as_str() == Some(wanted);
        match (&self.audience, claims.get("aud")) {
            (None, None) => {}
            (None, Some(_)) => return Err("it is for an audience, and aud= names none"),
            (Some(wanted), Some(Value::Array(all))) if all.iter().any(|one| is(one, wanted)) => {}
            (Some(wanted), Some(one)) if is(one, wanted) => {}
            (Some(_), _) => return Err("it is not for the audience aud="),
        }
        match &self.issuer {
            Some(wanted) if !claims.get("iss").is_some_and(|iss| is(iss, wanted)) => {
                Err("it is not from the issuer iss=")
            }
            _ => Ok(()),
        }
    }
}

/// A part of the token as a JSON object.
fn object(part: &str) -> Result<Map<String, Value>, &'static str> {
    let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| "it is no base64url")?;
    serde_json::from_slice(&json).map_err(|_| "it is no JSON object")
}

/// A NumericDate (RFC 7519 2): seconds since 1970, perhaps with a fraction.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<f64>, &'static str> {
    let time = claims.get(name).map(|value| value.as_f64().ok_or("exp or nbf is no number"));
    time.transpose()
}
