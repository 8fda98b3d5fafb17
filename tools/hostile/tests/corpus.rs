//! What failed once does not fail again, and a short campaign finds nothing.

use std::path::{Path, PathBuf};

use chronik_hostile::allocator::Counting;
use chronik_hostile::campaign::{Plan, carry_out};
use chronik_hostile::case::load;
use chronik_hostile::reduce::{note_panics, replay};
use chronik_hostile::targets::all;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Enough for every target to accept and to refuse something.
const FRAMES: u64 = 6_000;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

#[test]
fn former_failures_stay_away() {
    note_panics();
    let mut seen = 0;
    for (_, mut target) in all() {
        for (path, case) in load(&corpus(), target.name()).unwrap() {
            assert_eq!(replay(&mut *target, &case), Ok(()), "{path}");
            seen += 1;
        }
    }
    let folders = std::fs::read_dir(corpus()).unwrap();
    let files = folders.map(|it| std::fs::read_dir(it.unwrap().path()).unwrap().count());
    assert_eq!(
        seen,
        files.sum::<usize>(),
        "a folder of the corpus has no target"
    );
}

#[test]
fn a_short_campaign_finds_nothing() {
    note_panics();
    let plan = Plan {
        frames: FRAMES,
        seed: 1,
        threads: 1,
        target: None,
        corpus: std::env::temp_dir().join("hostile-cases"),
    };
    let report = carry_out(&plan, &|_| {});
    assert!(report.found.is_empty(), "{:?}", report.found);
    assert_eq!(report.idle(), Vec::<&str>::new());
    assert_eq!(report.inputs(), FRAMES);
}
