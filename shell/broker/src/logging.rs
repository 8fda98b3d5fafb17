//! Logs: to stderr, text for people and JSON for machines, UTC, quiet when nothing happens.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, IsTerminal};
use std::str::FromStr;
use std::time::{Duration, Instant};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::time::SystemTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

/// Form of logs, `log.format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum LogFormat {
    /// Text if somebody is watching, else JSON.
    #[default]
    Auto,
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

impl LogFormat {
    /// Whether lines are for people, given whether stderr is a terminal.
    pub(crate) const fn is_text(self, terminal: bool) -> bool {
        match self {
            Self::Auto => terminal,
            Self::Text => true,
            Self::Json => false,
        }
    }
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("log.format is auto, text or json"),
        }
    }
}

/// Starts logging to stderr; once per process. Returns whether lines are for people.
///
/// # Errors
/// `level` is not one, or logging has been started before.
pub(crate) fn start(format: LogFormat, level: &str) -> Result<bool, Box<dyn Error + Send + Sync>> {
    let terminal = io::stderr().is_terminal();
    let text = format.is_text(terminal);
    let colour = text && terminal && std::env::var_os("NO_COLOR").is_none();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_timer(SystemTime)
        .with_ansi(colour);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = if text {
        lines.boxed()
    } else {
        lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .boxed()
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(targets(level)?))
        .try_init()?;
    Ok(text)
}

/// Accepts a level, or `target=level` pairs separated by commas with at most one bare level.
///
/// # Errors
/// Something else, in words for the operator.
pub(crate) fn parse_level(text: &str) -> Result<String, String> {
    targets(text).map(|_| text.to_owned())
}

fn targets(text: &str) -> Result<Targets, String> {
    let mut targets = Targets::new();
    for item in text.split(',') {
        targets = match item.split_once('=') {
            Some((target, of_target)) => targets.with_target(target.trim(), level(of_target)?),
            None => targets.with_default(level(item)?),
        };
    }
    Ok(targets)
}

fn level(text: &str) -> Result<LevelFilter, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "off" => Ok(LevelFilter::OFF),
        "error" => Ok(LevelFilter::ERROR),
        "warn" => Ok(LevelFilter::WARN),
        "info" => Ok(LevelFilter::INFO),
        "debug" => Ok(LevelFilter::DEBUG),
        "trace" => Ok(LevelFilter::TRACE),
        _ => Err(format!(
            "{text:?} is none of off, error, warn, info, debug and trace"
        )),
    }
}

/// Keeps a repeated message from filling the log: the first of its kind passes, the others are
/// counted until `interval` has passed.
#[derive(Debug)]
pub(crate) struct RepeatLimit<K> {
    interval: Duration,
    kinds: BTreeMap<K, Kind>,
}

#[derive(Debug)]
struct Kind {
    last: Instant,
    suppressed: u64,
}

impl<K: Ord> RepeatLimit<K> {
    /// Most kinds that are remembered at once.
    pub(crate) const MAX_KINDS: usize = 256;

    /// Lets one message of each kind through in each `interval`.
    pub(crate) const fn new(interval: Duration) -> Self {
        Self {
            interval,
            kinds: BTreeMap::new(),
        }
    }

    /// `Some(n)` if a message of this kind is to be written now, after `n` were held back; `None`
    /// to hold it back. While too many kinds are fresh, new kinds are held back uncounted.
    pub(crate) fn admit(&mut self, kind: K, now: Instant) -> Option<u64> {
        if let Some(known) = self.kinds.get_mut(&kind) {
            if now.saturating_duration_since(known.last) < self.interval {
                known.suppressed = known.suppressed.saturating_add(1);
                return None;
            }
            known.last = now;
            return Some(std::mem::take(&mut known.suppressed));
        }
        if self.kinds.len() >= Self::MAX_KINDS {
            let interval = self.interval;
            self.kinds
                .retain(|_, kind| now.saturating_duration_since(kind.last) < interval);
        }
        if self.kinds.len() >= Self::MAX_KINDS {
            return None;
        }
        self.kinds.insert(
            kind,
            Kind {
                last: now,
                suppressed: 0,
            },
        );
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_checked() {
        let check = |text: &str, valid: bool| {
            assert_eq!(parse_level(text).is_ok(), valid, "{text:?}");
        };
        check("info", true);
        check("WARN", true);
        check("off", true);
        check("info,chronik_node=debug", true);
        check("chronik_node=trace, chronik_storage=warn", true);
        check("", false);
        check("loud", false);
        check("3", false);
        check("info,loud", false);
        check("chronik_node=", false);
        check("chronik_node=loud", false);
    }

    #[test]
    fn the_format_follows_the_terminal_unless_told() {
        let check = |text: &str, on_terminal: bool, elsewhere: bool| {
            let format: LogFormat = text.parse().unwrap();
            assert_eq!(
                (format.is_text(true), format.is_text(false)),
                (on_terminal, elsewhere)
            );
        };
        check("auto", true, false);
        check("text", true, true);
        check("json", false, false);
        assert!("xml".parse::<LogFormat>().is_err());
    }

    #[test]
    fn repeats_are_counted_instead_of_written() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut limit = RepeatLimit::new(Duration::from_secs(10));
        let steps = [
            ("a", 0, Some(0)),
            ("a", 1, None),
            ("b", 1, Some(0)),
            ("a", 9, None),
            ("a", 10, Some(2)),
            ("a", 11, None),
        ];
        for (kind, second, expected) in steps {
            assert_eq!(
                limit.admit(kind, at(second)),
                expected,
                "{kind} at {second} s"
            );
        }
    }

    #[test]
    fn memory_for_kinds_is_bounded() {
        let start = Instant::now();
        let mut limit = RepeatLimit::new(Duration::from_secs(10));
        for kind in 0..RepeatLimit::<usize>::MAX_KINDS {
            assert_eq!(limit.admit(kind, start), Some(0));
        }
        assert_eq!(limit.admit(usize::MAX, start), None);
        assert_eq!(
            limit.admit(usize::MAX, start + Duration::from_secs(10)),
            Some(0)
        );
        assert_eq!(limit.kinds.len(), 1);
    }
}
