//! `WsRouteSession FORMAT option=value...`

use std::time::Duration;

use jsonwebtoken::Algorithm;

use super::flask::Flask;
use super::jwt::Jwt;
use super::secret::{self, Secret};
use super::{Format, LEEWAY, Place, SessionPolicy, public_key};
use crate::route::units::duration;

const FORMATS: &str = "use flask or jwt";
const FLASK_OPTIONS: &str = "cookie=, secret=, max-age= or salt=";
const JWT_OPTIONS: &str = "cookie=, header=, key=, alg=, aud=, iss=, leeway= or exp=";
const ALGORITHMS: &str = "HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, \
                          ES384 or EdDSA";
/// What `PERMANENT_SESSION_LIFETIME` is in Flask: 31 days.
const FLASK_MAX_AGE: Duration = Duration::from_secs(31 * 24 * 3600);
/// Fewer bytes can be guessed by trying.
const FLASK_SECRET_MIN: usize = 16;

/// See [`SessionPolicy::parse`].
pub fn parse<S: AsRef<str>>(args: &[S]) -> Result<SessionPolicy, String> {
    let Some((format, options)) = args.split_first() else {
        return Err(format!("no format, {FORMATS}"));
    };
    let options = Options::parse(options)?;
    match format.as_ref().to_ascii_lowercase().as_str() {
        "flask" => flask(options),
        "jwt" => jwt(options),
        other => Err(format!("unknown format {other:?}, {FORMATS}")),
    }
}

fn flask(mut options: Options<'_>) -> Result<SessionPolicy, String> {
    let cookie = options.one("cookie")?.ok_or("no cookie, use cookie=session")?;
    let place = Place::Cookie(name("cookie", cookie)?);
    let secrets = options.secrets("secret")?;
    let warnings = warnings(&secrets, FLASK_SECRET_MIN);
    let max_age = options.time("max-age")?.unwrap_or(Some(FLASK_MAX_AGE));
    if max_age.is_some_and(|age| age.is_zero()) {
        return Err("max-age=0 leaves no time at all, use off for no limit".into());
    }
    let salt = options.one("salt")?.unwrap_or("cookie-session");
    options.finish(FLASK_OPTIONS)?;
    let flask = Flask::new(secrets.iter().map(|s| s.bytes.as_slice()), salt, max_age);
    Ok(SessionPolicy { place, format: Format::Flask(flask), warnings })
}

fn jwt(mut options: Options<'_>) -> Result<SessionPolicy, String> {
    let place = match (options.one("cookie")?, options.one("header")?) {
        (Some(cookie), None) => Place::Cookie(name("cookie", cookie)?),
        (None, Some(header)) => Place::Header(name("header", header)?),
        (None, None) => return Err("no place, use cookie=NAME or header=Authorization".into()),
        (Some(_), Some(_)) => return Err("cookie= and header=: use only one of them".into()),
    };
    let algorithm = options.one("alg")?.ok_or_else(|| format!("no alg, use alg= {ALGORITHMS}"))?;
    let algorithm: Algorithm =
        algorithm.parse().map_err(|_| format!("alg={algorithm} is unknown, use {ALGORITHMS}"))?;
    let secrets = options.secrets("key")?;
    let keys = secrets.iter().map(|secret| public_key::read(secret, algorithm));
    let keys = keys.collect::<Result<_, _>>()?;
    let warnings = match public_key::hmac_bytes(algorithm) {
        Some(bytes) => warnings(&secrets, bytes),
        None => Vec::new(), // public keys
    };
    let exp_optional = match options.one("exp")? {
        None | Some("required") => false,
        Some("optional") => true,
        Some(_) => return Err("exp= takes only required or optional, use exp=optional".into()),
    };
    let leeway = match options.time("leeway")? {
        None => LEEWAY,
        Some(time) => time.unwrap_or_default().as_secs(),
    };
    let audience = options.one("aud")?.map(str::to_owned);
    let issuer = options.one("iss")?.map(str::to_owned);
    options.finish(JWT_OPTIONS)?;
    let jwt = Jwt { algorithm, keys, audience, issuer, leeway, exp_optional };
    Ok(SessionPolicy { place, format: Format::Jwt(jwt), warnings })
}

/// The options that nobody has asked for yet.
struct Options<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Options<'a> {
    fn parse<S: AsRef<str>>(args: &'a [S]) -> Result<Options<'a>, String> {
        let mut options = Vec::new();
        for (i, arg) in args.iter().enumerate() {
            let is_name = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
            let option = arg.as_ref().split_once('=').filter(|(name, _)| is_name(name));
            // Not shown: it may be a secret that was meant to stand elsewhere.
            let Some((option, value)) = option else {
                return Err(format!("argument {} is no option, use option=value", i + 2));
            };
            if value.is_empty() {
                return Err(format!("{option}= is empty, use {option}=VALUE or leave it out"));
            }
            options.push((option, value));
        }
        Ok(Options(options))
    }

    fn all(&mut self, option: &str) -> Vec<&'a str> {
        self.0.extract_if(.., |(name, _)| *name == option).map(|(_, value)| value).collect()
    }

    fn one(&mut self, option: &str) -> Result<Option<&'a str>, String> {
        match self.all(option)[..] {
            [] => Ok(None),
            [value] => Ok(Some(value)),
            _ => Err(format!("{option}= is given more than once, use it once")),
        }
    }

    fn time(&mut self, option: &str) -> Result<Option<Option<Duration>>, String> {
        let time = self.one(option)?.map(duration).transpose();
        time.map_err(|e| format!("{option}={e}"))
    }

    fn secrets(&mut self, option: &'static str) -> Result<Vec<Secret>, String> {
        let found = self.all(option);
        if found.is_empty() {
            return Err(format!("no {option}, use {option}=file:/absolute/path"));
        }
        found.into_iter().map(|locator| secret::read(option, locator)).collect()
    }

    fn finish(self, known: &str) -> Result<(), String> {
        match self.0.first() {
            None => Ok(()),
            Some((option, _)) => Err(format!("unknown option {option}=, use {known}")),
        }
    }
}

fn name(option: &str, name: &str) -> Result<String, String> {
    let fits = |b: u8| b.is_ascii_graphic() && !b"=;,:\"".contains(&b);
    match name.bytes().all(fits) {
        true => Ok(name.to_owned()),
        false => Err(format!("{option}={name:?} is no name, use letters, digits, - and _")),
    }
}

fn warnings(secrets: &[Secret], least: usize) -> Vec<String> {
    secrets.iter().flat_map(|s| [s.exposed(), s.short(least)]).flatten().collect()
}
