//! What event loops and the journal count. Each struct belongs to one thread, which alone writes.

use std::time::Duration;

use chronik_model::Mono;

use super::histogram::{COMMIT_BYTES, COMMIT_RECORDS, Counter, Histogram, LATENCY_NANOS};
use super::requests::RequestTable;

/// Counters of one event loop. They start on cache lines of their own, so that loops do not slow
/// each other down.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct LoopCounters {
    pub(super) requests: RequestTable,
    pub(super) errors: Counter,
    pub(super) bytes_in: Counter,
    pub(super) bytes_out: Counter,
    pub(super) connections_opened: Counter,
    pub(super) connections_closed: Counter,
    pub(super) produced_records: Counter,
    pub(super) produced_bytes: Counter,
    pub(super) rejected_bytes: Counter,
    pub(super) failed_produces: Counter,
    pub(super) fetched_bytes: Counter,
    pub(super) failed_fetches: Counter,
    produce_latency: [Histogram; 3],
    turns: Turns,
}

/// What a producer asked to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AcksLabel {
    /// `acks=0`
    None,
    /// `acks=1`
    Leader,
    /// `acks=all`
    All,
}

impl AcksLabel {
    /// In the order of the histograms.
    pub(super) const ALL: [Self; 3] = [Self::None, Self::Leader, Self::All];

    /// Value of the label `acks`.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::None => "0",
            Self::Leader => "1",
            Self::All => "all",
        }
    }
}

impl LoopCounters {
    /// All zero.
    pub(crate) fn new() -> Self {
        Self {
            requests: RequestTable::new(),
            errors: Counter::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            connections_opened: Counter::default(),
            connections_closed: Counter::default(),
            produced_records: Counter::default(),
            produced_bytes: Counter::default(),
            rejected_bytes: Counter::default(),
            failed_produces: Counter::default(),
            fetched_bytes: Counter::default(),
            failed_fetches: Counter::default(),
            produce_latency: AcksLabel::ALL.map(|_| Histogram::new(LATENCY_NANOS)),
            turns: Turns::default(),
        }
    }

    /// A request whose header was read.
    pub(crate) fn request(&self, api_key: i16, version: i16) {
        self.requests.count(api_key, version);
    }

    /// An answer that carries an error, or a request that could not be read.
    pub(crate) fn error(&self) {
        self.errors.add(1);
    }

    /// Bytes read from sockets.
    pub(crate) fn received(&self, bytes: u64) {
        self.bytes_in.add(bytes);
    }

    /// Bytes written to sockets.
    pub(crate) fn sent(&self, bytes: u64) {
        self.bytes_out.add(bytes);
    }

    /// A connection was accepted.
    pub(crate) fn connection_opened(&self) {
        self.connections_opened.add(1);
    }

    /// A connection is gone, whoever closed it.
    pub(crate) fn connection_closed(&self) {
        self.connections_closed.add(1);
    }

    /// Records that were appended, with the bytes of their batches.
    pub(crate) fn produced(&self, records: u64, bytes: u64) {
        self.produced_records.add(records);
        self.produced_bytes.add(bytes);
    }

    /// A batch of so many bytes that was refused.
    pub(crate) fn produce_failed(&self, bytes: u64) {
        self.failed_produces.add(1);
        self.rejected_bytes.add(bytes);
    }

    /// Bytes of batches that were handed to consumers.
    pub(crate) fn fetched(&self, bytes: u64) {
        self.fetched_bytes.add(bytes);
    }

    /// A partition of a fetch that was answered with an error.
    pub(crate) fn fetch_failed(&self) {
        self.failed_fetches.add(1);
    }

    /// A produce request was answered `latency` after it had been read; with acks=0, done with.
    pub(crate) fn produce_done(&self, acks: AcksLabel, latency: Duration) {
        let [none, leader, all] = &self.produce_latency;
        let histogram = match acks {
            AcksLabel::None => none,
            AcksLabel::Leader => leader,
            AcksLabel::All => all,
        };
        histogram.observe(nanos(latency));
    }

    /// The loop has been woken and starts to work.
    pub(crate) fn woke(&self, now: Mono) {
        self.turns.start(now);
    }

    /// The loop has done all work and goes to sleep.
    pub(crate) fn parking(&self, now: Mono) {
        self.turns.end(now);
    }

    /// Latencies in the order of [`AcksLabel::ALL`].
    pub(super) const fn produce_latency(&self) -> &[Histogram; 3] {
        &self.produce_latency
    }

