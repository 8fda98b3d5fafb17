//! Trying again, with growing pauses and an end.

use std::thread;
use std::time::{Duration, Instant};

/// The attempts of one operation.
#[derive(Debug)]
pub struct Retry {
    deadline: Instant,
    pause: Duration,
}

impl Retry {
    /// Attempts that start within `timeout` from now.
    #[must_use]
    pub fn within(timeout: Duration) -> Self {
        Self {
            deadline: Instant::now() + timeout,
            pause: FIRST_PAUSE,
        }
    }

    /// Pauses before another attempt; `false`, without a pause, when the time is used up.
    pub fn again(&mut self) -> bool {
        if Instant::now() + self.pause >= self.deadline {
            return false;
        }
        thread::sleep(self.pause);
        self.pause = (self.pause * 2).min(MAX_PAUSE);
        true
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const MAX_PAUSE: Duration = Duration::from_millis(500);
