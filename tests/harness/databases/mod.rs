//! Real database servers, each in a private folder, on a Unix socket and a loopback port.
//!
//! ```ignore
//! let mut db = Postgres::start();
//! db.sql("CREATE TABLE desktops (name text, host inet, port int)");
//! db.stop();
//! db.start_again();
//! ```
//!
//! When the test process is gone, so are they and their folders. Also compiled into the tests of
//! the crate, so nothing of the harness is used here.

mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use server::{Server, as_server, folder, give, say, succeeds};

/// A PostgreSQL server. Superuser `wsroute`, without a password; others have one.
pub struct Postgres(Server);

/// A MariaDB server. User `root`, without a password; database `wsroute`.
pub struct MariaDb(Server);

/// A Redis server. It forgets everything when it stops.
pub struct Redis(Server);

impl Postgres {
    fn attempt() -> Option<Postgres> {
        let folder = folder("postgres");
        let data = folder.join("data");
        let mut initdb = Command::new(postgres_program("initdb"));
        initdb.args(["-U", "wsroute", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]);
        say(as_server(initdb.arg("-D").arg(&data), &folder), "");
        let hba = "local all wsroute trust\nhost all wsroute 127.0.0.1/32 trust\n\
                   local all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\n";
        fs::write(data.join("pg_hba.conf"), hba).expect("pg_hba.conf");
        let settings = "listen_addresses = '127.0.0.1'\nshared_buffers = 8MB\nfsync = off\n\
                        full_page_writes = off\nautovacuum = off\nwal_level = minimal\n\
                        max_wal_senders = 0\n";
        fs::write(data.join("postgresql.conf"), settings).expect("postgresql.conf");
        let command = |port| {
            let mut postgres = Command::new(postgres_program("postgres"));
            postgres.arg("-D").arg(&data).arg("-k").arg(&folder).arg(format!("-p{port}"));
            postgres
        };
        let server = Server::start(&folder, "INT", command, |server| {
            succeeds(Postgres::psql(server).args(["-c", "SELECT 1"]))
        });
        server.map(Postgres)
    }

    /// For `WsRouteResolver`, over TCP, as the superuser.
    pub fn url(&self) -> String {
        format!("postgres://wsroute@127.0.0.1:{}/postgres", self.port())
    }

    /// The same over the Unix socket.
    pub fn socket_url(&self) -> String {
        let (folder, port) = (self.socket().display(), self.port());
        format!("postgres:///postgres?host={folder}&port={port}&user=wsroute")
    }

    /// The folder of the Unix socket.
    pub fn socket(&self) -> &Path {
        &self.0.folder
    }

    /// Runs statements; gives their rows, one a line, columns separated by `|`.
    pub fn sql(&self, statements: &str) -> String {
        say(&mut Postgres::psql(&self.0), statements)
    }

