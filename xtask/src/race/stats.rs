//! Medians and spreads of a few rounds.

/// The median of some values with the lowest and the highest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) lowest: f64,
    pub(super) highest: f64,
    /// How many values there were.
    pub(super) count: usize,
}

impl Spread {
    /// Of the values that are numbers; none without any.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        Some(Self {
            median: quantile_of_sorted(&values, 0.5)?,
            lowest: *values.first()?,
            highest: *values.last()?,
            count: values.len(),
        })
    }

    /// Of the ratios of pairs; a pair with nothing below the line does not count.
    pub(super) fn of_ratios(pairs: impl IntoIterator<Item = (f64, f64)>) -> Option<Self> {
        let measured = pairs.into_iter().filter(|(_, below)| *below > 0.0);
        Self::of(measured.map(|(above, below)| above / below))
    }
}

/// The value that a share of all is not above, between two neighbours in proportion.
pub(super) fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    quantile_of_sorted(&sorted, share)
}

fn quantile_of_sorted(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = share.clamp(0.0, 1.0) * last as f64;
    let below = (0..last).rev().find(|i| *i as f64 <= place).unwrap_or(0);
    let low = *sorted.get(below)?;
    let high = *sorted.get((below + 1).min(last))?;
    Some(low + (high - low) * (place - below as f64))
}

#[cfg(test)]
mod tests {
    use super::{Spread, quantile};

    #[test]
    fn medians_lie_in_the_middle() {
        let check = |values: &[f64], expected: Option<(f64, f64, f64)>| {
            let spread = Spread::of(values.iter().copied());
            let found = spread.map(|it| (it.median, it.lowest, it.highest));
            assert_eq!(found, expected, "{values:?}");
        };
        check(&[], None);
        check(&[f64::NAN], None);
        check(&[3.0], Some((3.0, 3.0, 3.0)));
        check(&[4.0, 1.0, 2.0], Some((2.0, 1.0, 4.0)));
        check(&[4.0, 1.0, 2.0, 10.0], Some((3.0, 1.0, 10.0)));
    }

    #[test]
    fn ratios_are_taken_pair_by_pair() {
        let spread = Spread::of_ratios([(2.0, 1.0), (9.0, 3.0), (5.0, 0.0), (8.0, 1.0)]).unwrap();
        assert_eq!((spread.median, spread.count), (3.0, 3));
        assert_eq!((spread.lowest, spread.highest), (2.0, 8.0));
        assert_eq!(Spread::of_ratios([(1.0, 0.0)]), None);
    }

    #[test]
    fn quantiles_lie_between_neighbours() {
        let check = |share: f64, expected: f64| {
            let found = quantile(&[30.0, 10.0, 20.0], share).unwrap();
            assert!((found - expected).abs() < 1e-9, "{share}: {found}");
        };
        check(0.0, 10.0);
        check(0.5, 20.0);
        check(0.75, 25.0);
        check(1.0, 30.0);
        assert_eq!(quantile(&[], 0.5), None);
    }
}
