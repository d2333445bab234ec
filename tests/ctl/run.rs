//! Runs the command in a folder of its own.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// What an httpd loads that has everything; the second half of the names that the tests take away.
const MODULES: &str = "mpm_event authz_core authn_file auth_basic authz_user alias headers rewrite \
                       setenvif proxy proxy_http proxy_balancer ssl wsroute";

/// Room for WebSockets, as `conf/wsroute.conf` has it.
const ROOM: &str =
    "AsyncRequestWorkerFactor 300\nServerLimit 32\nThreadsPerChild 25\nMaxRequestWorkers 150\n";

/// What the command said.
pub struct Said {
    /// Standard output, the folder's name replaced by `ROOT`.
    pub out: String,
    /// Standard error, likewise.
    pub err: String,
    /// The exit code.
    pub code: i32,
}

/// A folder with a configuration in it.
pub struct Folder(TempDir);

impl Folder {
    /// With `text` as `httpd.conf`, `ROOT` in it being the folder.
    pub fn with(text: &str) -> Folder {
        let dir = tempfile::Builder::new().prefix("wsroutectl-").tempdir().expect("a folder");
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("permissions");
        Folder(dir).file("httpd.conf", text)
    }

    /// A whole configuration: modules, room, then `text`.
    pub fn whole(text: &str) -> Folder {
        Folder::with(&format!("{}{ROOM}{text}", load(MODULES)))
    }

    /// As `whole`, without the modules `names`.
    pub fn without(names: &str, text: &str) -> Folder {
        let kept: Vec<&str> =
            MODULES.split_whitespace().filter(|m| !names.split(' ').any(|n| n == *m)).collect();
        Folder::with(&format!("{}{ROOM}{text}", load(&kept.join(" "))))
    }

    /// One more file; `ROOT` in it is the folder.
    pub fn file(self, name: &str, text: &str) -> Folder {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        fs::write(path, text.replace("ROOT", &self.root())).expect("a file");
        self
    }

    /// Sets a file's mode.
    pub fn mode(self, name: &str, mode: u32) -> Folder {
        let path = self.path().join(name);
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("permissions");
        self
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    fn root(&self) -> String {
        self.0.path().to_str().expect("an ASCII path").to_owned()
    }

    /// `wsroutectl lint httpd.conf ARGS`
    pub fn lint(&self, args: &[&str]) -> Said {
        let file = format!("{}/httpd.conf", self.root());
        self.run(&[&["lint", &file], args].concat())
    }

    /// `wsroutectl resolve -f httpd.conf ARGS`
    pub fn resolve(&self, args: &[&str]) -> Said {
        let file = format!("{}/httpd.conf", self.root());
        self.run(&[&["resolve", "-f", &file], args].concat())
    }

    fn run(&self, args: &[&str]) -> Said {
        let said = wsroutectl(args);
        let own = |text: String| text.replace(&self.root(), "ROOT");
        Said { out: own(said.out), err: own(said.err), code: said.code }
    }
}

/// Runs the command.
pub fn wsroutectl(args: &[&str]) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_wsroutectl")).args(args).output();
    let output = output.expect("the command starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    let code = output.status.code().expect("it was not killed");
    Said { out: text(output.stdout), err: text(output.stderr), code }
}

fn load(modules: &str) -> String {
    let line = |m: &str| format!("LoadModule {m}_module modules/mod_{m}.so\n");
    modules.split_whitespace().map(line).collect()
}

/// A file of the repository.
pub fn repository(path: &str) -> String {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}
