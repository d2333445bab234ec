//! A bridge to an upstream that is connected already, for somebody in this process who can only
//! connect to a Unix socket (mod_proxy): one socket for one connection.

use crate::net::Io;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

/// How long the socket is there for somebody to connect.
const PATIENCE: Duration = Duration::from_secs(10);

static NUMBER: AtomicU64 = AtomicU64::new(1);

/// A listening socket in the file system. Its file goes when it is dropped.
pub struct Bridge {
    listener: UnixListener,
    path: PathBuf,
}

impl Bridge {
    /// Listens on a socket of its own in `folder`, which must be this server's alone. Must be
    /// called inside a tokio runtime.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(folder: &Path) -> io::Result<Bridge> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("{}-{number}", std::process::id()));
        Ok(Bridge { listener: UnixListener::bind(&path)?, path })
    }

    /// Where to connect to.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for the one connection and copies bytes until both sides have ended. Another process
    /// that finds the socket is turned away: the upstream is meant for one request of ours.
    ///
    /// # Errors
    /// Nobody of this process connected in ten seconds, or a side was lost.
    pub async fn carry(self, mut upstream: Box<dyn Io>) -> io::Result<()> {
        let mut near = timeout(PATIENCE, self.accept()).await??;
        drop(self);
        copy_bidirectional(&mut near, &mut upstream).await.map(|_| ())
    }

    async fn accept(&self) -> io::Result<UnixStream> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            let ours = i32::try_from(std::process::id()).ok();
            if ours.is_some() && stream.peer_cred()?.pid() == ours {
                return Ok(stream);
            }
        }
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn one_connection_of_this_process() {
        let folder = tempfile::tempdir().unwrap();
        let bridge = Bridge::new(folder.path()).unwrap();
        let path = bridge.path().to_owned();
        let (upstream, mut far) = tokio::io::duplex(64);
        let carrying = tokio::spawn(bridge.carry(Box::new(upstream)));
        let mut near = UnixStream::connect(&path).await.unwrap();
        near.write_all(b"question").await.unwrap();
        let mut question = [0; 8];
        far.read_exact(&mut question).await.unwrap();
        assert_eq!(&question, b"question");
        assert!(UnixStream::connect(&path).await.is_err() && !path.exists());
        far.write_all(b"answer").await.unwrap();
        drop(far);
        let mut answer = String::new();
        near.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "answer");
        drop(near);
        carrying.await.unwrap().unwrap();
    }
}
