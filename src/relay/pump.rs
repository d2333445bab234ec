//! One tunnel as one future: both directions, the orders from outside, and the few timers of
//! its end. While bytes flow there is no timer and no lock.

use super::close_code::close_code;
use super::direction::{Direction, Sink, Source};
use super::session::Standing;
use super::{End, Order, Outcome, Session, Summary, Terms, threads};
use crate::net::{Io, LoopHandle, Seat, Side};
use crate::upgrade::close::{CloseCode, close_frame};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};

/// Both Close frames have passed: the upstream, as the server, ends the connection first
/// (RFC 6455 7.1.1); this is how long it may take.
const AFTER_CLOSE: Duration = Duration::from_secs(1);
/// We said the last word to the client: how long it may take to end.
const LINGER: Duration = Duration::from_secs(2);
/// The same when the child is about to exit.
const LINGER_STOP: Duration = Duration::from_secs(1);
/// How long a client that will be unreadable may stay silent before we end our side.
const LAST_WORD: Duration = Duration::from_secs(1);
/// A half-closed tunnel over which nothing passes ends after this time.
const HALF_CLOSED_IDLE: Duration = Duration::from_secs(60);
/// A Close frame can only be added between two frames: how long the frame under way may take.
const FRAME_END: Duration = Duration::from_secs(2);
const FRAME_END_STOP: Duration = Duration::from_millis(300);

/// A tunnel at work. It belongs to one task at a time.
pub struct Relay(Pump);

/// Why a tunnel does not go on here.
pub enum Pause {
    /// It is over.
    Over(Summary),
    /// The thread is busy, and this one has room: let it take a seat there, and go on.
    MoveTo(LoopHandle),
}

impl Relay {
    /// Begins a session. Inside a tokio runtime with time.
    pub fn new(client: End, upstream: End, terms: Terms, session: Arc<Session>) -> Relay {
        Relay(Pump {
            up: Direction::new(client.early),
            down: Direction::new(upstream.early),
            client: client.io,
            upstream: upstream.io,
            standing: session.standing(),
            session,
            asked: 0,
            registered: false,
            terms,
            obeyed: Order::None,
            outcome: None,
            closing: None,
            policy: terms.expires.map(|after| (Outcome::Expired, Box::pin(sleep(after)))),
            limit: None,
            client_half_closes: client.half_close,
            last_word: None,
        })
    }

    /// Relays between the two ends until the tunnel is over or should go on elsewhere. Never fails:
    /// what went wrong is in the [`Summary`].
    pub async fn run(&mut self) -> Pause {
        let pump = &mut self.0;
        if let Some(other) = poll_fn(|cx| pump.poll(cx)).await {
            return Pause::MoveTo(other);
        }
        // A time limit may have come before the client was told: without waiting, a last try.
        poll_fn(|cx| Poll::Ready(pump.down.poll_shutdown(cx, &mut *pump.client).is_ready())).await;
        Pause::Over(pump.summary())
    }

    /// Has the event loop of `seat` wake the tunnel from now on. From any thread, between two runs.
    pub fn take_seat(&mut self, seat: &Arc<Seat>) {
        let pump = &mut self.0;
        pump.client.take_seat(seat, Side::Client);
        pump.upstream.take_seat(seat, Side::Upstream);
        pump.registered = false;
    }
}

/// Why a tunnel is given a time limit. A later one replaces an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Limit {
    /// One direction ended; the other goes on as long as something passes over it. The number is
    /// that of the bytes that have passed.
    HalfClosed(u64),
    FrameEnd,
    FrameEndStop,
    AfterClose,
    Linger,
    LingerStop,
}

impl Limit {
    fn duration(self) -> Duration {
        match self {
            Limit::HalfClosed(_) => HALF_CLOSED_IDLE,
            Limit::FrameEnd => FRAME_END,
            Limit::FrameEndStop => FRAME_END_STOP,
            Limit::AfterClose => AFTER_CLOSE,
            Limit::Linger => LINGER,
            Limit::LingerStop => LINGER_STOP,
        }
    }
}

