//! The plot: how many times faster, workload by workload.

use std::fmt::Write as _;

use super::goals::{self, Bound, Of};
use super::numbers::short;
use super::samples::{Metric, PAIRINGS, Pairing, Samples};
use super::stats::Spread;
use super::workloads::WORKLOADS;

/// An SVG that reads on light and dark pages.
pub(super) fn render(samples: &Samples) -> String {
    let rows: Vec<_> = WORKLOADS
        .iter()
        .map(|workload| (workload.id, ratios(samples, workload.id)))
        .filter(|(_, ratios)| ratios.iter().any(Option::is_some))
        .collect();
    let found = rows.iter().flat_map(|(_, ratios)| ratios.iter().flatten());
    let axis = Axis::around(found);
    let height = TOP + ROW * rows.len() as f64 + BOTTOM;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"Throughput of Chronik as a multiple of Kafka's\">\n{STYLE}\
         <rect class=\"page\" width=\"{WIDTH}\" height=\"{height}\"/>\n"
    );
    text(
        &mut out,
        (LEFT, 22.0),
        "title",
        "Throughput, Chronik / Kafka (median, lowest to highest)",
    );
    legend(&mut out);
    grid(&mut out, axis, height - BOTTOM);
    for (index, (id, ratios)) in rows.iter().enumerate() {
        let y = TOP + ROW * (index as f64 + 0.5);
        text(&mut out, (LEFT - 10.0, y + 4.0), "name", id);
        for (place, ratio) in ratios.iter().enumerate() {
            let y = y + (place as f64 - 1.0) * LANE;
            goal_mark(&mut out, axis, y, goal(id, PAIRINGS.get(place)));
            if let Some(ratio) = ratio {
                dot(&mut out, axis, (y, place), ratio);
            }
        }
    }
    out += "</svg>\n";
    out
}

fn ratios(samples: &Samples, workload: &str) -> [Option<Spread>; 3] {
    PAIRINGS.map(|pairing| samples.ratio(workload, pairing, Metric::RecordsPerS))
}

/// The throughput that a pairing is meant to reach.
fn goal(workload: &str, pairing: Option<&Pairing>) -> Option<f64> {
    let goals = goals::all();
    let goal = goals.iter().find(|goal| {
        goal.workload == workload
            && goal.metric == Metric::RecordsPerS
            && pairing.is_some_and(|pairing| goal.of == Of::Ratio(*pairing))
    })?;
    match goal.bound {
        Bound::AtLeast(bound) | Bound::AtMost(bound) => Some(bound),
    }
}

/// A logarithmic axis over whole powers of ten.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Axis {
    /// Exponents.
    from: f64,
    to: f64,
}

impl Axis {
    fn around<'a>(spreads: impl Iterator<Item = &'a Spread>) -> Self {
        let mut axis = Self {
            from: -1.0,
            to: 1.0,
        };
        for spread in spreads {
            axis.from = axis.from.min(spread.lowest.max(SMALLEST).log10().floor());
            axis.to = axis.to.max(spread.highest.max(SMALLEST).log10().ceil());
        }
        axis
    }

    fn x(self, value: f64) -> f64 {
        let share = (value.max(SMALLEST).log10() - self.from) / (self.to - self.from);
        LEFT + share.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }

    /// The powers of ten.
    fn ticks(self) -> impl Iterator<Item = f64> {
        (-6..=9_i32)
            .map(f64::from)
            .filter(move |exponent| (self.from..=self.to).contains(exponent))
            .map(|exponent| 10_f64.powf(exponent))
    }
}

fn grid(out: &mut String, axis: Axis, bottom: f64) {
    for tick in axis.ticks() {
        let x = axis.x(tick);
        let class = if (tick - 1.0).abs() < 1e-9 {
            "one"
        } else {
            "grid"
        };
        let _infallible = writeln!(
            out,
            "<line class=\"{class}\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>"
        );
        let label = if tick >= 1.0 {
            format!("{tick:.0} x")
        } else {
            format!("{tick} x")
        };
        text(out, (x, bottom + 18.0), "tick", &label);
    }
}

