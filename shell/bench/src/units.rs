//! Units as people type and read them.

use std::time::Duration;

/// A latency with its unit: `5ms`, `800us`, `1.5ms`, `2s`.
///
/// # Errors
/// What was expected.
pub(crate) fn parse_latency(text: &str) -> Result<Duration, String> {
    let expected = || "expected a number and a unit: 800us, 1.5ms, 2s".to_owned();
    let digits = text
        .bytes()
        .take_while(|byte| byte.is_ascii_digit() || *byte == b'.')
        .count();
    let (number, unit) = text.split_at(digits);
    let unit_s = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        _ => return Err(expected()),
    };
    let number: f64 = number.parse().map_err(|_not_a_number| expected())?;
    Duration::try_from_secs_f64(number * unit_s)
        .ok()
        .filter(|latency| !latency.is_zero())
        .ok_or_else(expected)
}

/// As [`chronik_cli::parse_duration`], and zero.
///
/// # Errors
/// What was expected.
pub(crate) fn parse_duration_or_zero(text: &str) -> Result<Duration, String> {
    if matches!(text, "0" | "0s" | "0ms") {
        return Ok(Duration::ZERO);
    }
    chronik_cli::parse_duration(text)
}

/// Nanoseconds of a duration; the largest number for more than 584 years.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A whole number with commas between the thousands: `1,234,567`.
pub(crate) fn grouped(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut out = String::with_capacity(digits.len() * 4 / 3 + 1);
    if number <= -0.5 {
        out.push('-');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number of things, exact up to 2^53.
#[expect(
    clippy::cast_precision_loss,
    reason = "rates and shares are shown with four digits"
)]
pub(crate) const fn count(number: u64) -> f64 {
    number as f64
}

/// Milliseconds of a number of nanoseconds, with three digits after the point.
pub(crate) fn ms(nanoseconds: u64) -> String {
    format!("{:.3} ms", count(nanoseconds) / 1e6)
}

#[cfg(test)]
mod tests {
    use super::{grouped, parse_duration_or_zero, parse_latency};
    use std::time::Duration;

    #[test]
    fn latencies_need_a_unit() {
        let check = |text, expected: Option<u64>| {
            let expected = expected.map(Duration::from_nanos);
            assert_eq!(parse_latency(text).ok(), expected, "{text}");
        };
        check("5ms", Some(5_000_000));
        check("800us", Some(800_000));
        check("1.5ms", Some(1_500_000));
        check("2s", Some(2_000_000_000));
        for wrong in ["", "5", "ms", "0ms", "1.2.3ms", "-1ms", "5m", "1e3ms"] {
            check(wrong, None);
        }
    }

    #[test]
    fn no_warm_up_is_a_duration() {
        let check =
            |text, expected| assert_eq!(parse_duration_or_zero(text).ok(), expected, "{text}");
        check("0", Some(Duration::ZERO));
        check("0s", Some(Duration::ZERO));
        check("2s", Some(Duration::from_secs(2)));
        check("s", None);
    }

    #[test]
    fn thousands_are_set_apart() {
        let check = |number, expected| assert_eq!(grouped(number), expected);
        check(0.0, "0");
        check(999.4, "999");
        check(999.5, "1,000");
        check(1_234_567.0, "1,234,567");
        check(-1_234.0, "-1,234");
        check(-0.2, "0");
    }
}
