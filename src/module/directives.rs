//! The one table of directives. What a value means is decided by the types that parse it.

use super::config::{Declared, DirConfig, ServerConfig, at};
use crate::ffi;
use crate::httpd::expression::Expression;
use crate::httpd::pool;
use crate::route::{
    AllowList, KeyRule, OriginPolicy, PathTemplate, ResolverConfig, Route, Source, units,
};
use crate::upstream::UpstreamPolicy;
use crate::words::words;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::Arc;

/// One directive being read.
struct Line<'a> {
    cmd: *mut ffi::cmd_parms,
    dir: &'a mut DirConfig,
    server: &'a mut ServerConfig,
    args: Vec<String>,
}

type Apply = fn(&mut Line<'_>) -> Result<(), String>;

/// httpd's table, ended by an entry without a name.
pub struct Table<const N: usize>(pub [ffi::command_rec; N]);
// SAFETY: read-only; its pointers are to static strings and functions.
unsafe impl<const N: usize> Sync for Table<N> {}

/// Anywhere but in .htaccess: a user who may write one must not choose where the server connects.
const ANYWHERE: c_int = (ffi::RSRC_CONF | ffi::ACCESS_CONF) as c_int;
/// Outside of sections.
const SERVER: c_int = ffi::RSRC_CONF as c_int;

/// Every directive: name, contexts, help.
pub static TABLE: Table<10> = Table([
    entry(c"WsRoute", read::<0>, ANYWHERE, c"Off | a URL template | resolver names: where WebSockets of this scope go"),
    entry(c"WsRouteKey", read::<1>, ANYWHERE, c"SOURCE [REGEX [SUBSTITUTION]]: a candidate for the key; repeatable, tried in order"),
    entry(c"WsRouteResolver", read::<2>, SERVER, c"NAME TYPE LOCATOR [option=value...]: something that knows the target of a key"),
    entry(c"WsRouteOwner", read::<3>, ANYWHERE, c"an expression; the answer's owner must equal it, else 403"),
    entry(c"WsRouteAllow", read::<4>, ANYWHERE, c"CIDR, host:port, *.suffix or port range...: targets that may be connected to"),
    entry(c"WsRouteUpstream", read::<5>, ANYWHERE, c"scheme= verify= ca= pin= name= path= host= origin= subprotocol= cert= key=: how to talk to the upstream"),
    entry(c"WsRouteOrigin", read::<6>, ANYWHERE, c"same | any | host patterns...: which pages may open a WebSocket"),
    entry(c"WsRouteTimeout", read::<7>, ANYWHERE, c"connect= handshake= drain=: time limits"),
    entry(c"WsRouteThreads", read::<8>, SERVER, c"N: tokio worker threads in each child"),
    END,
]);

const APPLY: [Apply; 9] = [route, key, resolver, owner, allow, upstream, origin, timeout, threads];

type RawArgs =
    unsafe extern "C" fn(*mut ffi::cmd_parms, *mut c_void, *const c_char) -> *const c_char;

const fn entry(
    name: &'static CStr,
    read: RawArgs,
    contexts: c_int,
    help: &'static CStr,
) -> ffi::command_rec {
    ffi::command_rec {
        name: name.as_ptr(),
        func: ffi::cmd_func { raw_args: Some(read) },
        cmd_data: ptr::null_mut(),
        req_override: contexts,
        args_how: ffi::cmd_how_RAW_ARGS,
        errmsg: help.as_ptr(),
    }
}

const END: ffi::command_rec = ffi::command_rec {
    name: ptr::null(),
    func: ffi::cmd_func { raw_args: None },
    cmd_data: ptr::null_mut(),
    req_override: 0,
    args_how: ffi::cmd_how_RAW_ARGS,
    errmsg: ptr::null(),
};

/// What httpd calls for the directive with number `N` of the table.
unsafe extern "C" fn read<const N: usize>(
    cmd: *mut ffi::cmd_parms,
    dir: *mut c_void,
    args: *const c_char,
) -> *const c_char {
    crate::httpd::guard::guard(
        || c"mod_wsroute failed while it read this directive (a bug)".as_ptr(),
        // SAFETY: httpd gives the command's parameters, what create_dir made, and the arguments.
        || unsafe {
            let server = &mut *at::<ServerConfig>((*(*cmd).server).module_config);
            let dir = &mut *dir.cast::<DirConfig>();
            let read = words(&CStr::from_ptr(args).to_string_lossy())
                .and_then(|args| APPLY[N](&mut Line { cmd, dir, server, args }));
            match read {
                Ok(()) => ptr::null(),
                Err(what) => {
                    let name = CStr::from_ptr((*(*cmd).cmd).name).to_string_lossy();
                    pool::c_string((*cmd).pool, &format!("{name}: {what}"))
                }
            }
        },
    )
}

impl Line<'_> {
    /// File and line, as httpd's own errors give them.
    fn place(&self) -> String {
        // SAFETY: httpd sets the directive that is being read, with a file name.
        unsafe {
            let directive = &*(*self.cmd).directive;
            let file = CStr::from_ptr(directive.filename).to_string_lossy();
            format!("{file}:{}", directive.line_num)
        }
    }

    fn compile(&mut self, text: &str) -> Result<(), String> {
        // SAFETY: the parameters are those of the directive being read.
        let compiled = unsafe { Expression::compile(self.cmd, text)? };
        Arc::make_mut(self.dir.expressions.get_or_insert_default()).push(compiled);
        Ok(())
    }

    fn no_arguments(&self, what: &str) -> Result<(), String> {
        if self.args.is_empty() { Err(what.to_owned()) } else { Ok(()) }
    }
}

