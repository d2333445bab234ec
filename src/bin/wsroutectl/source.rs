//! Which configuration a verb reads: options that several verbs share.

use std::path::PathBuf;

use mod_wsroute::apache::{self, Config};

/// What httpd's own command line would say.
#[derive(clap::Args)]
pub struct Source {
    /// Define a name for IfDefine, as httpd's -D does; repeatable.
    #[arg(short = 'D', value_name = "NAME")]
    defines: Vec<String>,
    /// ServerRoot, unless the file says it; default: the installed httpd's.
    #[arg(short = 'd', value_name = "FOLDER")]
    root: Option<PathBuf>,
}

impl Source {
    /// Reads `file`, or what the installed httpd reads.
    ///
    /// # Errors
    /// `FILE:LINE: TEXT`
    pub fn read(&self, file: Option<&PathBuf>) -> Result<Config, String> {
        let options = apache::Options {
            file: file.cloned(),
            root: self.root.clone(),
            defines: self.defines.clone(),
        };
        Config::read(&options).map_err(|problem| problem.to_string())
    }
}
