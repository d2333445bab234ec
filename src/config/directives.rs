//! The one table of directives. What a value means is decided by the types that parse it.

use super::{Declared, HttpMode, ScopeConfig, ServerConfig};
use crate::route::session::SessionPolicy;
use crate::route::{
    AllowList, KeyRule, OriginPolicy, PathTemplate, ResolverConfig, Route, Source, units,
};
use crate::upstream::UpstreamPolicy;
use std::ffi::CStr;
use std::sync::Arc;

/// Where a directive may stand. Never in .htaccess: a user who may write one must not choose where
/// the server connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// The main server only, outside of sections.
    MainServer,
    /// Main server and virtual hosts, outside of sections.
    Server,
    /// There, and in `<Directory>`, `<Location>`, `<If>`.
    Anywhere,
}

impl Context {
    /// In the terms of httpd's own documents.
    pub fn name(self) -> &'static str {
        match self {
            Context::MainServer => "server config",
            Context::Server => "server config, virtual host",
            Context::Anywhere => "server config, virtual host, directory",
        }
    }

    /// It may stand in a section such as `<Location>`.
    pub fn is_for_sections(self) -> bool {
        self == Context::Anywhere
    }
}

/// A row of the table. httpd ignores the case of names.
pub struct Directive {
    /// `WsRoute...`
    pub name: &'static CStr,
    /// Where it may stand.
    pub context: Context,
    /// The help that `httpd -L` shows.
    pub help: &'static CStr,
    apply: Apply,
}

/// One directive being read.
pub struct Line<'a> {
    /// The scope it stands in.
    pub scope: &'a mut ScopeConfig,
    /// The server it stands in.
    pub server: &'a mut ServerConfig,
    /// That is the main server.
    pub in_main_server: bool,
    /// File and line, as httpd's own errors give them.
    pub place: &'a str,
    /// Its arguments, as words.
    pub args: Vec<String>,
    /// Out: the httpd expressions it uses, to be compiled.
    pub expressions: Vec<String>,
    /// Out: what is worth a warning, one line each.
    pub warnings: Vec<String>,
}

/// Every directive.
pub static TABLE: [Directive; 12] = [
    anywhere(c"WsRoute", route, c"Off | a URL template | resolver names: where WebSockets of this scope go"),
    anywhere(c"WsRouteKey", key, c"SOURCE [REGEX [SUBSTITUTION]]: a candidate for the key; repeatable, tried in order"),
    server(c"WsRouteResolver", resolver, c"NAME TYPE LOCATOR [option=value...]: something that knows the target of a key"),
    anywhere(c"WsRouteOwner", owner, c"an expression; the answer's owner must equal it, else 403"),
    anywhere(c"WsRouteAllow", allow, c"CIDR, host:port, *.suffix or port range...: targets that may be connected to"),
    anywhere(c"WsRouteUpstream", upstream, c"scheme= verify= ca= pin= name= path= host= origin= subprotocol= cert= key=: how to talk to the upstream"),
    anywhere(c"WsRouteOrigin", origin, c"same | any | host patterns...: which pages may open a WebSocket"),
    anywhere(c"WsRouteSession", session, c"flask | jwt option=value...: how session:CLAIM keys are read"),
    anywhere(c"WsRouteRemember", remember, c"On | Off: a cookie remembers a page's key for what the page asks for"),
    anywhere(c"WsRouteHttp", http, c"On | Off | Env: plain HTTP of this scope goes to the same container, through mod_proxy; or WSROUTE_TARGET says where"),
    anywhere(c"WsRouteTimeout", timeout, c"connect= handshake= boot= drain=: time limits"),
    main_server(c"WsRouteThreads", threads, c"N: pairs of threads in each child, one that shakes hands and one that relays"),
];

type Apply = fn(&mut Line<'_>) -> Result<(), String>;

const fn anywhere(name: &'static CStr, apply: Apply, help: &'static CStr) -> Directive {
    Directive { name, context: Context::Anywhere, help, apply }
}

const fn server(name: &'static CStr, apply: Apply, help: &'static CStr) -> Directive {
    Directive { name, context: Context::Server, help, apply }
}

const fn main_server(name: &'static CStr, apply: Apply, help: &'static CStr) -> Directive {
    Directive { name, context: Context::MainServer, help, apply }
}

impl Directive {
    /// Takes the arguments over into the configuration. httpd has seen to sections, not to virtual
    /// hosts.
    ///
    /// # Errors
    /// What is wrong and what to write, as one line.
    pub fn read(&self, line: &mut Line<'_>) -> Result<(), String> {
        if self.context == Context::MainServer && !line.in_main_server {
            return Err("belongs into the main server, not into a virtual host".into());
        }
        (self.apply)(line)
    }
}

impl Line<'_> {
    fn no_arguments(&self, what: &str) -> Result<(), String> {
        if self.args.is_empty() { Err(what.to_owned()) } else { Ok(()) }
    }

    fn on_or_off(&self) -> Result<bool, String> {
        match self.args.as_slice() {
            [word] if word.eq_ignore_ascii_case("on") => Ok(true),
            [word] if word.eq_ignore_ascii_case("off") => Ok(false),
            _ => Err("use On or Off".into()),
        }
    }
}

