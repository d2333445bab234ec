//! The cache around a resolver: answers are good for a moment, many askers ask once, and an
//! outage of the resolver is bridged by what it said before.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::future::Cache;
use moka::ops::compute::Op;
use tokio::time::Instant;

use super::answer::Answer;
use super::resolver::config::Times;
use super::resolver::{Query, ResolveError, Resolver};
use crate::upstream::target::Address;

/// How many keys one resolver's cache holds.
const KEYS_MAX: u64 = 10_000;

/// The values of a query that its answer depends on.
type CacheKey = Vec<Option<String>>;

/// A resolver with its cache, its deadline and one flight for each key. Shared by all threads of
/// a child.
pub struct CachedResolver {
    name: String,
    resolver: Arc<dyn Resolver>,
    times: Times,
    cache: Cache<CacheKey, Arc<Entry>>,
    serials: AtomicU64,
    /// Which container (`id`) was last said to be at an address, and the serial of that answer.
    tenants: Mutex<HashMap<Address, (String, u64)>>,
}

/// What came of a question.
#[derive(Debug, Clone)]
pub struct Lookup {
    /// The answer; `None`: the key is unknown.
    pub answer: Option<Answer>,
    /// The answer is an earlier one, because the resolver failed in this way.
    pub stale: Option<ResolveError>,
}

/// What the cache knows about a key.
struct Entry {
    outcome: Result<Lookup, ResolveError>,
    /// Until then nobody asks again.
    fresh_until: Instant,
    /// The last answer, and until when it may stand in for an error.
    last: Option<(Answer, Instant)>,
}

impl CachedResolver {
    /// Puts a cache around `resolver`.
    pub fn new(name: &str, resolver: Arc<dyn Resolver>, times: Times) -> CachedResolver {
        // Only a bound on memory, on moka's own clock; what is fresh is decided here.
        let kept = times.ttl.saturating_add(times.stale).max(times.negative);
        let kept = kept.saturating_add(Duration::from_secs(1));
        let cache = Cache::builder().max_capacity(KEYS_MAX).time_to_live(kept).build();
        CachedResolver {
            name: name.to_owned(),
            resolver,
            times,
            cache,
            serials: AtomicU64::new(1),
            tenants: Mutex::default(),
        }
    }

    /// What `WsRoute` calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The answer to `query`: from the cache while it is fresh, else asked for. Concurrent askers
    /// with the same question share one flight. A container that is not running is looked at
    /// again after `negative`, and so is a resolver that a stale answer stands in for.
    ///
    /// # Errors
    /// What the resolver says, or [`ResolveError::Late`], if no stale answer may stand in.
    pub async fn resolve(&self, query: &Query) -> Result<Lookup, ResolveError> {
        let key = self.resolver.cache_key(query);
        let is_over = |e: &Arc<Entry>| {
            Instant::now() >= e.fresh_until || e.answer().is_some_and(|a| self.has_moved_out(a))
        };
        // Most often nothing is to be asked: a look is cheaper than a place in the queue.
        if let Some(entry) = self.cache.get(&key).await.filter(|e| !is_over(e)) {
            return entry.outcome.clone();
        }
        let entry = self.cache.entry(key.clone());
        // In a box: it is large, and who finds an answer in the cache needs no room for it.
        let asked = Box::pin(entry.or_insert_with_if(self.ask(key, query), is_over));
        asked.await.into_value().outcome.clone()
    }

    /// Drops the answer to `query` because connecting to it failed, provided the cache still holds
    /// this one ([`Answer::serial`]): of a thousand sessions that fail at once only the first
    /// causes another question.
    pub async fn forget(&self, query: &Query, failed: &Answer) {
        let key = self.resolver.cache_key(query);
        let drop_it = |entry: Option<moka::Entry<CacheKey, Arc<Entry>>>| {
            let serial = entry.and_then(|e| e.value().answer().map(|a| a.serial));
            std::future::ready(match serial == Some(failed.serial) {
                true => Op::Remove,
                false => Op::Nop,
            })
        };
        self.cache.entry(key).and_compute_with(drop_it).await;
    }

    /// Warnings of the resolver since the last call, for the error log.
    pub fn warnings(&self) -> Vec<String> {
        self.resolver.warnings()
    }

