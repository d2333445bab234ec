//! Who may pass in a scope: `Require` and authentication, as far as the configuration says.

use super::scope::Effective;
use super::syntax::Directive;

/// Kinds of `Require` that ask for no user.
const ANONYMOUS: [&str; 9] =
    ["all", "env", "expr", "forward-dns", "host", "ip", "local", "method", "not"];

impl<'c> Effective<'c> {
    /// The `Require` lines that count: those of the innermost section that has any, in containers
    /// too. (Sections add up with `AuthMerging` only.)
    pub fn requires(&self) -> Vec<&'c Directive> {
        fn find<'d>(directives: &'d [Directive], found: &mut Vec<&'d Directive>) {
            for directive in directives {
                if directive.is("Require") {
                    found.push(directive);
                }
                find(directive.inner(), found);
            }
        }
        let merging = self.last("AuthMerging").is_some_and(|d| !d.args.eq_ignore_ascii_case("off"));
        let mut all = Vec::new();
        for section in self.chain.iter().rev() {
            find(&section.directives, &mut all);
            if !all.is_empty() && !merging {
                break;
            }
        }
        all
    }

    /// Somebody may be kept out: some `Require` other than `all granted` counts.
    pub fn is_guarded(&self) -> bool {
        let granted = |line: &&Directive| line.args.eq_ignore_ascii_case("all granted");
        self.requires().iter().any(|line| !granted(line)) || self.has_client_certificates()
    }

    /// A user's name is known here: somebody asks for it.
    pub fn asks_for_login(&self) -> bool {
        let user = |line: &&Directive| {
            let kind = line.words().into_iter().next().unwrap_or_default().to_ascii_lowercase();
            !ANONYMOUS.contains(&kind.as_str())
        };
        let kind = self.last("AuthType").is_some_and(|d| !d.args.eq_ignore_ascii_case("none"));
        (kind && self.requires().iter().any(user)) || self.has_client_certificates()
    }

    /// The value of the `AuthType` that counts, in lower case.
    pub fn auth_type(&self) -> Option<String> {
        let word = self.last("AuthType")?.words().into_iter().next()?.to_ascii_lowercase();
        (word != "none").then_some(word)
    }

    /// mod_ssl demands a certificate and takes the user's name from it.
    fn has_client_certificates(&self) -> bool {
        let demanded = self
            .last("SSLVerifyClient")
            .is_some_and(|d| d.words().first().is_some_and(|w| w.eq_ignore_ascii_case("require")));
        let fake = self.all("SSLOptions").iter().any(|d| d.args.contains("FakeBasicAuth"));
        demanded && (fake || self.last("SSLUserName").is_some())
    }
}

#[cfg(test)]
mod tests {
    use crate::apache::{Config, Options};

    #[test]
    fn who_may_pass() {
        let basic = "AuthType Basic\nAuthUserFile /x\n";
        let table = [
            ("", false, false),
            ("Require all granted", false, false),
            ("Require ip 10.0.0.0/8", true, false),
            ("AuthType Basic\nRequire valid-user", true, true),
            ("AuthType None\nRequire user alice", true, false),
            ("AuthType openid-connect\nRequire claim sub:x", true, true),
            (
                "AuthType Basic\n<RequireAny>\nRequire ip ::1\nRequire user a\n</RequireAny>",
                true,
                true,
            ),
            ("<Location />\nRequire valid-user\n</Location>\nAuthType form", true, true),
            (
                "<Location />\nRequire all granted\n</Location>\nAuthType form\nRequire user a",
                false,
                false,
            ),
            ("SSLVerifyClient require\nSSLUserName SSL_CLIENT_S_DN_CN", true, true),
            ("SSLVerifyClient optional\nSSLUserName SSL_CLIENT_S_DN_CN", false, false),
            (basic, false, false),
        ];
        for (text, guarded, login) in table {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("f");
            std::fs::write(&file, format!("<VirtualHost *:80>\n{text}\n</VirtualHost>")).unwrap();
            let config = Config::read(&Options { file: Some(file), ..Options::default() }).unwrap();
            let effective = config.scope(&config.servers[1], "/x", &|_| Ok(false));
            assert_eq!(effective.is_guarded(), guarded, "guarded: {text}");
            assert_eq!(effective.asks_for_login(), login, "login: {text}");
        }
    }
}