fn route(line: &mut Line<'_>) -> Result<(), String> {
    let route = Route::parse(&line.args)?;
    if let Route::Resolvers(names) = &route {
        for name in names {
            line.server.refer(name, line.place);
        }
    }
    line.scope.route = Some(Arc::new(route));
    line.scope.location = line.scope.section.clone();
    Ok(())
}

fn key(line: &mut Line<'_>) -> Result<(), String> {
    let rule = KeyRule::parse(&line.args)?;
    if let Source::Expression(text) = rule.source() {
        line.expressions.push(text.clone());
    }
    if rule.needs_session() {
        line.server.session_key.get_or_insert_with(|| line.place.to_owned());
    }
    let mut keys = line.scope.keys.take().map_or_else(Vec::new, |keys| {
        Arc::try_unwrap(keys).unwrap_or_else(|shared| shared.to_vec())
    });
    keys.push(rule);
    line.scope.keys = Some(Arc::new(keys));
    Ok(())
}

fn resolver(line: &mut Line<'_>) -> Result<(), String> {
    let [name, args @ ..] = line.args.as_slice() else {
        return Err("needs NAME TYPE LOCATOR [option=value...]".into());
    };
    let config = ResolverConfig::parse(name, args)?;
    if line.server.resolvers.insert(name.clone(), Declared::new(config)).is_some() {
        return Err(format!("the resolver \"{name}\" is declared twice in this server"));
    }
    Ok(())
}

fn owner(line: &mut Line<'_>) -> Result<(), String> {
    let [text] = line.args.as_slice() else {
        return Err("needs one expression, for example \"%{REMOTE_USER}\"".into());
    };
    line.scope.owner = Some(text.as_str().into());
    line.expressions.push(text.clone());
    Ok(())
}

fn allow(line: &mut Line<'_>) -> Result<(), String> {
    line.no_arguments("needs CIDRs, host:port, *.suffix or port ranges")?;
    match line.scope.allow.as_mut().and_then(Arc::get_mut) {
        Some(list) => list.add(&line.args)?,
        None => line.scope.allow = Some(Arc::new(AllowList::parse(&line.args)?)),
    }
    Ok(())
}

fn upstream(line: &mut Line<'_>) -> Result<(), String> {
    let mut policy = UpstreamPolicy::parse(&line.args)?;
    if let Some(path) = policy.path() {
        line.scope.path = Some(Arc::new(PathTemplate::parse(path)?));
    }
    if let Some(earlier) = &line.scope.upstream {
        policy = UpstreamPolicy::merged(earlier, &policy);
    }
    line.scope.upstream = Some(Arc::new(policy));
    Ok(())
}

fn origin(line: &mut Line<'_>) -> Result<(), String> {
    line.scope.origin = Some(Arc::new(OriginPolicy::parse(&line.args)?));
    Ok(())
}

fn session(line: &mut Line<'_>) -> Result<(), String> {
    let policy = SessionPolicy::parse(&line.args)?;
    let place = line.place;
    line.warnings
        .extend(policy.warnings().iter().map(|w| format!("WsRouteSession at {place}: {w}")));
    line.scope.session = Some(Arc::new(policy));
    line.server.has_session = true;
    Ok(())
}

fn remember(line: &mut Line<'_>) -> Result<(), String> {
    line.scope.remember = Some(line.on_or_off()?);
    Ok(())
}

fn http(line: &mut Line<'_>) -> Result<(), String> {
    let mode = match line.args.as_slice() {
        [word] if word.eq_ignore_ascii_case("env") => HttpMode::Env,
        _ if line.on_or_off().map_err(|_| "use On, Off or Env")? => HttpMode::On,
        _ => HttpMode::Off,
    };
    line.scope.http = Some(mode);
    line.server.uses_http |= mode == HttpMode::On;
    Ok(())
}

fn timeout(line: &mut Line<'_>) -> Result<(), String> {
    line.no_arguments("needs connect=, handshake=, boot= or drain=")?;
    for option in &line.args {
        let Some((name, value)) = option.split_once('=') else {
            return Err(format!("\"{option}\" is no option, use connect=/handshake=/boot=/drain="));
        };
        let time = units::duration(value).map_err(|e| format!("{name}=: {e}"))?;
        if !matches!(name, "drain" | "boot") && time.is_some_and(|time| time.is_zero()) {
            return Err(format!("{name}=0 leaves no time at all, use off for no limit"));
        }
        match name {
            "connect" => line.scope.connect = Some(time),
            "handshake" => line.scope.handshake = Some(time),
            "boot" => line.scope.boot = Some(time),
            "drain" => line.scope.drain = Some(time),
            _ => {
                return Err(format!(
                    "unknown option {name}=, use connect=/handshake=/boot=/drain="
                ));
            }
        }
    }
    Ok(())
}

fn threads(line: &mut Line<'_>) -> Result<(), String> {
    match line.args.as_slice() {
        [n] if n.parse().is_ok_and(|n: usize| (1..=64).contains(&n)) => {
            line.server.threads = n.parse().ok();
            Ok(())
        }
        _ => Err("needs a number of threads, use 1 to 64".into()),
    }
}
