//! `RewriteMap NAME int:wsroute`: a resolver's answer for the rules of mod_rewrite. The key is
//! `RESOLVER:KEY`, the value `host:port`.

use super::config;
use super::runtime;
use crate::ffi;
use crate::httpd::expression::ExpressionsOf;
use crate::httpd::log::{self, Level};
use crate::httpd::pool;
use crate::httpd::request::RequestRef;
use crate::route::{self, Ask, Candidate, Expressions, Facts, Route};
use crate::tunnel;
use crate::upstream::Address;
use crate::upstream::connect::host_port;
use std::ffi::{CStr, c_char, c_int};
use std::ptr;
use tokio::sync::oneshot;

type MapFunction = unsafe extern "C" fn(*mut ffi::request_rec, *mut c_char) -> *mut c_char;
type Register = unsafe extern "C" fn(*mut c_char, MapFunction);

httpd_entry! {
    /// A pre_config hook, after mod_rewrite's, which makes the table of maps anew.
    fn register(
        _pconf: *mut ffi::apr_pool_t,
        _plog: *mut ffi::apr_pool_t,
        _ptemp: *mut ffi::apr_pool_t,
    ) -> c_int = ffi::OK as c_int; {
        // SAFETY: mod_rewrite, if it is loaded, registered the function under this name with this
        // type, and keeps the pointer to the name.
        unsafe {
            if let Some(found) = ffi::apr_dynamic_fn_retrieve(c"ap_register_rewrite_mapfunc".as_ptr()) {
                let register = std::mem::transmute::<unsafe extern "C" fn(), Register>(found);
                register(c"wsroute".as_ptr().cast_mut(), look_up);
            }
        }
        ffi::OK as c_int
    }
}

httpd_entry! {
    /// What mod_rewrite calls; NULL is "no such key".
    fn look_up(r: *mut ffi::request_rec, key: *mut c_char) -> *mut c_char = ptr::null_mut(); {
        // SAFETY: mod_rewrite gives a live request, on its own thread, and a C string.
        unsafe {
            let Some(request) = RequestRef::new(r) else { return ptr::null_mut() };
            match value(&request, &CStr::from_ptr(key).to_string_lossy()) {
                Ok(value) => pool::c_string(request.pool(), &value).cast_mut(),
                Err(why) => {
                    log::request(Level::Info, &request, || format!("int:wsroute: {why}"));
                    ptr::null_mut()
                }
            }
        }
    }
}

fn value(request: &RequestRef, text: &str) -> Result<String, String> {
    let (resolver, key) = text.split_once(':').ok_or("use RESOLVER:KEY")?;
    let child = runtime::child().ok_or("the server is not up")?;
    let worker = child.worker();
    let config = config::of_request(request);
    let head = request.snapshot(config.scope.location.as_deref());
    let candidate = Candidate::given(key, "int:wsroute", &head).map_err(|e| e.to_string())?;
    let route = Route::Resolvers(vec![resolver.to_owned()]);
    let expressions = ExpressionsOf { request, compiled: config.expressions() };
    // Nobody is logged in yet where a rule runs early: then this is nobody's.
    let owner = config.scope.owner.as_ref().map(|text| expressions.evaluate(text));
    let owner = owner.transpose()?;
    let resolvers = {
        let _runtime = worker.enter();
        config::of_server(request).resolvers_of(&route)
    };
    let allow = config.scope.allow.clone().unwrap_or_default();
    let (said, answer) = oneshot::channel();
    worker.spawn(child.unless_stopped(async move {
        let ask = Ask {
            route: &route,
            candidates: &[candidate],
            resolvers: &resolvers,
            owner: owner.as_deref(),
            facts: &Facts::of(&head),
            default_tls: false,
            path: None,
        };
        let decided = route::decide(ask, &mut Vec::new()).await;
        let _ = said.send(match decided {
            Ok(decision) => match tunnel::may_connect(&decision, &allow).await {
                Ok(()) => host_and_port(&decision.target.address),
                Err(error) => Err(error.to_string()),
            },
            Err(refusal) => Err(refusal.to_string()),
        });
    }));
    answer.blocking_recv().map_err(|_| "the server stops".to_owned())?
}

fn host_and_port(address: &Address) -> Result<String, String> {
    match address {
        Address::Tcp { host, port } => Ok(host_port(host, *port)),
        Address::Unix(_) => Err("a Unix socket has no host:port".into()),
    }
}
