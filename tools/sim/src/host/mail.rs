//! Queues between machines: in order for each pair, in no order between pairs.

use std::collections::VecDeque;

use chronik_model::Mono;
use chronik_model::rng::Rng;

use crate::run::Pace;

/// Messages to machines of one kind.
#[derive(Debug)]
pub(super) struct Mail<T> {
    lines: Vec<Line<T>>,
    senders: u16,
}

/// Messages from one machine to one other.
#[derive(Debug)]
struct Line<T> {
    waiting: VecDeque<T>,
    last_at: Mono,
}

impl<T> Mail<T> {
    pub(super) fn new(receivers: u16, senders: u16) -> Self {
        let line = || Line {
            waiting: VecDeque::new(),
            last_at: Mono(0),
        };
        let count = usize::from(receivers) * usize::from(senders);
        Self {
            lines: (0..count).map(|_| line()).collect(),
            senders,
        }
    }

    /// Puts a message in, to arrive at `at` or behind what stands before it. Returns its line and time.
    pub(super) fn put(&mut self, to: u16, from: u16, message: T, at: Mono) -> (u16, Mono) {
        let number = to * self.senders + from;
        let line = &mut self.lines[usize::from(number)];
        line.waiting.push_back(message);
        line.last_at = line.last_at.max(at);
        (number, line.last_at)
    }

    /// Whether nothing is on its way.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.iter().all(|line| line.waiting.is_empty())
    }

    /// Takes the first message of a line, and says whose it is.
    pub(super) fn take(&mut self, number: u16) -> Option<(u16, T)> {
        let line = self.lines.get_mut(usize::from(number))?;
        let message = line.waiting.pop_front()?;
        Some((number / self.senders, message))
    }
}

/// Messages of one class may be slow together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Request = 0,
    DiskDone = 1,
    Committed = 2,
    View = 3,
    Reply = 4,
    Controller = 5,
    Turn = 6,
    Main = 7,
}

/// How long things take inside a broker.
#[derive(Debug)]
pub(super) struct Delays {
    pace: Pace,
    rng: Rng,
    /// Everything on the disk takes this many times as long.
    pub(super) disk_factor: u64,
}

impl Delays {
    pub(super) const fn new(pace: Pace, rng: Rng) -> Self {
        Self {
            pace,
            rng,
            disk_factor: 1,
        }
    }

    /// When a message that is sent now arrives.
    pub(super) fn message(&mut self, now: Mono, class: Class) -> Mono {
        /// So much longer does the slow class take.
        const SLOW: u64 = 20;
        let mut most = self.pace.message_ns;
        if self.pace.slow_class == Some(class as u8) {
            most *= SLOW;
        }
        Mono(now.0 + 1 + self.rng.below(most))
    }

    /// When a write of the journal that begins now is done.
    pub(super) fn journal(&mut self, now: Mono) -> Mono {
        self.on_disk(now, self.pace.journal_ns)
    }

    /// When an operation on a segment that begins now is done.
    pub(super) fn segment(&mut self, now: Mono) -> Mono {
        self.on_disk(now, self.pace.disk_ns)
    }

    fn on_disk(&mut self, now: Mono, most: u64) -> Mono {
        // Most operations are quick, as disks are.
        let most = if self.rng.below(8) > 0 {
            most / 8
        } else {
            most
        };
        Mono(now.0 + 1 + self.rng.below(most) * self.disk_factor)
    }
}
