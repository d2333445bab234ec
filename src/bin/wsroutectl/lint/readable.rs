//! Who can read a file: everybody, or the user that httpd's children run as.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use mod_wsroute::apache::Config;

/// Somebody that files belong to, or not.
pub struct Account {
    /// The user's name.
    pub name: String,
    uid: u32,
    groups: Vec<u32>,
}

impl Account {
    /// What `User` and `Group` name. `None` if the system knows no such user.
    pub fn of_children(config: &Config) -> Option<Account> {
        let word = |name| config.main().last(name)?.words().into_iter().next();
        let name = word("User")?;
        let users = fs::read_to_string("/etc/passwd").ok()?;
        let entry = users.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let own = fields.first() == Some(&name.as_str())
                || name.strip_prefix('#') == fields.get(2).copied();
            own.then(|| Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?)))
        });
        let (uid, primary): (u32, u32) = entry??;
        let group = word("Group");
        let listed = fs::read_to_string("/etc/group").unwrap_or_default();
        let gid = |line: &str| -> Option<u32> {
            let fields: Vec<&str> = line.split(':').collect();
            let [group_name, _, gid, members] = fields.as_slice() else { return None };
            let own =
                group.as_deref() == Some(*group_name) || members.split(',').any(|m| m == name);
            gid.parse().ok().filter(|_| own)
        };
        let groups = std::iter::once(primary).chain(listed.lines().filter_map(gid)).collect();
        Some(Account { name, uid, groups })
    }

    /// It can read `file`, and enter the folders above it.
    pub fn can_read(&self, file: &Path) -> bool {
        let folders = file.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
        let enters = |folder: &Path| fs::metadata(folder).is_ok_and(|m| self.may(&m, 0o1));
        folders.into_iter().all(enters) && fs::metadata(file).is_ok_and(|m| self.may(&m, 0o4))
    }

    fn may(&self, metadata: &Metadata, bit: u32) -> bool {
        let shift = match (metadata.uid() == self.uid, self.groups.contains(&metadata.gid())) {
            (true, _) => 6,
            (false, true) => 3,
            (false, false) => 0,
        };
        self.uid == 0 || metadata.mode() & (bit << shift) != 0
    }
}

/// Every user of this machine can read `file`. A file that is not there is nobody's.
pub fn by_everybody(file: &Path) -> bool {
    let enters = |folder: &Path| fs::metadata(folder).is_ok_and(|m| m.mode() & 0o1 != 0);
    let folders = file.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
    fs::metadata(file).is_ok_and(|m| m.mode() & 0o4 != 0) && folders.into_iter().all(enters)
}