fn legend(out: &mut String) {
    for (place, pairing) in PAIRINGS.iter().enumerate() {
        let x = LEFT + place as f64 * 190.0;
        let _infallible = writeln!(
            out,
            "<circle class=\"p{place}\" cx=\"{x}\" cy=\"40\" r=\"4\"/>"
        );
        text(out, (x + 9.0, 44.0), "key", pairing.title);
    }
    text(out, (LEFT + 570.0, 44.0), "key", "| goal");
}

fn dot(out: &mut String, axis: Axis, (y, place): (f64, usize), ratio: &Spread) {
    let (low, x, high) = (
        axis.x(ratio.lowest),
        axis.x(ratio.median),
        axis.x(ratio.highest),
    );
    let _infallible = writeln!(
        out,
        "<g class=\"p{place}\"><title>{} x</title>\
         <line x1=\"{low:.1}\" y1=\"{y:.1}\" x2=\"{high:.1}\" y2=\"{y:.1}\"/>\
         <circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"/></g>",
        short(ratio.median)
    );
}

fn goal_mark(out: &mut String, axis: Axis, y: f64, goal: Option<f64>) {
    if let Some(goal) = goal {
        let (x, above, below) = (axis.x(goal), y - LANE / 2.0, y + LANE / 2.0);
        let _infallible = writeln!(
            out,
            "<line class=\"goal\" x1=\"{x:.1}\" y1=\"{above:.1}\" x2=\"{x:.1}\" y2=\"{below:.1}\"/>"
        );
    }
}

fn text(out: &mut String, (x, y): (f64, f64), class: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _infallible = writeln!(
        out,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>"
    );
}

const WIDTH: f64 = 860.0;
const LEFT: f64 = 170.0;
const RIGHT: f64 = 30.0;
const TOP: f64 = 58.0;
const BOTTOM: f64 = 32.0;
const ROW: f64 = 30.0;
/// Between two pairings of a row.
const LANE: f64 = 8.0;
/// Ratios have a logarithm.
const SMALLEST: f64 = 1e-6;

const STYLE: &str = "<style>\
text{font:12px sans-serif;fill:#1f2328}.title{font-weight:bold;font-size:14px}\
.name{text-anchor:end}.tick{text-anchor:middle;fill:#59636e}\
.page{fill:#ffffff}.grid{stroke:#d1d9e0}.one{stroke:#59636e;stroke-width:1.5}\
.goal{stroke:#1f2328;stroke-width:2}\
.p0{fill:#0969da;stroke:#0969da}.p1{fill:#bc4c00;stroke:#bc4c00}.p2{fill:#1a7f37;stroke:#1a7f37}\
@media (prefers-color-scheme:dark){text{fill:#f0f6fc}.tick{fill:#9198a1}\
.page{fill:#0d1117}.grid{stroke:#3d444d}.one{stroke:#9198a1}.goal{stroke:#f0f6fc}\
.p0{fill:#4493f8;stroke:#4493f8}.p1{fill:#f0883e;stroke:#f0883e}.p2{fill:#3fb950;stroke:#3fb950}}\
</style>\n";

#[cfg(test)]
mod tests {
    use super::super::report::tests::report;
    use super::super::samples::Samples;
    use super::super::stats::Spread;
    use super::{Axis, LEFT, RIGHT, WIDTH, render};

    #[test]
    fn the_plot_has_a_row_per_workload_with_a_ratio() {
        let svg = render(&report().samples);
        assert_eq!(svg.matches("class=\"name\"").count(), 1, "{svg}");
        assert!(svg.contains("<title>2.50 x</title>"), "{svg}");
        assert_eq!(svg.matches("class=\"goal\"").count(), 3, "{svg}");
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert_eq!(svg.matches("<g ").count(), svg.matches("</g>").count());
        assert!(render(&Samples::default()).ends_with("</svg>\n"));
    }

    #[test]
    fn the_axis_holds_every_value() {
        let spreads = [
            Spread::of([0.02, 3.0]).unwrap(),
            Spread::of([450.0]).unwrap(),
        ];
        let axis = Axis::around(spreads.iter());
        assert_eq!((axis.from, axis.to), (-2.0, 3.0));
        assert_eq!(axis.ticks().count(), 6);
        assert_eq!((axis.x(0.01), axis.x(1000.0)), (LEFT, WIDTH - RIGHT));
        assert_eq!(axis.x(0.0), LEFT);
    }
}
