//! Numbers for people.

use super::stats::Spread;

/// Three significant digits, thousands apart.
pub(super) fn short(value: f64) -> String {
    let digits = match value.abs() {
        0.0 => 0,
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        size if size >= 0.1 => 3,
        _ => 4,
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    format!("{}{rest}", grouped(whole))
}

/// `2.5 (2.1-3.0)`; a single value stands alone, none is a blank.
pub(super) fn spread(spread: Option<Spread>) -> String {
    let Some(spread) = spread else {
        return String::new();
    };
    if spread.count == 1 {
        return short(spread.median);
    }
    let [median, lowest, highest] = [spread.median, spread.lowest, spread.highest].map(short);
    let dash = if spread.lowest < 0.0 { " to " } else { "-" };
    format!("{median} ({lowest}{dash}{highest})")
}

/// `2.5 (2.1-3.0) x`.
pub(super) fn ratio(found: Option<Spread>) -> String {
    let text = spread(found);
    if text.is_empty() {
        return text;
    }
    format!("{text} x")
}

fn grouped(digits: &str) -> String {
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        let left = digits.len() - index;
        if index > 0 && left.is_multiple_of(3) && !out.ends_with('-') {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::stats::Spread;
    use super::{ratio, short, spread};

    #[test]
    fn numbers_have_three_digits() {
        let check = |value: f64, expected: &str| assert_eq!(short(value), expected);
        check(1_234_567.0, "1,234,567");
        check(999.4, "999");
        check(-1_234.0, "-1,234");
        check(-123.0, "-123");
        check(12.34, "12.3");
        check(1.234, "1.23");
        check(0.1234, "0.123");
        check(0.01234, "0.0123");
        check(0.0, "0");
    }

    #[test]
    fn spreads_show_the_lowest_and_the_highest() {
        assert_eq!(spread(Spread::of([2.0, 1.0, 3.0])), "2.00 (1.00-3.00)");
        assert_eq!(
            spread(Spread::of([-0.5, -0.25])),
            "-0.375 (-0.500 to -0.250)"
        );
        assert_eq!(ratio(Spread::of([2.0])), "2.00 x");
        assert_eq!(ratio(None), "");
    }
}