    /// One flight.
    async fn ask(&self, key: CacheKey, query: &Query) -> Arc<Entry> {
        let last = self.cache.get(&key).await.and_then(|e| e.last.clone());
        let resolution = self.resolver.resolve(query.clone());
        let result = match self.times.timeout {
            Some(timeout) => {
                tokio::time::timeout(timeout, resolution).await.unwrap_or(Err(ResolveError::Late))
            }
            None => resolution.await,
        };
        Arc::new(self.entry(result, last))
    }

    /// Ports are used again: notes which container is said to be at its address now.
    fn note_tenant(&self, answer: &Answer) {
        let (Some(target), Some(id)) = (&answer.target, &answer.id) else { return };
        let mut tenants = self.tenants();
        if tenants.len() as u64 >= KEYS_MAX {
            // Without the notes nobody knows which answers are out of date.
            tenants.clear();
            self.cache.invalidate_all();
        }
        tenants.insert(target.address.clone(), (id.clone(), answer.serial));
    }

    /// A later answer says that another container is at the address of `answer`.
    fn has_moved_out(&self, answer: &Answer) -> bool {
        let (Some(target), Some(id)) = (&answer.target, &answer.id) else { return false };
        let tenants = self.tenants();
        let tenant = tenants.get(&target.address);
        tenant.is_some_and(|(tenant, since)| tenant != id && *since > answer.serial)
    }

    fn tenants(&self) -> MutexGuard<'_, HashMap<Address, (String, u64)>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges a result.
    fn entry(
        &self,
        result: Result<Option<Answer>, ResolveError>,
        last: Option<(Answer, Instant)>,
    ) -> Entry {
        let now = Instant::now();
        let Times { ttl, negative, stale, .. } = self.times;
        match result {
            Ok(Some(mut answer)) => {
                answer.serial = self.serials.fetch_add(1, Ordering::Relaxed);
                self.note_tenant(&answer);
                let fresh = if answer.is_running() { ttl } else { ttl.min(negative) };
                let last = Some((answer.clone(), now + ttl + stale));
                let outcome = Ok(Lookup { answer: Some(answer), stale: None });
                Entry { outcome, fresh_until: now + fresh, last }
            }
            Ok(None) => {
                let outcome = Ok(Lookup { answer: None, stale: None });
                Entry { outcome, fresh_until: now + negative, last: None }
            }
            Err(error) => match last {
                Some((answer, until))
                    if error.is_outage() && now < until && !self.has_moved_out(&answer) =>
                {
                    let lookup = Lookup { answer: Some(answer.clone()), stale: Some(error) };
                    let fresh_until = until.min(now + negative);
                    Entry { outcome: Ok(lookup), fresh_until, last: Some((answer, until)) }
                }
                _ => Entry { outcome: Err(error), fresh_until: now, last: None },
            },
        }
    }
}

