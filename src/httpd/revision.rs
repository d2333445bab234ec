//! What the running httpd says of itself.

use crate::config::fit::{Mmn, Version};
use crate::ffi;

/// The MMN with which this httpd was built: its core is a module, too, and has it in its record.
pub fn mmn() -> Mmn {
    mmn_of(&raw const ffi::core_module)
}

/// The MMN of `module`, one of httpd's or ours, as its record has it.
pub fn mmn_of(module: *const ffi::module) -> Mmn {
    // SAFETY: the records are static; their first two fields are constants.
    unsafe { Mmn { major: (*module).version, minor: (*module).minor_version } }
}

/// This httpd's version.
pub fn version() -> Version {
    // SAFETY: httpd fills in the numbers, and a pointer to a static string, which is not used.
    let revision = unsafe {
        let mut revision: ffi::ap_version_t = std::mem::zeroed();
        ffi::ap_get_server_revision(&mut revision);
        revision
    };
    Version(revision.major, revision.minor, revision.patch)
}
