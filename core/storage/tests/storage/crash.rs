//! Random lives of a directory, each cut short at every disk operation it makes.

use chronik_model::rng::Rng;
use chronik_model::{Mono, Now};
use chronik_sim_disk::{Crash, SimDisk};
use chronik_storage::disk::DiskError;
use chronik_storage::journal::frame::CHUNK_BYTES;
use chronik_storage::store::StoreLimits;

use super::compacted::keyed_batch;
use super::model::{Cleanup, Model, batch};
use super::shell::{Counts, Shell, new_directory};

/// Small enough that eviction, rolls and trims happen all the time.
pub(crate) const LIMITS: StoreLimits = StoreLimits {
    tail_bytes: 48 << 10,
    write_back_bytes: 8 << 10,
    frame_bytes: CHUNK_BYTES,
};

/// One random step of a server's life.
pub(crate) fn step(shell: &mut Shell, model: &mut Model, rng: &mut Rng) -> Result<(), DiskError> {
    let ids: Vec<u64> = model
        .logs
        .iter()
        .filter(|(_, log)| !log.deleted)
        .map(|(id, _)| *id)
        .collect();
    let id = ids
        .get(usize::try_from(rng.below(ids.len().max(1) as u64)).unwrap())
        .copied();
    let Some(id) = id.filter(|_| ids.len() >= 3) else {
        let flush_messages = if rng.below(2) == 0 { 1 } else { 1000 };
        let cleanup = [Cleanup::Delete, Cleanup::Compact, Cleanup::Both];
        let cleanup = cleanup[usize::try_from(rng.below(3)).unwrap()];
        model.create_with(shell, rng.below(200), flush_messages, cleanup);
        return shell.turn(rng);
    };
    match rng.below(100) {
        0..16 => change(shell, model, rng, id),
        16 => shell.drain()?,
        17..40 => {
            let wall_ms = 2000 + i64::try_from(shell.disk.operations()).unwrap();
            let map_bytes = if rng.below(2) == 0 { 100 } else { 1 << 20 };
            shell.compact(wall_ms, map_bytes);
        }
        _ => append(shell, model, rng, id),
    }
    shell.turn(rng)
}

/// Appends a batch, of an idempotent producer or not.
fn append(shell: &mut Shell, model: &mut Model, rng: &mut Rng, id: u64) {
    let producer = i64::try_from(rng.below(6)).unwrap();
    if model.logs[&id].cleanup != Cleanup::Delete {
        let next = model.logs[&id].next_sequence.get(&producer);
        let next = next.copied().unwrap_or(0);
        let bytes = keyed_batch(rng, (producer < 3).then_some((producer, next)));
        model.append(shell, id, &bytes);
        return;
    }
    let bytes = if producer < 2 {
        let next = model.logs[&id].next_sequence.get(&producer);
        let next = next.copied().unwrap_or(0);
        batch(rng, 1, 200, Some((producer, next)))
    } else {
        let (records, size) = (1 + rng.below(3), 50 + rng.below(4000));
        batch(rng, records, usize::try_from(size).unwrap(), None)
    };
    model.append(shell, id, &bytes);
}

/// Something else than an append.
fn change(shell: &mut Shell, model: &mut Model, rng: &mut Rng, id: u64) {
    let slot = shell.slot_of(id).unwrap();
    let log = model.logs.get_mut(&id).unwrap();
    let (start, acked, end) = (log.start.1, log.acked, log.end);
    match rng.below(16) {
        0..2 => {
            model.delete(shell, id);
            shell.counts.add("deletions", 1);
        }
        2..5 if acked > start => {
            let start = start + i64::try_from(rng.below(acked.abs_diff(start) + 1)).unwrap();
            model.delete_records(shell, id, start);
            shell.counts.add("log starts", 1);
        }
        5..8 if !model.only_durable => {
            log.flush_messages = if log.flush_messages == 1 { 1000 } else { 1 };
            shell.store.configure(slot, log.config());
            shell.counts.add("mode switches", 1);
        }
        // What is compacted is promised less once an end was taken back: some logs keep theirs.
        8..11 if log.cleanup == Cleanup::Delete || id.is_multiple_of(2) => {
            let ends = log.batches.values().rev().map(|kept| kept.end).take(12);
            let ends: Vec<i64> = ends.filter(|end| *end > start).collect();
            let chosen = usize::try_from(rng.below(ends.len().max(1) as u64)).unwrap();
            if let Some(to) = ends.get(chosen) {
                model.truncate(shell, id, *to, false);
                shell.counts.add("truncations", 1);
            }
        }
        11 => {
            let to = end + i64::try_from(rng.below(10)).unwrap();
            model.truncate(shell, id, to, true);
            shell.counts.add("resets", 1);
        }
        12..14 => {
            let now = Now {
                mono: Mono(0),
                wall_ms: 2000,
            };
            shell.store.retain(slot, now);
            log.start.1 = start.max(shell.store.log(slot).unwrap().log_start.0);
        }
        _ => shell.flush_timed(),
    }
}

