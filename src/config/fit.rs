//! Whether the module fits the httpd that has loaded it.

use std::fmt;

/// The oldest httpd that this module runs in.
pub const OLDEST: Version = Version(2, 4, 52);

/// httpd's version: major, minor, patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub i32, pub i32, pub i32);

/// A module magic number (MMN), the version of httpd's interface for modules. Another major is
/// another interface; a higher minor has more in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mmn {
    /// The day when the interface last broke, as `20120211`.
    pub major: i32,
    /// What was added since.
    pub minor: i32,
}

/// Why a module built for `built` may not run in this httpd; `None` if it may.
pub fn misfit(built: Mmn, has: Mmn, version: Version) -> Option<String> {
    if version < OLDEST {
        return Some(format!(
            "this httpd is {version}, too old for mod_wsroute; upgrade it (minimum httpd {OLDEST})"
        ));
    }
    (built.major != has.major || built.minor > has.minor).then(|| {
        format!(
            "built for MMN {built}, this httpd has {has}; build mod_wsroute against this httpd \
             {version}, or upgrade it (minimum httpd {OLDEST})"
        )
    })
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl fmt::Display for Mmn {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILT: Mmn = Mmn { major: 20120211, minor: 126 };

    #[test]
    fn an_httpd_with_the_same_interface_or_more_fits() {
        for minor in [126, 127, 142] {
            assert_eq!(misfit(BUILT, Mmn { minor, ..BUILT }, Version(2, 4, 55)), None, "{minor}");
        }
        assert_eq!(misfit(Mmn { minor: 121, ..BUILT }, BUILT, OLDEST), None);
    }

    #[test]
    fn any_other_is_named() {
        for (has, seen) in [
            (Mmn { minor: 125, ..BUILT }, "20120211:125"),
            (Mmn { major: 20211221, minor: 200 }, "20211221:200"),
            (Mmn { major: 20051115, minor: 200 }, "20051115:200"),
        ] {
            let said = misfit(BUILT, has, Version(2, 4, 54)).unwrap();
            assert!(
                said.starts_with(&format!("built for MMN 20120211:126, this httpd has {seen};")),
                "{said}"
            );
            assert!(
                said.contains("httpd 2.4.54") && said.contains("minimum httpd 2.4.52"),
                "{said}"
            );
        }
    }

    #[test]
    fn below_the_minimum_the_interface_does_not_matter() {
        for version in [Version(2, 4, 51), Version(2, 2, 99), Version(1, 9, 9)] {
            let said = misfit(BUILT, BUILT, version).unwrap();
            assert!(said.starts_with(&format!("this httpd is {version}, too old")), "{said}");
        }
        assert_eq!(misfit(BUILT, BUILT, Version(2, 5, 0)), None);
    }
}