    /// The longest time, within one to two minutes before `now`, that the loop did not come round;
    /// a turn that is still going on counts.
    pub(super) fn longest_turn(&self, now: Mono) -> Duration {
        self.turns.longest(now)
    }

    /// Time that the loop has worked in all turns that have ended.
    pub(super) fn busy(&self) -> Duration {
        Duration::from_nanos(self.turns.busy_nanos.get())
    }
}

/// Watches for turns of the loop that take too long. The maximum of a window answers "was it frozen
/// lately" for any scraper at any interval, which a maximum since start or since the last scrape
/// would not.
#[derive(Debug, Default)]
struct Turns {
    /// Start of the turn in nanoseconds and one more; 0 while the loop sleeps.
    started: Counter,
    /// Number of the window that `longest` belongs to.
    window: Counter,
    longest: Counter,
    longest_before: Counter,
    busy_nanos: Counter,
}

impl Turns {
    fn start(&self, now: Mono) {
        self.started.set(now.0.saturating_add(1));
    }

    fn end(&self, now: Mono) {
        let Some(turn) = self.current(now) else {
            return;
        };
        self.started.set(0);
        self.busy_nanos.add(turn);
        let window = now.0 / WINDOW_NANOS;
        let last = self.window.get();
        if window != last {
            let follows = window == last.saturating_add(1);
            self.longest_before
                .set(if follows { self.longest.get() } else { 0 });
            self.longest.set(0);
            self.window.set(window);
        }
        self.longest.set(self.longest.get().max(turn));
    }

    fn longest(&self, now: Mono) -> Duration {
        let age = (now.0 / WINDOW_NANOS).saturating_sub(self.window.get());
        let ended = match age {
            0 => self.longest.get().max(self.longest_before.get()),
            1 => self.longest.get(),
            _ => 0,
        };
        Duration::from_nanos(ended.max(self.current(now).unwrap_or(0)))
    }

    /// Nanoseconds that the turn has taken up to `now`.
    fn current(&self, now: Mono) -> Option<u64> {
        let started = self.started.get().checked_sub(1)?;
        Some(now.0.saturating_sub(started))
    }
}

/// Counters of the journal thread of one data directory.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct JournalCounters {
    pub(super) commit_duration: Histogram,
    pub(super) commit_records: Histogram,
    pub(super) commit_bytes: Histogram,
    pub(super) queue_depth: Counter,
    pub(super) failures: Counter,
}

impl JournalCounters {
    /// All zero.
    pub(crate) fn new() -> Self {
        Self {
            commit_duration: Histogram::new(LATENCY_NANOS),
            commit_records: Histogram::new(COMMIT_RECORDS),
            commit_bytes: Histogram::new(COMMIT_BYTES),
            queue_depth: Counter::default(),
            failures: Counter::default(),
        }
    }

    /// A commit is on disk.
    pub(crate) fn committed(&self, records: u64, bytes: u64, took: Duration) {
        self.commit_records.observe(records);
        self.commit_bytes.observe(bytes);
        self.commit_duration.observe(nanos(took));
    }

    /// A commit could not be written.
    pub(crate) fn failed(&self) {
        self.failures.add(1);
    }

    /// Appends that wait for the next commit.
    pub(crate) fn queued(&self, appends: u64) {
        self.queue_depth.set(appends);
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// One minute.
const WINDOW_NANOS: u64 = 60_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn the_longest_turn_is_remembered_for_a_while() {
        let counters = LoopCounters::new();
        let longest = |second: u64| counters.longest_turn(Mono(second * SECOND)).as_secs();
        let turn = |from: u64, to: u64| {
            counters.woke(Mono(from * SECOND));
            counters.parking(Mono(to * SECOND));
        };
        assert_eq!(longest(0), 0);
        turn(0, 3);
        turn(4, 5);
        assert_eq!(longest(10), 3);
        assert_eq!(longest(119), 3);
        assert_eq!(longest(120), 0);
        turn(61, 62);
        assert_eq!(longest(119), 3);
        turn(121, 121);
        assert_eq!(longest(125), 1);
        assert_eq!(counters.busy(), Duration::from_secs(5));
    }

    #[test]
    fn a_frozen_loop_shows_while_it_is_frozen() {
        let counters = LoopCounters::new();
        counters.woke(Mono(0));
        assert_eq!(
            counters.longest_turn(Mono(300 * SECOND)),
            Duration::from_secs(300)
        );
        counters.parking(Mono(301 * SECOND));
        assert_eq!(
            counters.longest_turn(Mono(302 * SECOND)),
            Duration::from_secs(301)
        );
    }
}
