//! Secrets that stand outside of the configuration: `file:PATH` or `env:NAME`.

use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

/// A larger file is an accident. Bytes.
const FILE_MAX: u64 = 64 << 10;

/// A secret and where it came from. Not `Debug`: it holds what nobody should see.
pub struct Secret {
    /// The secret, without the line end that editors leave behind it.
    pub bytes: Vec<u8>,
    /// As configured: `secret=file:/etc/apache2/flask.key`.
    pub named: String,
    /// Its file is readable for every user of this machine.
    world_readable: bool,
}

/// Reads what `option`=`locator` names.
///
/// # Errors
/// What is wrong and what to write, as one line.
pub fn read(option: &str, locator: &str) -> Result<Secret, String> {
    let named = format!("{option}={locator}");
    let (bytes, world_readable) = match locator.split_once(':') {
        Some(("file", path)) => read_file(path).map_err(|e| format!("{named} {e}"))?,
        Some(("env", name)) => match std::env::var_os(name) {
            Some(value) => (value.into_vec(), false),
            None => return Err(format!("{named} is not set, set it where httpd is started")),
        },
        // Not shown: it may be the secret itself.
        _ => return Err(format!("{option}= is no place, use file:/absolute/path or env:NAME")),
    };
    match bytes.is_empty() {
        true => Err(format!("{named} is empty, use the application's own")),
        false => Ok(Secret { bytes, named, world_readable }),
    }
}

impl Secret {
    /// The warning, if every user may read it.
    pub fn exposed(&self) -> Option<String> {
        let named = &self.named;
        self.world_readable.then(|| format!("{named} is readable for everybody, use chmod o-r"))
    }

    /// The warning, if it has fewer than `least` bytes.
    pub fn short(&self, least: usize) -> Option<String> {
        let (named, length) = (&self.named, self.bytes.len());
        (length < least).then(|| {
            format!("{named} has {length} bytes and could be guessed, use {least} or more")
        })
    }
}

/// The content, and whether everybody may read it.
fn read_file(path: &str) -> Result<(Vec<u8>, bool), String> {
    if !path.starts_with('/') {
        return Err("is relative, use an absolute path".into());
    }
    let unreadable = |e| format!("cannot be read, use a file that exists and is readable: {e}");
    // A pipe would wait for a writer.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = file.map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err("is no regular file, use one that holds nothing else".into());
    }
    let mut bytes = Vec::new();
    file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_MAX {
        return Err("is larger than 64 KiB, use a file that holds nothing else".into());
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        bytes.pop_if(|last| *last == b'\r');
    }
    Ok((bytes, metadata.mode() & 0o004 != 0))
}
