//! `RewriteMap NAME int:wsroute`: a resolver's answer for the rules of mod_rewrite. The key is
//! `RESOLVER:KEY`, the value `host:port`.

use super::handoff::log_warnings;
use super::{config, handler, runtime};
use crate::ffi;
use crate::httpd::log::{self, Level};
use crate::httpd::pool;
use crate::httpd::request::RequestRef;
use crate::route::{Candidate, Route};
use crate::tunnel::{self, Plan, Report};
use crate::upstream::Address;
use crate::upstream::connect::host_port;
use std::ffi::{CStr, c_char, c_int};
use std::ptr;
use std::sync::Arc;

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
    let runtime = child.pair().runtime;
    let config = config::of_request(request);
    let head = request.snapshot(config.scope.location.as_deref());
    let candidate = Candidate::given(key, "int:wsroute", &head).map_err(|e| e.to_string())?;
    let route = Arc::new(Route::Resolvers(vec![resolver.to_owned()]));
    // Nobody is logged in yet where a rule runs early: then WsRouteOwner makes this nobody's.
    let plan = handler::plan_for(request, config, &route, head, vec![candidate], &runtime);
    // The path is the rule's own.
    let plan = Plan { path: None, ..plan };
    let report = child.wait_for(&runtime, async move { tunnel::locate(&plan).await });
    let mut report = report.ok_or("the server stops")?;
    log_warnings(request, &mut report);
    let Report { result, decision, .. } = report;
    result.map_err(|denied| denied.to_string())?;
    host_and_port(&decision.ok_or("there is no target")?.target.address)
}

fn host_and_port(address: &Address) -> Result<String, String> {
    match address {
        Address::Tcp { host, port } => Ok(host_port(host, *port)),
        Address::Unix(_) => Err("a Unix socket has no host:port".into()),
    }
}
