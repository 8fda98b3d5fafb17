//! Every sync of random lives fails once, and what it was for is lost at the next power cut although
//! it can be read.

use chronik_model::rng::Rng;
use chronik_sim_disk::{Action, Crash, Failure, Fault, Losses, SimDisk, Where};
use chronik_storage::disk::{DiskErrorKind, DiskOp};

use super::crash::{LIMITS, step};
use super::enumeration::{RING_FILE_BYTES, Trace, comes_back, seeds};
use super::model::{Model, batch};
use super::shell::{Counts, Shell, directory_with_ring};

/// A life in which a sync failed, at its end.
struct Failed {
    shell: Shell,
    model: Model,
}

/// Lives until the sync of that number fails; `None` when there are not so many.
fn fail_at(trace: Trace, fault: Fault, counts: &mut Counts) -> Option<Failed> {
    let mut rng = Rng::new(trace.seed);
    let mut model = Model::default();
    model.only_durable = trace.seed.is_multiple_of(2);
    let mut disk = directory_with_ring(RING_FILE_BYTES);
    disk.faults().once.push(fault);
    let mut shell = match Shell::start(disk, LIMITS) {
        Ok((shell, _)) => shell,
        Err(failed) => {
            let mut disk = failed.0;
            assert!(!disk.faults().hits.is_empty(), "{}", failed.1);
            counts.add("failed in recovery", 1);
            // A process that could not start has promised nothing.
            comes_back(&disk.after_exactly(None, None), &model, Crash::Power);
            disk.faults().restart();
            let (shell, _) = Shell::start(disk, LIMITS).unwrap();
            return Some(Failed { shell, model });
        }
    };
    for _ in 0..trace.steps {
        let done = step(&mut shell, &mut model, &mut rng);
        model.note(&mut shell);
        let offline = shell.store.offline().is_some();
        let what = match (done, offline) {
            (_, true) => "failed in a log",
            (Err(_), false) => "failed in a checkpoint",
            (Ok(()), false) => continue,
        };
        counts.add(what, 1);
        assert!(!shell.disk.faults().hits.is_empty());
        return Some(Failed { shell, model });
    }
    // A lost index costs a scan, and what is not removed is found at the next start. Everything else
    // somebody must have minded.
    let op = shell.failed.first()?;
    let harmless = matches!(
        op,
        DiskOp::WriteIndex { .. } | DiskOp::RemoveSegment { .. } | DiskOp::RemoveLog { .. }
    );
    assert!(harmless, "a sync failed and nobody minded: {op:?}");
    counts.add("failed without harm", 1);
    Some(Failed { shell, model })
}

/// Whatever is tried on a directory that is offline, nothing more is acknowledged or written.
fn check_offline(failed: &mut Failed, rng: &mut Rng) {
    let Failed { shell, model } = failed;
    if shell.store.offline().is_none() {
        return;
    }
    let ends = |shell: &Shell| -> Vec<_> {
        let logs = shell.store.slots().filter_map(|slot| shell.store.log(slot));
        logs.map(|log| (log.log_id, log.stable_end(), log.log_start))
            .collect()
    };
    // What was under way when it failed comes to its end first.
    shell.work(1000).unwrap();
    let frozen = ends(shell);
    let operations = shell.disk.operations();
    let ids: Vec<u64> = model.logs.keys().copied().collect();
    for id in ids {
        let refused = model.append(shell, id, &batch(rng, 1, 100, None));
        assert_eq!(refused, None, "log {id} takes records");
        shell.flush_timed();
        shell.store.retry_writes();
        shell.store.end_turn();
        shell.compact(5000, 1 << 20);
        shell.turn(rng).unwrap();
    }
    shell.store.flush_all();
    shell.work(1000).unwrap();
    assert_eq!(shell.disk.operations(), operations, "the disk is touched");
    assert_eq!(ends(shell), frozen, "acknowledged behind the failure");
}

/// The process alone dies, and power fails behind the next start. The cache may or may not have what
/// the failed sync was for.
fn check_kill(disk: &SimDisk, model: &Model) {
    let mut left = disk.after_exactly(None, None);
    comes_back(&left, model, Crash::Kill);
    left.evict();
    comes_back(&left, model, Crash::Power);
}

/// Fails each sync of `trace` in turn.
fn enumerate(trace: Trace, action: Action, counts: &mut Counts) {
    for skip in 0.. {
        let _where = Where(format_args!("{trace:?}, {action:?} {skip} fails"));
        let mut rng = Rng::new(trace.seed ^ skip << 32);
        let failure = match skip % 2 {
            0 => Failure::Nothing(DiskErrorKind::Failed),
            _ => Failure::Part(DiskErrorKind::Failed, skip),
        };
        let fault = Fault {
            action,
            prefix: "",
            suffix: "",
            skip,
            failure,
        };
        let Some(mut failed) = fail_at(trace, fault, counts) else {
            return;
        };
        counts.add("failed syncs", 1);
        check_offline(&mut failed, &mut rng);
        let Failed { shell, model } = failed;
        let chance = Losses::Chance(Rng::new(rng.next_u64()));
        for losses in [Losses::All, Losses::Nothing, chance] {
            let left = shell.disk.after_exactly(None, Some(losses));
            comes_back(&left, &model, Crash::Power);
            counts.add("recoveries", 1);
        }
        check_kill(&shell.disk, &model);
        counts.add("recoveries", 3);
    }
}

#[test]
fn a_sync_that_fails_is_the_last_thing_that_a_directory_does() {
    let mut counts = Counts::default();
    for seed in seeds(4) {
        let trace = Trace { seed, steps: 110 };
        counts.add("traces", 1);
        enumerate(trace, Action::Sync, &mut counts);
        enumerate(trace, Action::SyncDirectory, &mut counts);
    }
    println!("{:#?}", counts.0);
    for what in [
        "failed in a log",
        "failed in a checkpoint",
        "failed in recovery",
        "failed without harm",
    ] {
        let seen = counts.0.get(what).copied().unwrap_or(0);
        assert!(seen > 0, "never seen: {what}");
    }
}
