//! `Define`, `-D` and `${NAME}`.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::process::Command;

/// Names and variables of the configuration, and httpd's environment.
#[derive(Debug, Clone, Default)]
pub struct Defines {
    names: HashSet<String>,
    variables: HashMap<String, String>,
    environment: HashMap<String, String>,
}

impl Defines {
    /// Those of a start with `-D` for each of `names`, in the environment of this process.
    pub fn new(names: &[String]) -> Defines {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let names = names.iter().cloned().collect();
        Defines { names, variables: HashMap::new(), environment }
    }

    /// Debian's apache2ctl sets `APACHE_*` from a shell file; so do we for Debian's main file, if
    /// the environment has none of them. The shell decides what the file says.
    pub fn take_envvars(&mut self, main_file: &Path) {
        let set = self.environment.keys().any(|name| name.starts_with("APACHE_"));
        if set || main_file != Path::new("/etc/apache2/apache2.conf") {
            return;
        }
        let script = ". /etc/apache2/envvars >/dev/null 2>&1; env";
        let Ok(output) = Command::new("sh").args(["-c", script]).output() else { return };
        let text = String::from_utf8_lossy(&output.stdout);
        let variables = text.lines().filter_map(|line| line.split_once('='));
        for (name, value) in variables.filter(|(name, _)| name.starts_with("APACHE_")) {
            self.environment.insert(name.to_owned(), value.to_owned());
        }
    }

    /// `Define NAME [VALUE]`
    pub fn define(&mut self, name: &str, value: Option<&str>) {
        self.names.insert(name.to_owned());
        if let Some(value) = value {
            self.variables.insert(name.to_owned(), value.to_owned());
        }
    }

    /// `UnDefine NAME`
    pub fn undefine(&mut self, name: &str) {
        self.names.remove(name);
        self.variables.remove(name);
    }

    /// `NAME` is defined, with a value or without.
    pub fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// `text` with each `${NAME}` replaced that is known; httpd leaves the others as they are.
    pub fn resolve(&self, text: &str) -> String {
        let mut resolved = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let known = rest[at..].find('}').and_then(|end| {
                let name = &rest[at + 2..at + end];
                let value = self.variables.get(name).or_else(|| self.environment.get(name))?;
                Some((value, at + end + 1))
            });
            let (value, end) = match known {
                Some((value, end)) => (value.as_str(), end),
                None => ("${", at + 2),
            };
            resolved.push_str(&rest[..at]);
            resolved.push_str(value);
            rest = &rest[end..];
        }
        resolved + rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables() {
        let mut defines = Defines::new(&["FLAG".to_owned()]);
        defines.define("ROOT", Some("/srv"));
        defines.define("SSL", None);
        let table = [
            ("a ${ROOT}/b ${ROOT}", "a /srv/b /srv"),
            ("${NOBODY_HAS_SET_THIS} ${map:$1} ${ROOT", "${NOBODY_HAS_SET_THIS} ${map:$1} ${ROOT"),
            ("${x${ROOT}}", "${x/srv}"),
            ("$ROOT", "$ROOT"),
        ];
        for (text, expected) in table {
            assert_eq!(defines.resolve(text), expected, "{text}");
        }
        assert!(defines.has("FLAG") && defines.has("SSL") && defines.has("ROOT"));
        defines.undefine("ROOT");
        assert_eq!(defines.resolve("${ROOT}"), "${ROOT}");
        assert!(!defines.has("ROOT"));
    }
}