fn route(line: &mut Line<'_>) -> Result<(), String> {
    let route = Route::parse(&line.args)?;
    if let Route::Resolvers(names) = &route {
        let place = line.place();
        for name in names {
            line.server.refer(name, place.clone());
        }
    }
    line.dir.route = Some(Arc::new(route));
    line.dir.scope = line.dir.section.clone();
    Ok(())
}

fn key(line: &mut Line<'_>) -> Result<(), String> {
    let rule = KeyRule::parse(&line.args)?;
    if let Source::Expression(text) = rule.source() {
        line.compile(&text.clone())?;
    }
    let mut keys = line.dir.keys.take().map_or_else(Vec::new, |keys| {
        Arc::try_unwrap(keys).unwrap_or_else(|shared| shared.to_vec())
    });
    keys.push(rule);
    line.dir.keys = Some(Arc::new(keys));
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
    let text = text.clone();
    line.compile(&text)?;
    line.dir.owner = Some(text.into());
    Ok(())
}

fn allow(line: &mut Line<'_>) -> Result<(), String> {
    line.no_arguments("needs CIDRs, host:port, *.suffix or port ranges")?;
    match line.dir.allow.as_mut().and_then(Arc::get_mut) {
        Some(list) => list.add(&line.args)?,
        None => line.dir.allow = Some(Arc::new(AllowList::parse(&line.args)?)),
    }
    Ok(())
}

fn upstream(line: &mut Line<'_>) -> Result<(), String> {
    let mut policy = UpstreamPolicy::parse(&line.args)?;
    if let Some(path) = policy.path() {
        line.dir.path = Some(Arc::new(PathTemplate::parse(path)?));
    }
    if let Some(earlier) = &line.dir.upstream {
        policy = UpstreamPolicy::merged(earlier, &policy);
    }
    line.dir.upstream = Some(Arc::new(policy));
    Ok(())
}

fn origin(line: &mut Line<'_>) -> Result<(), String> {
    line.dir.origin = Some(Arc::new(OriginPolicy::parse(&line.args)?));
    Ok(())
}

fn timeout(line: &mut Line<'_>) -> Result<(), String> {
    line.no_arguments("needs connect=, handshake= or drain=")?;
    for option in &line.args {
        let Some((name, value)) = option.split_once('=') else {
            return Err(format!("\"{option}\" is no option, use connect=/handshake=/drain="));
        };
        let time = units::duration(value).map_err(|e| format!("{name}=: {e}"))?;
        if name != "drain" && time.is_some_and(|time| time.is_zero()) {
            return Err(format!("{name}=0 leaves no time at all, use off for no limit"));
        }
        match name {
            "connect" => line.dir.connect = Some(time),
            "handshake" => line.dir.handshake = Some(time),
            "drain" => line.dir.drain = Some(time),
            _ => return Err(format!("unknown option {name}=, use connect=/handshake=/drain=")),
        }
    }
    Ok(())
}

fn threads(line: &mut Line<'_>) -> Result<(), String> {
    // SAFETY: the parameters are those of the directive being read.
    let misplaced = unsafe { ffi::ap_check_cmd_context(line.cmd, ffi::GLOBAL_ONLY) };
    if !misplaced.is_null() {
        return Err("belongs into the main server, not into a virtual host".into());
    }
    match line.args.as_slice() {
        [n] if n.parse().is_ok_and(|n: usize| (1..=64).contains(&n)) => {
            line.server.threads = n.parse().ok();
            Ok(())
        }
        _ => Err("needs a number of threads, use 1 to 64".into()),
    }
}
