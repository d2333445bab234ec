//! A folder for Unix sockets that only this server's processes can reach: `wsroute` in httpd's
//! DefaultRuntimeDir.

use crate::ffi;
use std::ffi::CStr;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::path::{Path, PathBuf};

/// The longest path of the folder, in bytes: a socket's path has 107, its own name up to 27.
const LONGEST: usize = 80;

/// Where it is.
///
/// # Safety
/// `pool` must be a live pool, used by no other thread during this call.
pub unsafe fn path(pool: *mut ffi::apr_pool_t) -> PathBuf {
    // SAFETY: the caller guarantees the pool; httpd returns a C string in it.
    let path = unsafe {
        let path = ffi::ap_runtime_dir_relative(pool, c"wsroute".as_ptr());
        if path.is_null() { c"/run/wsroute" } else { CStr::from_ptr(path) }
    };
    PathBuf::from(path.to_string_lossy().into_owned())
}

/// Makes it, in the parent process, and clears it of what dead children left.
///
/// # Errors
/// What is wrong, and the path.
pub fn prepare(path: &Path) -> Result<(), String> {
    let explain = |e: io::Error| format!("{}: {e}", path.display());
    if path.as_os_str().len() > LONGEST {
        return Err(format!("{} is too long for a socket, set DefaultRuntimeDir", path.display()));
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(explain(e)),
        _ => {}
    }
    let found = fs::symlink_metadata(path).map_err(explain)?;
    // SAFETY: asks for the process's own number.
    let us = unsafe { libc::geteuid() };
    // SAFETY: httpd sets it while it reads the configuration, single-threaded.
    let (user, group) = unsafe { (ffi::ap_unixd_config.user_id, ffi::ap_unixd_config.group_id) };
    if !found.is_dir() || ![us, user].contains(&found.uid()) || found.mode() & 0o077 != 0 {
        return Err(format!("{} must be a folder that only httpd can enter", path.display()));
    }
    if us == 0 {
        chown(path, Some(user), Some(group)).map_err(explain)?;
    }
    for entry in fs::read_dir(path).map_err(explain)?.flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|n| n.split('-').next()).unwrap_or_default();
        if !Path::new("/proc").join(process).exists() {
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}
