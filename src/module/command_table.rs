//! httpd's table of commands. A directive is declared in [`crate::config::directives`], of which this
//! is made.

use super::config::{DirConfig, at};
use crate::config::ServerConfig;
use crate::config::directives::{Context, Directive, Line, TABLE as DIRECTIVES};
use crate::ffi;
use crate::httpd::expression::Expression;
use crate::httpd::log::{self, Level};
use crate::httpd::pool;
use crate::words::words;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::Arc;

/// httpd's table, ended by an entry without a name.
pub struct Table<const N: usize>(pub [ffi::command_rec; N]);
// SAFETY: read-only; its pointers are to static strings, rows and functions.
unsafe impl<const N: usize> Sync for Table<N> {}

/// One entry for each directive, and the end.
pub static TABLE: Table<{ DIRECTIVES.len() + 1 }> = {
    let mut table = [END; DIRECTIVES.len() + 1];
    let mut n = 0;
    while n < DIRECTIVES.len() {
        table[n] = entry(&DIRECTIVES[n]);
        n += 1;
    }
    Table(table)
};

const fn entry(directive: &'static Directive) -> ffi::command_rec {
    ffi::command_rec {
        name: directive.name.as_ptr(),
        func: ffi::cmd_func { raw_args: Some(read) },
        cmd_data: ptr::from_ref(directive).cast_mut().cast(),
        req_override: match directive.context {
            Context::MainServer | Context::Server => ffi::RSRC_CONF,
            Context::Anywhere => ffi::RSRC_CONF | ffi::ACCESS_CONF,
        } as c_int,
        args_how: ffi::cmd_how_RAW_ARGS,
        errmsg: directive.help.as_ptr(),
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

/// What httpd calls for each of our directives.
unsafe extern "C" fn read(
    cmd: *mut ffi::cmd_parms,
    dir: *mut c_void,
    args: *const c_char,
) -> *const c_char {
    crate::httpd::guard::guard(
        || c"mod_wsroute failed while it read this directive (a bug)".as_ptr(),
        // SAFETY: httpd gives the command's parameters, what create_dir made, and the arguments;
        // cmd_data is the row that `entry` put there.
        || unsafe {
            let directive = &*(*cmd).info.cast::<Directive>();
            let dir = &mut *dir.cast::<DirConfig>();
            match apply(directive, cmd, dir, &CStr::from_ptr(args).to_string_lossy()) {
                Ok(()) => ptr::null(),
                Err(what) => {
                    let name = directive.name.to_string_lossy();
                    pool::c_string((*cmd).pool, &format!("{name}: {what}"))
                }
            }
        },
    )
}

/// # Safety
/// `cmd` must be the parameters that httpd gave to the directive being read.
unsafe fn apply(
    directive: &Directive,
    cmd: *mut ffi::cmd_parms,
    dir: &mut DirConfig,
    args: &str,
) -> Result<(), String> {
    // SAFETY: the caller guarantees cmd; httpd sets its server.
    let server = unsafe { &mut *at::<ServerConfig>((*(*cmd).server).module_config) };
    let mut line = Line {
        scope: &mut dir.scope,
        server,
        // SAFETY: as above.
        in_main_server: unsafe { ffi::ap_check_cmd_context(cmd, ffi::GLOBAL_ONLY) }.is_null(),
        // SAFETY: as above.
        place: &unsafe { place(cmd) },
        args: words(args)?,
        expressions: Vec::new(),
        warnings: Vec::new(),
    };
    directive.read(&mut line)?;
    for warning in &line.warnings {
        log::server(Level::Warning, warning);
    }
    for text in line.expressions {
        // SAFETY: as above.
        let compiled = unsafe { Expression::compile(cmd, &text)? };
        Arc::make_mut(dir.expressions.get_or_insert_default()).push(compiled);
    }
    Ok(())
}

/// # Safety
/// As for [`apply`].
unsafe fn place(cmd: *mut ffi::cmd_parms) -> String {
    // SAFETY: httpd sets the directive that is being read, with a file name.
    unsafe {
        let directive = &*(*cmd).directive;
        let file = CStr::from_ptr(directive.filename).to_string_lossy();
        format!("{file}:{}", directive.line_num)
    }
}
