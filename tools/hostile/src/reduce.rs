//! Makes a case that fails as small as it gets while it fails in the same way.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};

use crate::case::Case;
use crate::target::{Failure, Handled, Target};

/// Runs that a reduction may take.
const MOST_RUNS: usize = 3_000;

thread_local! {
    /// What this thread's last panic said, and where.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Has panics noted instead of printed. A target that panics is caught and reported by its input.
pub fn note_panics() {
    panic::set_hook(Box::new(|info| {
        PANIC.with_borrow_mut(|said| *said = info.to_string());
    }));
}

/// Hands one input to a target: its panics, and memory beyond its allowance, are failures.
///
/// # Errors
/// How the input was not handled.
pub fn run(target: &mut dyn Target, input: &[u8]) -> Result<Handled, Failure> {
    let caught = panic::catch_unwind(AssertUnwindSafe(|| target.run(input)));
    let handled = caught.unwrap_or_else(|_payload| Err(PANIC.with_borrow_mut(std::mem::take)))?;
    let allowed = target.allowance(input.len());
    if handled.held > allowed {
        let (held, length) = (handled.held, input.len());
        return Err(format!(
            "holds {held} bytes for an input of {length}, allowed are {allowed}"
        ));
    }
    Ok(handled)
}

/// Runs a whole case from the start.
///
/// # Errors
/// How its first input that was not handled failed.
pub fn replay(target: &mut dyn Target, case: &Case) -> Result<(), Failure> {
    target.reset();
    for input in &case.inputs {
        if let Err(failure) = run(target, input) {
            target.reset();
            return Err(failure);
        }
    }
    Ok(())
}

/// What kind of failure it is: its words without their numbers.
fn kind(failure: &str) -> String {
    let words = failure.chars().filter(|letter| !letter.is_ascii_digit());
    words.take(80).collect()
}

/// See the module. A case that does not fail from the start comes back as it was.
pub fn reduce(target: &mut dyn Target, case: Case) -> Case {
    let Err(failure) = replay(target, &case) else {
        return case;
    };
    let wanted = kind(&failure);
    let mut runs = 0;
    let mut fails = |case: &Case| {
        runs += 1;
        runs <= MOST_RUNS && replay(target, case).is_err_and(|failure| kind(&failure) == wanted)
    };
    let mut case = case;
    case.inputs = shorter(&case.inputs, &mut |inputs| {
        fails(&Case {
            inputs: inputs.to_vec(),
        })
    });
    for place in (0..case.inputs.len()).rev() {
        let Some(input) = case.inputs.get(place).cloned() else {
            continue;
        };
        let mut with = |input: &[u8]| {
            let mut changed = case.clone();
            if let Some(place) = changed.inputs.get_mut(place) {
                *place = input.to_vec();
            }
            fails(&changed)
        };
        let reduced = shorter(&input, &mut with);
        if let Some(place) = case.inputs.get_mut(place) {
            *place = reduced;
        }
    }
    case
}

/// Leaves pieces out, large ones first, while `fails` holds.
fn shorter<T: Clone>(all: &[T], fails: &mut dyn FnMut(&[T]) -> bool) -> Vec<T> {
    let mut kept = all.to_vec();
    let mut piece = kept.len().div_ceil(2).max(1);
    loop {
        let mut start = 0;
        while start < kept.len() {
            let mut without = kept.clone();
            without.drain(start..(start + piece).min(kept.len()));
            if fails(&without) {
                kept = without;
            } else {
                start += piece;
            }
        }
        if piece == 1 {
            return kept;
        }
        piece = piece.div_ceil(2);
    }
}

#[cfg(test)]
mod tests {
    use super::shorter;

    #[test]
    fn what_matters_is_left() {
        let all: Vec<u32> = (0..100).collect();
        let kept = shorter(&all, &mut |some| some.contains(&17) && some.contains(&80));
        assert_eq!(kept, [17, 80]);
    }
}
