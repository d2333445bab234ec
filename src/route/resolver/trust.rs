//! `ca=` and `verify=` of a resolver: whom its client trusts.

use std::sync::Arc;

use crate::upstream::tls::{TlsSettings, read_authorities};

/// Whom to trust; by default the system's CAs. Read-only; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// `verify=off`: any certificate will do.
    pub unverified: bool,
    /// `ca=`
    pub settings: Arc<TlsSettings>,
    given: bool,
}

impl Trust {
    /// Sets one option; false if it is none of these. A file is read here.
    ///
    /// # Errors
    /// What is wrong and what to write, as one line.
    pub fn set(&mut self, option: &str, value: &str) -> Result<bool, String> {
        match (option, value) {
            ("ca", file) => {
                let authorities = Arc::new(read_authorities(file)?);
                self.settings = Arc::new(TlsSettings::new(Some(authorities), None));
            }
            ("verify", "on") => self.unverified = false,
            ("verify", "off") => self.unverified = true,
            ("verify", _) => return Err(format!("verify={value:?}, use on or off")),
            _ => return Ok(false),
        }
        self.given = true;
        Ok(true)
    }

    /// Refuses options that nothing would come of.
    ///
    /// # Errors
    /// One of them is set and `tls` is false; `scheme` is what to write instead.
    pub fn check(&self, tls: bool, scheme: &str) -> Result<(), String> {
        match self.given && !tls {
            true => Err(format!("ca= and verify= are for TLS, use {scheme}://")),
            false => Ok(()),
        }
    }
}