impl Entry {
    fn answer(&self) -> Option<&Answer> {
        self.outcome.as_ref().ok()?.answer.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::resolver::Resolution;
    use std::collections::VecDeque;
    use std::sync::Mutex;
    use tokio::time::{advance, sleep};

    type Reply = Result<Option<&'static str>, ResolveError>;

    /// Says its replies one after the other, the last one for ever, each after a delay.
    #[derive(Clone, Default)]
    struct Script(Arc<Mutex<(u32, VecDeque<Reply>, Duration)>>);

    impl Script {
        fn asked(&self) -> u32 {
            self.0.lock().unwrap().0
        }
    }

    impl Resolver for Script {
        fn resolve(&self, _query: Query) -> Resolution {
            let mut script = self.0.lock().unwrap();
            script.0 += 1;
            let reply = match script.1.len() {
                1 => script.1[0].clone(),
                _ => script.1.pop_front().unwrap(),
            };
            let delay = script.2;
            Box::pin(async move {
                sleep(delay).await;
                let Some(text) = reply? else { return Ok(None) };
                match text.strip_prefix("creating ") {
                    Some(t) => Answer::from_fields([("target", t), ("state", "creating")], false),
                    None => {
                        let (target, id) = text.split_once(' ').unwrap_or((text, ""));
                        Answer::from_fields([("target", target), ("id", id)], false)
                    }
                }
            })
        }
    }

    fn cached(replies: &[Reply], delay: u64) -> (Script, Arc<CachedResolver>) {
        let replies = replies.iter().cloned().collect();
        let delay = Duration::from_millis(delay);
        let script = Script(Arc::new(Mutex::new((0, replies, delay))));
        let resolver: Arc<dyn Resolver> = Arc::new(script.clone());
        (script, Arc::new(CachedResolver::new("d", resolver, Times::default())))
    }

    fn query(key: &str) -> Query {
        Query { key: key.into(), ..Query::default() }
    }

    /// The target, with a `~` before a stale one.
    async fn target(cached: &CachedResolver, key: &str) -> Result<Option<String>, ResolveError> {
        let lookup = cached.resolve(&query(key)).await?;
        let mark = if lookup.stale.is_some() { "~" } else { "" };
        Ok(lookup.answer.map(|a| format!("{mark}{}", a.target.unwrap())))
    }

    fn some(text: &str) -> Result<Option<String>, ResolveError> {
        Ok(Some(text.into()))
    }

    fn down() -> ResolveError {
        ResolveError::Failed("down".into())
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_fresh_for_its_ttl() {
        let (script, d) = cached(&[Ok(Some("a:1")), Ok(Some("b:1"))], 0);
        assert_eq!(target(&d, "k").await, some("ws://a:1"));
        advance(Duration::from_millis(1_990)).await;
        assert_eq!(target(&d, "k").await, some("ws://a:1"));
        assert_eq!(script.asked(), 1);
        advance(Duration::from_millis(20)).await;
        assert_eq!(target(&d, "k").await, some("ws://b:1"));
        assert_eq!(target(&d, "other").await, some("ws://b:1"));
        assert_eq!(script.asked(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_askers_ask_once() {
        for reply in [Ok(Some("a:1")), Ok(None), Err(down())] {
            let (script, d) = cached(&[reply], 100);
            let ask = |d: Arc<CachedResolver>| async move { target(&d, "k").await };
            let askers: Vec<_> = (0..1000).map(|_| tokio::spawn(ask(Arc::clone(&d)))).collect();
            let mut results = Vec::new();
            for asker in askers {
                results.push(asker.await.unwrap());
            }
            assert_eq!(script.asked(), 1);
            assert!(results.iter().all(|r| *r == results[0]));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_asker_that_leaves_takes_nobody_along() {
        let (script, d) = cached(&[Ok(Some("a:1"))], 100);
        let first = tokio::spawn({
            let d = Arc::clone(&d);
            async move { target(&d, "k").await }
        });
        sleep(Duration::from_millis(10)).await;
        let second = tokio::spawn({
            let d = Arc::clone(&d);
            async move { target(&d, "k").await }
        });
        sleep(Duration::from_millis(10)).await;
        first.abort();
        assert_eq!(second.await.unwrap(), some("ws://a:1"));
        assert_eq!(script.asked(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn unknown_is_remembered_for_negative() {
        let (script, d) = cached(&[Ok(None), Ok(Some("a:1"))], 0);
        assert_eq!(target(&d, "k").await, Ok(None));
        advance(Duration::from_millis(990)).await;
        assert_eq!(target(&d, "k").await, Ok(None));
        assert_eq!(script.asked(), 1);
        advance(Duration::from_millis(20)).await;
        assert_eq!(target(&d, "k").await, some("ws://a:1"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_starting_container_is_looked_at_after_negative() {
        let (script, d) = cached(&[Ok(Some("creating a:1")), Ok(Some("a:1"))], 0);
        assert_eq!(target(&d, "k").await, some("ws://a:1"));
        advance(Duration::from_millis(1_010)).await;
        assert!(d.resolve(&query("k")).await.unwrap().answer.unwrap().is_running());
        assert_eq!(script.asked(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stale_answer_bridges_an_outage() {
        let (script, d) = cached(&[Ok(Some("a:1")), Err(down())], 0);
        assert_eq!(target(&d, "k").await, some("ws://a:1"));
        advance(Duration::from_secs(3)).await;
        assert_eq!(target(&d, "k").await, some("~ws://a:1"));
        assert_eq!(target(&d, "k").await, some("~ws://a:1"));
        assert_eq!(script.asked(), 2);
        advance(Duration::from_millis(28_500)).await;
        assert_eq!(target(&d, "k").await, some("~ws://a:1"));
        advance(Duration::from_secs(1)).await;
        assert_eq!(target(&d, "k").await, Err(down()));
        assert_eq!(target(&d, "k").await, Err(down()));
        assert_eq!(target(&d, "new").await, Err(down()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_resolver() {
        let (_, d) = cached(&[Ok(Some("a:1"))], 2_010);
        let before = Instant::now();
        assert_eq!(target(&d, "k").await, Err(ResolveError::Late));
        let waited = before.elapsed();
        assert!(waited >= Duration::from_secs(2) && waited < Duration::from_millis(2_010));

        let (script, d) = cached(&[Ok(Some("a:1"))], 0);
        assert_eq!(target(&d, "k").await, some("ws://a:1"));
        script.0.lock().unwrap().2 = Duration::from_secs(10);
        advance(Duration::from_secs(3)).await;
        assert_eq!(target(&d, "k").await, some("~ws://a:1"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_no_is_not_bridged() {
        for no in [Ok(None), Err(ResolveError::Unauthorized(403))] {
            let (_, d) = cached(&[Ok(Some("a:1")), no.clone(), Err(down())], 0);
            assert_eq!(target(&d, "k").await, some("ws://a:1"));
            advance(Duration::from_secs(3)).await;
            assert_eq!(target(&d, "k").await, no.map(|_| None));
            advance(Duration::from_secs(2)).await;
            assert_eq!(target(&d, "k").await, Err(down()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_answer_that_failed_is_forgotten() {
        let (script, d) = cached(&[Ok(Some("a:1")), Ok(Some("b:1")), Err(down())], 0);
        let first = d.resolve(&query("k")).await.unwrap().answer.unwrap();
        d.forget(&query("k"), &first).await;
        assert_eq!(target(&d, "k").await, some("ws://b:1"));
        d.forget(&query("k"), &first).await;
        d.forget(&query("other"), &first).await;
        assert_eq!(target(&d, "k").await, some("ws://b:1"));
        assert_eq!(script.asked(), 2);
        // A forgotten answer does not come back as a stale one.
        let second = d.resolve(&query("k")).await.unwrap().answer.unwrap();
        d.forget(&query("k"), &second).await;
        assert_eq!(target(&d, "k").await, Err(down()));
    }

    #[tokio::test(start_paused = true)]
    async fn who_moves_in_drives_the_former_tenant_out() {
        let (script, d) = cached(&[Ok(Some("a:1 one")), Ok(Some("a:1 two")), Ok(Some("b:1"))], 0);
        assert_eq!(target(&d, "alice").await, some("ws://a:1"));
        assert_eq!(target(&d, "bob").await, some("ws://a:1"));
        assert_eq!(target(&d, "alice").await, some("ws://b:1"));
        assert_eq!(script.asked(), 3);
        // All that is known of the former one is, and an outage does not bring it back.
        let replies = [Ok(Some("a:1 one")), Ok(Some("a:1 one")), Ok(Some("a:1 two")), Err(down())];
        let (script, d) = cached(&replies, 0);
        for key in ["alice", "alice again", "bob"] {
            assert_eq!(target(&d, key).await, some("ws://a:1"));
        }
        for key in ["alice", "alice again"] {
            assert_eq!(target(&d, key).await, Err(down()));
        }
        assert_eq!(target(&d, "bob").await, some("ws://a:1"));
        assert_eq!(script.asked(), 5);
        // The same container under two keys is no move.
        let (script, d) = cached(&[Ok(Some("a:1 one"))], 0);
        for key in ["alice", "bob", "alice", "bob"] {
            assert_eq!(target(&d, key).await, some("ws://a:1"));
        }
        assert_eq!(script.asked(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn without_ttl_every_question_is_asked() {
        let (script, _) = cached(&[Ok(Some("a:1"))], 0);
        let off = Times { ttl: Duration::ZERO, stale: Duration::ZERO, ..Times::default() };
        let d = CachedResolver::new("d", Arc::new(script.clone()), off);
        for _ in 0..3 {
            assert_eq!(target(&d, "k").await, some("ws://a:1"));
        }
        assert_eq!(script.asked(), 3);
    }
}
