//! What the httpd of this machine says about itself: version, compiled-in modules, where its
//! configuration is.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The program's names, in the order in which they are tried; `HTTPD` in the environment goes
/// first.
const PROGRAMS: [&str; 4] = ["apache2", "httpd", "/usr/sbin/apache2", "/usr/sbin/httpd"];
/// Where distributions have the configuration.
const USUAL_FILES: [&str; 3] =
    ["/etc/apache2/apache2.conf", "/etc/httpd/conf/httpd.conf", "/etc/apache2/httpd.conf"];

/// An installed httpd, or what is assumed without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Major, minor, patch.
    pub version: [u32; 3],
    /// The compiled-in ServerRoot.
    pub root: Option<PathBuf>,
    /// The configuration file it reads without `-f`, relative to `root`.
    pub file: Option<PathBuf>,
    /// Source files of the compiled-in modules: `core.c`, `mod_so.c`.
    pub modules: Vec<String>,
}

impl Default for Installed {
    fn default() -> Installed {
        let modules = ["core.c", "mod_so.c", "http_core.c"].map(str::to_owned).to_vec();
        Installed { version: [2, 4, 66], root: None, file: None, modules }
    }
}

impl Installed {
    /// Asks the first program that answers.
    pub fn ask() -> Installed {
        let own = std::env::var("HTTPD").ok();
        let mut programs = own.as_deref().into_iter().chain(PROGRAMS);
        let found = programs.find_map(|program| Some((output(program, "-V")?, program)));
        let Some((said, program)) = found else { return Installed::default() };
        Installed::parse(&said, &output(program, "-l").unwrap_or_default())
    }

    /// The configuration file that is read if none is named.
    pub fn main_file(&self) -> Option<PathBuf> {
        let own = self.file.as_ref().map(|file| match &self.root {
            Some(root) => root.join(file),
            None => file.clone(),
        });
        own.or_else(|| USUAL_FILES.iter().map(PathBuf::from).find(|file| file.exists()))
    }

    /// Reads the answers to `-V` and `-l`.
    fn parse(settings: &str, modules: &str) -> Installed {
        let setting = |name: &str| {
            let line =
                settings.lines().find_map(|l| l.trim().strip_prefix("-D ")?.strip_prefix(name));
            line.map(|value| PathBuf::from(value.trim_start_matches('=').trim_matches('"')))
        };
        let version = settings.split_once("Apache/").map_or("", |(_, rest)| rest);
        let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(str::parse);
        let mut number = || numbers.next().and_then(Result::ok);
        let default = Installed::default();
        let listed: Vec<String> = modules
            .lines()
            .map(str::trim)
            .filter(|line| Path::new(line).extension().is_some_and(|e| e == "c"))
            .map(str::to_owned)
            .collect();
        Installed {
            version: match (number(), number(), number()) {
                (Some(major), Some(minor), patch) => [major, minor, patch.unwrap_or(0)],
                _ => default.version,
            },
            root: setting("HTTPD_ROOT"),
            file: setting("SERVER_CONFIG_FILE"),
            modules: if listed.is_empty() { default.modules } else { listed },
        }
    }
}

/// What it prints. Its exit code says nothing: httpd wants to read its configuration even for `-V`.
fn output(program: &str, option: &str) -> Option<String> {
    let output = Command::new(program).arg(option).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_httpd_says() {
        let settings = "Server version: Apache/2.4.71 (Debian)\nServer compiled with....\n \
             -D HTTPD_ROOT=\"/etc/apache2\"\n -D SERVER_CONFIG_FILE=\"apache2.conf\"\n";
        let found = Installed::parse(settings, "Compiled in modules:\n  core.c\n  mod_so.c\n");
        assert_eq!(found.version, [2, 4, 71]);
        assert_eq!(found.main_file(), Some("/etc/apache2/apache2.conf".into()));
        assert_eq!(found.modules, ["core.c", "mod_so.c"]);
        let nothing = Installed::parse("", "");
        assert_eq!(nothing, Installed::default());
    }
}
