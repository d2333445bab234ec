//! The steps behind the 101: "frames", "ping", "open", "close".

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use super::ends::{self, Ended};
use super::frames::{CLOSE, End, Frame, Frames, PING, PONG};
use super::http::{Answer, Io, printable};
use super::report::{Mark, Report};

/// A pong that takes longer does not come.
const PONG_TIME: Duration = Duration::from_secs(2);
/// Code of a Close frame: all is well.
const NORMAL: u16 = 1000;

/// A WebSocket that was opened.
pub struct Session {
    frames: Frames,
    opened: Instant,
    /// When somebody last said something.
    heard: Instant,
    count: usize,
    bytes: u64,
    banner: Option<String>,
}

impl Session {
    /// Behind `switched`, the 101.
    pub fn behind(io: Box<dyn Io>, switched: &Answer) -> Session {
        let compressed = switched.has("Sec-WebSocket-Extensions");
        Session::new(io, switched.0.rest.clone(), compressed)
    }

    /// `early` came with the answer; `compressed`: permessage-deflate is in use.
    pub fn new(io: Box<dyn Io>, early: Vec<u8>, compressed: bool) -> Session {
        let now = Instant::now();
        let frames = Frames::new(io, early, compressed);
        Session { frames, opened: now, heard: now, count: 0, bytes: 0, banner: None }
    }

    /// Goes through all steps; how the session ended before its time, if it did.
    pub async fn steps(
        &mut self,
        hold: Duration,
        limit: Duration,
        report: &mut Report,
    ) -> Option<Ended> {
        let pinged = self.ping().await;
        match pinged {
            Ok(true) => report.step("ping", Mark::Ok, "answered with a pong"),
            Ok(false) => report.step(
                "ping",
                Mark::Note,
                "no pong: some servers, as KasmVNC, ignore pings; browsers send none",
            ),
            Err(ended) => return Some(self.told(ended, report)),
        }
        report.waiting(&format!("staying open for {} s", hold.as_secs()));
        let until = self.opened + hold;
        while Instant::now() < until {
            if let Err(ended) = self.frame_until(until).await {
                return Some(self.told(ended, report));
            }
        }
        self.tell_frames(report);
        report.step("open", Mark::Ok, format!("for {} s", hold.as_secs()));
        self.close(limit, report).await
    }

    /// Stays open for so long and pings in between.
    ///
    /// # Errors
    /// How it ended before.
    pub async fn lives_with_pings(&mut self, time: Duration, every: Duration) -> Result<(), Ended> {
        let until = self.opened + time;
        let mut next = Instant::now();
        while Instant::now() < until {
            if Instant::now() >= next {
                next += every;
                // A connection that has ended says so when it is read.
                let _ = self.frames.send(PING, b"").await;
            }
            self.frame_until(next.min(until)).await?;
        }
        Ok(())
    }

    async fn ping(&mut self) -> Result<bool, Ended> {
        // A connection that has ended says so when it is read.
        let _ = self.frames.send(PING, b"wsroutectl").await;
        let until = Instant::now() + PONG_TIME;
        while Instant::now() < until {
            if self.frame_until(until).await?.is_some_and(|frame| frame.op == PONG) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A frame, if one comes before `until`. Pings are answered.
    async fn frame_until(&mut self, until: Instant) -> Result<Option<Frame>, Ended> {
        let frame = match timeout_at(until, self.frames.next()).await {
            Err(_) => return Ok(None),
            Ok(Err(end)) => return Err(self.ended(end, None)),
            Ok(Ok(frame)) => frame,
        };
        if frame.op == CLOSE {
            return Err(self.ended(End::Ended, Some(frame)));
        }
        self.heard = Instant::now();
        if frame.op == PING {
            let _ = self.frames.send(PONG, &frame.data).await;
        }
        if frame.op < CLOSE {
            self.count += 1;
            self.bytes += frame.length;
            self.banner.get_or_insert_with(|| printable(&String::from_utf8_lossy(&frame.data)));
        }
        Ok(Some(frame))
    }

    fn ended(&self, end: End, close: Option<Frame>) -> Ended {
        Ended { end, close, after: self.opened.elapsed(), silent: self.heard.elapsed() }
    }

    fn told(&self, ended: Ended, report: &mut Report) -> Ended {
        self.tell_frames(report);
        ended
    }

    fn tell_frames(&self, report: &mut Report) {
        let text = match &self.banner {
            Some(banner) if banner.starts_with("RFB ") => {
                format!(
                    "{} messages, {} bytes: a VNC server ({})",
                    self.count,
                    self.bytes,
                    banner.trim()
                )
            }
            Some(_) => format!("{} messages, {} bytes", self.count, self.bytes),
            None => "the server says nothing of its own accord".to_owned(),
        };
        report.step("frames", if self.banner.is_some() { Mark::Ok } else { Mark::Note }, text);
    }

    async fn close(&mut self, limit: Duration, report: &mut Report) -> Option<Ended> {
        report.waiting("closing");
        let sent = self.frames.send(CLOSE, &NORMAL.to_be_bytes()).await;
        let until = Instant::now() + limit;
        let ended = loop {
            match self.frame_until(until).await {
                Ok(Some(_)) if Instant::now() < until => {}
                Ok(_) => {
                    sleep_until(until).await;
                    let text =
                        format!("no Close frame within {} s: browsers show 1006", limit.as_secs());
                    report.step("close", Mark::Warn, text);
                    return None;
                }
                Err(ended) => break ended,
            }
        };
        let text = match (&ended.end, &ended.close, sent) {
            (End::Masked | End::NotFrames(_), None, _) => return Some(ended),
            (_, Some(frame), _) => {
                let text = format!("answered with {}", ends::code(frame));
                report.step("close", Mark::Ok, text);
                return None;
            }
            // All that mattered is over.
            (End::Forbidden(rule), ..) => *rule,
            (End::Broke(_), ..) | (.., Err(_)) => "the server broke the connection off",
            _ => "the server ended the connection without a Close frame",
        };
        report.step("close", Mark::Note, format!("{text}: browsers show 1006"));
        None
    }
}