struct Pump {
    client: Box<dyn Io>,
    upstream: Box<dyn Io>,
    /// Client to upstream.
    up: Direction,
    /// Upstream to client.
    down: Direction,
    session: Arc<Session>,
    /// The session's. Not behind it: that would be a line of memory more for each message.
    standing: Standing,
    /// See [`threads::elsewhere`].
    asked: u32,
    /// The session's waker is this task's.
    registered: bool,
    terms: Terms,
    obeyed: Order,
    /// The first cause of the end.
    outcome: Option<Outcome>,
    /// The Close code that we want the client to get, as soon as a frame ends.
    closing: Option<CloseCode>,
    /// When the session is over by its own terms, or by the drain.
    policy: Option<(Outcome, Pin<Box<Sleep>>)>,
    limit: Option<(Limit, Pin<Box<Sleep>>)>,
    client_half_closes: bool,
    /// A client that cannot be read after our end is given this long for its last words; begins
    /// anew when some come. The number is that of the bytes that had come.
    last_word: Option<(u64, Pin<Box<Sleep>>)>,
}

impl Pump {
    /// Ready when the tunnel is over, or with where it should go on.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<LoopHandle>> {
        if let Some(other) = threads::elsewhere(&mut self.asked) {
            return Poll::Ready(Some(other));
        }
        self.obey_orders(cx);
        loop {
            let before = self.state();
            self.look_at_the_clock(cx);
            let _ = self.up.poll_copy(cx, &mut *self.client, &mut *self.upstream);
            let _ = self.down.poll_copy(cx, &mut *self.upstream, &mut *self.client);
            self.note_close_frames();
            self.note_ends();
            self.pass_on_ends(cx);
            if self.is_over() || self.time_is_over(cx) {
                return Poll::Ready(None);
            }
            if self.state() == before {
                return Poll::Pending;
            }
        }
    }

    /// What decides whether another turn can do something that this one could not.
    fn state(&self) -> (Source, Sink, Source, Sink, bool) {
        let Pump { up, down, .. } = self;
        (up.source, up.sink, down.source, down.sink, down.is_sealed())
    }

    fn obey_orders(&mut self, cx: &mut Context<'_>) {
        // Once for each task: bytes meet no lock.
        if !self.registered {
            self.session.register(cx.waker());
            self.registered = true;
        }
        let order = self.standing.order();
        if order <= self.obeyed {
            return;
        }
        self.obeyed = order;
        match order {
            Order::None => {}
            Order::Drain => self.drain(Outcome::Drained),
            Order::Leave => self.drain(Outcome::Stopped),
            Order::Stop => self.close(Outcome::Stopped),
        }
    }

    /// The session may live on for its drain time, unless it ends earlier anyway.
    fn drain(&mut self, outcome: Outcome) {
        let until = Instant::now() + self.terms.drain;
        match &self.policy {
            Some((_, sleep)) if sleep.deadline() <= until => {}
            _ => self.policy = Some((outcome, Box::pin(tokio::time::sleep_until(until)))),
        }
    }

    fn look_at_the_clock(&mut self, cx: &mut Context<'_>) {
        if let Some((outcome, sleep)) = &mut self.policy
            && sleep.as_mut().poll(cx).is_ready()
        {
            let outcome = *outcome;
            self.policy = None;
            self.close(outcome);
        }
    }

    /// We end the tunnel ourselves.
    fn close(&mut self, outcome: Outcome) {
        self.outcome.get_or_insert(outcome);
        if self.closing.is_none() {
            let (code, reason) = close_code(outcome);
            self.closing = Some(code);
            self.down.seal(close_frame(code, reason));
        }
    }

    fn note_close_frames(&mut self) {
        if self.outcome.is_some() {
            return;
        }
        // Both may pass in one turn; the answer to a Close frame never comes before it, and the
        // client's bytes were looked at first.
        if self.up.frames.close_passed() {
            self.outcome = Some(Outcome::ClientClosed);
        } else if self.down.frames.close_passed() {
            self.outcome = Some(Outcome::UpstreamClosed);
        }
    }

    fn note_ends(&mut self) {
        if self.up.source != Source::Open || self.down.sink == Sink::Failed {
            self.outcome.get_or_insert(Outcome::ClientLost);
        }
        if self.down.source != Source::Open {
            let client_listens = self.up.source == Source::Open;
            if client_listens && !self.down.frames.close_passed() {
                self.close(Outcome::UpstreamLost);
            }
            self.outcome.get_or_insert(Outcome::UpstreamLost);
        }
        // A reset takes both directions away.
        if self.down.source == Source::Failed {
            self.up.sink = Sink::Failed;
        }
        if self.up.source == Source::Failed {
            self.down.sink = Sink::Failed;
        }
    }

    /// Lets each side know that the other one has no more to say, after the last byte.
    fn pass_on_ends(&mut self, cx: &mut Context<'_>) {
        let client_is_done = self.up.source != Source::Open
            || (self.down.is_sealed() && self.up.frames.close_passed());
        if client_is_done {
            let _ = self.up.poll_shutdown(cx, &mut *self.upstream);
        }
        let upstream_is_done =
            self.down.is_sealed() || (self.down.source != Source::Open && self.nothing_to_add());
        if upstream_is_done && self.may_end_towards_client(cx) {
            let _ = self.down.poll_shutdown(cx, &mut *self.client);
        }
    }

    /// To end our side makes some clients (TLS through httpd) unreadable: those get time to say
    /// what they still have to say, unless they have said goodbye.
    fn may_end_towards_client(&mut self, cx: &mut Context<'_>) -> bool {
        if self.client_half_closes
            || !self.down.is_drained()
            || self.up.source != Source::Open
            || self.up.frames.close_passed()
        {
            return true;
        }
        let said = self.up.traffic().bytes;
        match &mut self.last_word {
            Some((before, _)) if *before == said => {}
            Some((before, time)) => {
                time.as_mut().reset(Instant::now() + LAST_WORD);
                *before = said;
            }
            None => self.last_word = Some((said, Box::pin(sleep(LAST_WORD)))),
        }
        self.last_word.as_mut().is_some_and(|(_, time)| time.as_mut().poll(cx).is_ready())
    }

    /// No Close frame of ours will follow what has passed towards the client.
    fn nothing_to_add(&self) -> bool {
        self.closing.is_none() || self.down.frames.close_passed() || !self.down.frames.at_boundary()
    }

    fn client_is_gone(&self) -> bool {
        self.down.sink == Sink::Failed
    }

    fn is_over(&self) -> bool {
        let client_has_all = self.down.sink != Sink::Open;
        let upstream_has_all = self.up.sink != Sink::Open;
        let client_is_silent = self.up.source != Source::Open || self.client_is_gone();
        let upstream_is_silent = self.down.source != Source::Open || self.down.is_sealed();
        if self.client_is_gone() {
            return upstream_has_all || (self.up.source != Source::Open && self.up.is_drained());
        }
        client_has_all && upstream_has_all && client_is_silent && upstream_is_silent
    }

    /// Gives an ending tunnel its time limit; true when that limit is over.
    fn time_is_over(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(limit) = self.wanted_limit() else { return false };
        match &mut self.limit {
            Some((set, _)) if *set == limit => {}
            Some((set, sleep)) if std::mem::discriminant(set) == std::mem::discriminant(&limit) => {
                sleep.as_mut().reset(Instant::now() + limit.duration());
                *set = limit;
            }
            _ => self.limit = Some((limit, Box::pin(sleep(limit.duration())))),
        }
        self.limit.as_mut().is_some_and(|(_, sleep)| sleep.as_mut().poll(cx).is_ready())
    }

    fn wanted_limit(&self) -> Option<Limit> {
        let stop = self.obeyed == Order::Stop;
        let linger = if stop { Limit::LingerStop } else { Limit::Linger };
        if self.down.is_sealed()
            && (self.outcome != Some(Outcome::UpstreamLost) || self.up.frames.close_passed())
        {
            return Some(linger);
        }
        if self.closing.is_some() && !self.down.is_sealed() && self.down.source == Source::Open {
            return Some(match (self.down.frames.close_passed(), stop) {
                (true, _) => linger,
                (false, true) => Limit::FrameEndStop,
                (false, false) => Limit::FrameEnd,
            });
        }
        if self.up.frames.close_passed() && self.down.frames.close_passed() {
            return Some(Limit::AfterClose);
        }
        if self.client_is_gone() || self.up.sink == Sink::Failed {
            return Some(linger);
        }
        let half_closed = self.up.source != Source::Open || self.down.source != Source::Open;
        let passed = self.up.traffic().bytes + self.down.traffic().bytes;
        half_closed.then_some(Limit::HalfClosed(passed))
    }

    fn summary(&self) -> Summary {
        let mut outcome = self.outcome.unwrap_or(Outcome::ClientLost);
        if outcome == Outcome::UpstreamLost && !self.down.is_sealed() {
            outcome = Outcome::UpstreamBroke;
        }
        let code_in = |way: &Direction| way.frames.close_code().or(Some(CloseCode::NONE));
        let close = match outcome {
            Outcome::ClientClosed => code_in(&self.up),
            Outcome::UpstreamClosed => code_in(&self.down),
            _ if self.down.is_sealed() => self.closing,
            _ => None,
        };
        Summary { outcome, close, up: self.up.traffic(), down: self.down.traffic() }
    }
}

#[cfg(test)]
#[path = "pump_tests.rs"]
mod tests;