    fn psql(server: &Server) -> Command {
        let mut psql = Command::new(postgres_program("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "wsroute", "-h"]);
        psql.arg(&server.folder).arg("-p").arg(server.port.to_string()).arg("postgres");
        psql.current_dir(&server.folder);
        psql
    }
}

impl MariaDb {
    fn attempt() -> Option<MariaDb> {
        let folder = folder("mariadb");
        let settings = format!(
            "[mariadbd]\ndatadir={0}/data\nsocket={0}/socket\npid-file={0}/pid\n\
             bind-address=127.0.0.1\ncharacter-set-server=utf8mb4\nskip-name-resolve\nskip-log-bin\nperformance-schema=off\n\
             innodb-flush-method=nosync\ninnodb-buffer-pool-size=8M\ninnodb-log-file-size=4M\n\
             innodb-fast-shutdown=2\ninnodb-doublewrite=0\ninnodb-flush-log-at-trx-commit=0\n",
            folder.display()
        );
        fs::write(folder.join("my.cnf"), settings).expect("my.cnf");
        let command = |port| {
            let mut mariadbd = Command::new("/usr/sbin/mariadbd");
            mariadbd.arg(format!("--defaults-file={}/my.cnf", folder.display()));
            mariadbd.arg(format!("--port={port}"));
            mariadbd
        };
        for name in ["data", "data/mysql"] {
            fs::create_dir(folder.join(name)).expect("a folder");
            give(&folder.join(name));
        }
        // What mariadb-install-db does, without the help texts and the sys schema: twice as fast.
        let mut tables = "USE mysql;\nSET @auth_root_socket=NULL;\n".to_owned();
        for part in ["system_tables", "performance_tables", "system_tables_data"] {
            let file = format!("/usr/share/mysql/mysql_{part}.sql");
            tables += &fs::read_to_string(&file).unwrap_or_else(|e| panic!("{file}: {e}"));
        }
        tables += "\nCREATE DATABASE wsroute;\n";
        let mut bootstrap = command(0);
        say(as_server(bootstrap.args(["--bootstrap", "--skip-networking"]), &folder), &tables);
        let server = Server::start(&folder, "TERM", command, |server| {
            succeeds(MariaDb::client(server).args(["-e", "SELECT 1"]))
        });
        server.map(MariaDb)
    }

    /// For `WsRouteResolver`, over TCP, as root.
    pub fn url(&self) -> String {
        format!("mysql://root@127.0.0.1:{}/wsroute", self.port())
    }

    /// The same over the Unix socket.
    pub fn socket_url(&self) -> String {
        format!("mysql://root@localhost/wsroute?socket={}", self.socket().display())
    }

    /// The Unix socket.
    pub fn socket(&self) -> PathBuf {
        self.0.folder.join("socket")
    }

    /// Runs statements; gives their rows, one a line, columns separated by tabs.
    pub fn sql(&self, statements: &str) -> String {
        say(&mut MariaDb::client(&self.0), statements)
    }

    fn client(server: &Server) -> Command {
        let mut client = Command::new("/usr/bin/mariadb");
        client.args(["--no-defaults", "--batch", "--skip-column-names", "--user=root"]);
        client.arg("--default-character-set=utf8mb4");
        client.arg(format!("--socket={}/socket", server.folder.display())).arg("wsroute");
        client
    }
}

impl Redis {
    fn attempt() -> Option<Redis> {
        let folder = folder("redis");
        let command = |port: u16| {
            let mut redis = Command::new("/usr/bin/redis-server");
            redis.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""]);
            redis.args(["--unixsocketperm", "777", "--unixsocket"]).arg(folder.join("socket"));
            redis
        };
        let server = Server::start(&folder, "TERM", command, |server| {
            succeeds(Redis::client(server).args(["-e", "PING"]))
        });
        server.map(Redis)
    }

    /// For `WsRouteResolver`, over TCP.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port())
    }

    /// The Unix socket.
    pub fn socket(&self) -> PathBuf {
        self.0.folder.join("socket")
    }

    /// Runs one command; gives the answer as redis-cli prints it.
    pub fn command(&self, words: &[&str]) -> String {
        say(Redis::client(&self.0).arg("-e").args(words), "").trim_end().to_owned()
    }

    fn client(server: &Server) -> Command {
        let mut client = Command::new("/usr/bin/redis-cli");
        client.arg("-s").arg(server.folder.join("socket"));
        client
    }
}

/// The words that all servers have.
macro_rules! words_of_a_server {
    ($($name:ident)*) => {$(
        impl $name {
            /// Starts one. Redis takes no time, the others two or three seconds.
            pub fn start() -> $name {
                (0..5).find_map(|_| $name::attempt()).expect("a free port in five attempts")
            }

            /// The port on 127.0.0.1.
            pub fn port(&self) -> u16 {
                self.0.port
            }

            /// A file in the folder of the server, which the server alone can read.
            pub fn file(&self, name: &str, content: &str) -> PathBuf {
                self.0.file(name, content)
            }

            /// Ends the server as its administrator would; returns when it is gone.
            pub fn stop(&mut self) {
                self.0.stop();
            }

            /// Starts it in the same folder, on the same port.
            pub fn start_again(&mut self) {
                self.0.start_again();
            }
        }
    )*};
}

words_of_a_server!(Postgres MariaDb Redis);

/// A program of the newest PostgreSQL.
fn postgres_program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let programs = versions.map(|version| version.path().join("bin").join(name));
    let newest = programs.filter(|program| program.exists()).max();
    newest.expect("the tests need the package postgresql")
}
