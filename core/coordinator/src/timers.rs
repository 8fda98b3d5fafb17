//! Deadlines of the coordinator, each under a key.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronik_model::Mono;
use rustc_hash::FxHashMap;

use crate::consumer::ConsumerTimer;

/// What is due.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum TimerKey {
    /// A member of a classic group, or one that was only told its id, was not heard of.
    Session {
        /// Its group.
        group_id: Arc<str>,
        /// The member.
        member_id: Arc<str>,
    },
    /// A classic group waits no longer for members to join.
    Join(Arc<str>),
    /// A classic group waits no longer for members to ask for their assignment.
    Sync(Arc<str>),
    /// Expired offsets are looked for.
    Retention,
    /// Work that did not fit into one batch goes on.
    Sweep,
    /// Something of the consumer protocol.
    Consumer(ConsumerTimer),
}

/// Deadlines by key.
///
/// Setting a deadline later, as every heartbeat does, costs one look-up: the queue keeps the earlier
/// entry, which moves on when its time comes.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    by_key: FxHashMap<TimerKey, Timer>,
    queue: BTreeMap<(Mono, u64), TimerKey>,
    next_number: u64,
}

#[derive(Debug, Clone, Copy)]
struct Timer {
    due: Mono,
    /// Where it stands in the queue: never after `due`.
    queued: (Mono, u64),
}

impl Timers {
    /// Sets the deadline of `key`, in place of the one it has.
    pub(crate) fn set(&mut self, key: TimerKey, due: Mono) {
        if let Some(timer) = self.by_key.get_mut(&key) {
            timer.due = due;
            if timer.queued.0 <= due {
                return;
            }
            self.queue.remove(&timer.queued);
        }
        self.enqueue(key, due);
    }

    /// Whether `key` has a deadline.
    pub(crate) fn is_set(&self, key: &TimerKey) -> bool {
        self.by_key.contains_key(key)
    }

    /// Forgets `key`.
    pub(crate) fn cancel(&mut self, key: &TimerKey) {
        if let Some(timer) = self.by_key.remove(key) {
            self.queue.remove(&timer.queued);
        }
    }

    /// Takes out one key that is due, the earliest first.
    pub(crate) fn pop_due(&mut self, now: Mono) -> Option<TimerKey> {
        loop {
            let entry = self.queue.first_entry()?;
            if entry.key().0 > now {
                return None;
            }
            let key = entry.remove();
            let due = self.by_key.get(&key).map_or(now, |timer| timer.due);
            if due <= now {
                self.by_key.remove(&key);
                return Some(key);
            }
            self.enqueue(key, due);
        }
    }

    /// No key is due before.
    pub(crate) fn next(&self) -> Option<Mono> {
        self.queue.first_key_value().map(|((due, _), _)| *due)
    }

    fn enqueue(&mut self, key: TimerKey, due: Mono) {
        let queued = (due, self.next_number);
        self.next_number = self.next_number.wrapping_add(1);
        self.queue.insert(queued, key.clone());
        self.by_key.insert(key, Timer { due, queued });
    }
}

#[cfg(test)]
mod tests {
    use chronik_model::Mono;

    use super::{TimerKey, Timers};

    fn join(name: &str) -> TimerKey {
        TimerKey::Join(name.into())
    }

    #[test]
    fn keys_come_in_the_order_of_their_last_deadline() {
        let mut timers = Timers::default();
        timers.set(join("a"), Mono(10));
        timers.set(join("b"), Mono(20));
        timers.set(join("c"), Mono(30));
        timers.set(join("a"), Mono(40));
        timers.set(join("c"), Mono(5));
        timers.cancel(&join("b"));
        timers.cancel(&join("unknown"));
        assert_eq!(timers.next(), Some(Mono(5)));
        assert_eq!(timers.pop_due(Mono(4)), None);
        assert_eq!(timers.pop_due(Mono(30)), Some(join("c")));
        assert_eq!(timers.pop_due(Mono(30)), None);
        assert_eq!(timers.next(), Some(Mono(40)));
        assert_eq!(timers.pop_due(Mono(40)), Some(join("a")));
        assert_eq!(timers.next(), None);
        assert!(timers.by_key.is_empty());
    }
}