pub(crate) fn live(
    shell: &mut Shell,
    model: &mut Model,
    rng: &mut Rng,
    steps: u64,
) -> Result<(), DiskError> {
    for _ in 0..steps {
        let done = step(shell, model, rng);
        model.note(shell);
        done?;
    }
    if rng.below(3) == 0 {
        let done = shell.stop();
        model.note(shell);
        done?;
    }
    Ok(())
}

/// Starts a directory, as often as recovery itself is cut short.
fn start(mut disk: SimDisk, worst: Crash, rng: &mut Rng, counts: &mut Counts) -> Shell {
    loop {
        if rng.below(3) == 0 {
            disk.faults().crash_at = Some(disk.operations() + 1 + rng.below(20));
        }
        match Shell::start(disk, LIMITS) {
            Ok((mut shell, _)) => {
                shell.disk.faults().crash_at = None;
                return shell;
            }
            Err(failed) => {
                let (left, error) = *failed;
                assert!(left.is_crashed(), "recovery fails: {error}");
                counts.add("crashes in recovery", 1);
                let power = worst == Crash::Power && rng.below(2) == 0;
                let crash = if power { Crash::Power } else { Crash::Kill };
                disk = left.after(crash, rng);
            }
        }
    }
}

/// Lives three lives; the first one ends at `crash_at`. Returns whether it got there.
fn run(seed: u64, crash_at: u64, counts: &mut Counts) -> bool {
    let mut rng = Rng::new(seed);
    let mut model = Model::default();
    let mut chance = Rng::new(seed.rotate_left(32) ^ crash_at);
    let mut disk = new_directory();
    disk.faults().crash_at = Some(crash_at);
    let mut crashed = false;
    for life in 0..3 {
        let mut shell = if life == 0 {
            match Shell::start(disk, LIMITS) {
                Ok((shell, _)) => shell,
                Err(failed) => {
                    let left = &failed.0;
                    assert!(left.is_crashed());
                    crashed = true;
                    disk = left.after(Crash::Power, &mut chance);
                    continue;
                }
            }
        } else {
            start(disk, Crash::Power, &mut chance, counts)
        };
        model.configure(&mut shell);
        if life > 0 {
            shell.disk.faults().crash_at = Some(shell.disk.operations() + 1 + chance.below(150));
        }
        let steps = if life == 0 { 150 } else { 60 };
        let done = live(&mut shell, &mut model, &mut rng, steps);
        assert!(done.is_ok() || shell.disk.is_crashed(), "{done:?}");
        crashed |= life == 0 && shell.disk.is_crashed();
        counts.merge(&shell.counts);
        let crash = if chance.below(4) == 0 {
            Crash::Kill
        } else {
            Crash::Power
        };
        let left = shell.disk.after(crash, &mut chance);
        let restarted = start(left.clone(), crash, &mut chance, counts);
        counts.merge(&restarted.counts);
        let left = restarted.disk.after(Crash::Power, &mut chance);
        let mut again = start(left, Crash::Power, &mut chance, counts);
        same_logs(&restarted, &again);
        model.check(&again, Some(crash));
        again.disk.faults().crash_at = None;
        disk = again.disk;
    }
    crashed
}

/// Recovery of what recovery left gives the same.
pub(crate) fn same_logs(first: &Shell, second: &Shell) {
    let logs = |shell: &Shell| -> Vec<_> {
        let all = shell.store.slots().filter_map(|slot| shell.store.log(slot));
        all.map(|log| {
            (
                log.log_id,
                log.log_start,
                log.log_end,
                log.producers.clone(),
            )
        })
        .collect()
    };
    assert_eq!(logs(first), logs(second));
}

#[test]
fn nothing_acknowledged_is_lost_wherever_a_life_is_cut_short() {
    let mut counts = Counts::default();
    // `CHRONIK_SEEDS=100..200 cargo test` tries other seeds, `CHRONIK_CRASH_AT=17` one crash.
    let number = |text: &str| text.parse::<u64>().unwrap();
    let seeds = match option_env!("CHRONIK_SEEDS").and_then(|range| range.split_once("..")) {
        Some((from, to)) => number(from)..number(to),
        None => 0..2,
    };
    for seed in seeds {
        let mut crash_at = option_env!("CHRONIK_CRASH_AT").map_or(1, number);
        while std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            run(seed, crash_at, &mut counts)
        }))
        .unwrap_or_else(|_| panic!("seed {seed}, crash at operation {crash_at}"))
        {
            crash_at += 1;
        }
        counts.add("crash points", crash_at);
    }
    println!("{:#?}", counts.0);
    for what in [
        "commits",
        "rolls",
        "trims",
        "checkpoints",
        "recoveries",
        "torn frames",
        "clean stops",
        "crashes in recovery",
        "deletions",
        "log starts",
        "mode switches",
        "truncations",
        "resets",
        "compactions",
        "short compactions",
        "crashes: a compacted segment is written",
        "crashes: a compacted segment is synced",
        "crashes: a replacement is journaled",
        "crashes: a compacted segment is indexed",
        "crashes: a replaced segment is removed",
    ] {
        assert!(
            counts.0.get(what).is_some_and(|count| *count > 0),
            "never seen: {what}"
        );
    }
}
