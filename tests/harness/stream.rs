//! A long stream of frames that both ends can make for themselves, to compare every byte.

use super::frame;
use super::ws::BINARY;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const CHUNK: usize = 60_000;

/// `payload` bytes in binary frames, the same for the same `seed`.
pub fn patterned(seed: u64, payload: usize, masked: bool) -> Stream {
    Stream { state: seed | 1, payload, masked, bytes: Vec::new(), at: 0 }
}

/// The sender's half, and the receiver's template.
#[derive(Debug)]
pub struct Stream {
    state: u64,
    payload: usize,
    masked: bool,
    bytes: Vec<u8>,
    at: usize,
}

impl Stream {
    /// Makes sure that there are bytes at hand, unless the stream is over.
    fn fill(&mut self) -> &[u8] {
        if self.at == self.bytes.len() && self.payload > 0 {
            let n = self.payload.min(CHUNK);
            self.payload -= n;
            let mut data = Vec::with_capacity(n + 8);
            while data.len() < n {
                self.state ^= self.state << 13;
                self.state ^= self.state >> 7;
                self.state ^= self.state << 17;
                data.extend(self.state.to_le_bytes());
            }
            data.truncate(n);
            self.bytes = frame(BINARY, true, self.masked, &data);
            self.at = 0;
        }
        &self.bytes[self.at..]
    }

    /// Writes all of it.
    pub async fn pour(&mut self, io: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        while !self.fill().is_empty() {
            let n = io.write(self.fill()).await?;
            self.at += n;
        }
        io.flush().await
    }

    /// As [`Stream::pour`], and does something every `step` bytes.
    pub async fn pour_with<W: AsyncWrite + Unpin>(
        &mut self,
        io: &mut W,
        step: usize,
        act: impl Fn(&mut W),
    ) -> io::Result<()> {
        let mut since = 0;
        while !self.fill().is_empty() {
            let n = io.write(self.fill()).await?;
            self.at += n;
            since += n;
            if since >= step {
                since = 0;
                act(io);
            }
        }
        io.flush().await
    }

    /// Writes until the other side takes nothing for `patience`, and returns how many bytes it
    /// took. Call [`Stream::pour`] to go on where this stopped.
    pub async fn pour_until_stalled(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        patience: Duration,
    ) -> usize {
        let mut taken = 0;
        while !self.fill().is_empty() {
            match tokio::time::timeout(patience, io.write(self.fill())).await {
                Ok(n) => {
                    let n = n.expect("write");
                    self.at += n;
                    taken += n;
                }
                Err(_) => return taken,
            }
        }
        panic!("the other side never stalled: it took all {taken} bytes");
    }
}

/// The receiver's half.
#[derive(Debug)]
pub struct Checked {
    template: Stream,
    /// How many bytes came, all of them right.
    pub received: usize,
}

impl Checked {
    /// Expects what `template` makes.
    pub fn new(template: Stream) -> Checked {
        Checked { template, received: 0 }
    }

    /// Compares some bytes.
    pub fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let expected = self.template.fill();
            assert!(!expected.is_empty(), "{} bytes too many", bytes.len());
            let n = expected.len().min(bytes.len());
            if expected[..n] != bytes[..n] {
                let i = (0..n).find(|&i| expected[i] != bytes[i]).unwrap_or(0);
                panic!("byte {} of the stream differs", self.received + i);
            }
            self.template.at += n;
            self.received += n;
            bytes = &bytes[n..];
        }
    }

    /// Nothing more is expected.
    pub fn complete(&mut self) -> bool {
        self.template.fill().is_empty()
    }

    /// Reads and compares until all is there.
    pub async fn drink(&mut self, io: &mut (impl AsyncRead + Unpin)) {
        let mut chunk = vec![0; 64 << 10];
        while !self.complete() {
            let n = io.read(&mut chunk).await.expect("read");
            assert!(n > 0, "the connection ended after {} bytes", self.received);
            self.take(&chunk[..n]);
        }
    }
}
