//! SIGTERM and SIGINT: the first asks for a graceful stop, the second for an immediate one.

use std::io;
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

/// Why the process was asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopSignal {
    /// Ctrl-C.
    Interrupt,
    /// What service managers send.
    Terminate,
}

impl StopSignal {
    /// Status of a process that was ended by this signal: 128 and its number.
    pub(crate) const fn exit_status(self) -> i32 {
        match self {
            Self::Interrupt => 128 + SIGINT,
            Self::Terminate => 128 + SIGTERM,
        }
    }

    const fn of(signal: i32) -> Self {
        if signal == SIGINT {
            Self::Interrupt
        } else {
            Self::Terminate
        }
    }
}

/// Calls `stop` on the first signal, and ends the process on the second without running anything
/// else. `stop` runs on a thread of its own that sleeps until then, so it may lock and log; while it
/// runs, the second signal waits: hand the work to somebody else.
///
/// # Errors
/// The operating system refuses a handler or a thread.
pub(crate) fn on_stop(stop: impl FnOnce(StopSignal) + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let mut stop = Some(stop);
    let watch = move || {
        for signal in signals.forever().map(StopSignal::of) {
            match stop.take() {
                Some(stop) => stop(signal),
                None => low_level::exit(signal.exit_status()),
            }
        }
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(watch)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn statuses_are_those_of_shells() {
        assert_eq!(StopSignal::of(SIGINT).exit_status(), 130);
        assert_eq!(StopSignal::of(SIGTERM).exit_status(), 143);
    }

    #[test]
    fn the_first_signal_asks_for_a_graceful_stop() {
        let (sender, receiver) = mpsc::channel();
        on_stop(move |signal| sender.send(signal).unwrap()).unwrap();
        low_level::raise(SIGTERM).unwrap();
        assert_eq!(receiver.recv(), Ok(StopSignal::Terminate));
    }
}
