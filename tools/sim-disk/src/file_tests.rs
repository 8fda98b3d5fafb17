//! Sectors against the simplest model there is: two whole copies of the file.

use chronik_model::rng::Rng;

use super::*;
use crate::losses::Losses;

/// A file of two copies, without failing syncs.
#[derive(Default)]
struct Simple {
    content: Vec<u8>,
    durable: Vec<u8>,
}

fn put(content: &mut Vec<u8>, position: usize, bytes: &[u8]) {
    let end = position + bytes.len();
    content.resize(content.len().max(end), 0);
    content[position..end].copy_from_slice(bytes);
}

fn number(rng: &mut Rng, bound: u64) -> usize {
    usize::try_from(rng.below(bound)).unwrap()
}

fn step(file: &mut SimFile, simple: &mut Simple, rng: &mut Rng) {
    let position = number(rng, 3000);
    let byte = u8::try_from(rng.below(256)).unwrap();
    let bytes = vec![byte; number(rng, 1500) + 1];
    match rng.below(10) {
        0..4 => {
            file.put(position, &bytes);
            put(&mut simple.content, position, &bytes);
        }
        4..6 => {
            file.put_through(position, &bytes);
            put(&mut simple.content, position, &bytes);
            put(&mut simple.durable, position, &bytes);
        }
        6 => {
            file.set_len(position);
            simple.content.resize(position, 0);
        }
        7 => {
            let end = simple.content.len();
            file.put(end, &bytes);
            put(&mut simple.content, end, &bytes);
        }
        _ => {
            file.sync();
            simple.durable.clone_from(&simple.content);
        }
    }
}

#[test]
fn content_and_what_is_durable_are_those_of_two_whole_copies() {
    for seed in 0..2000 {
        let mut rng = Rng::new(seed);
        let (mut file, mut simple) = (SimFile::default(), Simple::default());
        for _ in 0..40 {
            step(&mut file, &mut simple, &mut rng);
            assert_eq!(file.content(), simple.content, "seed {seed}");
            assert_eq!(*file.durable(), simple.durable, "seed {seed}");
            if file.is_durable() {
                assert_eq!(simple.durable, simple.content, "seed {seed}");
            }
        }
    }
}

#[test]
fn a_power_cut_leaves_each_sector_as_it_was_or_as_it_is() {
    let (mut old, mut new) = (0, 0);
    for seed in 0..2000 {
        let mut rng = Rng::new(seed);
        let (mut file, mut simple) = (SimFile::default(), Simple::default());
        for _ in 0..20 {
            step(&mut file, &mut simple, &mut rng);
        }
        let mut spared = Losses::draw(&mut rng).spared(8);
        file.lose(&mut spared);
        assert!(file.is_durable());
        assert_eq!(*file.durable(), *file.content());
        let left = file.content();
        let most = simple.content.len().max(simple.durable.len());
        assert!(left.len() <= most, "seed {seed}");
        for start in (0..left.len()).step_by(SECTOR_BYTES) {
            let end = (start + SECTOR_BYTES).min(left.len());
            let of = |whole: &[u8]| {
                let mut sector = whole
                    .get(start..end.min(whole.len()))
                    .unwrap_or(&[])
                    .to_vec();
                sector.resize(end - start, 0);
                sector
            };
            let (was, is) = (of(&simple.durable), of(&simple.content));
            let found = &left[start..end];
            assert!(found == was || found == is, "seed {seed}, byte {start}");
            if was != is {
                old += u64::from(found == was);
                new += u64::from(found == is);
            }
        }
    }
    assert!(old > 1000 && new > 1000, "{old} {new}");
}

#[test]
fn what_a_failed_sync_was_for_reads_as_clean_and_is_lost() {
    let mut file = SimFile::default();
    file.put_through(0, &[1; 1000]);
    file.put(0, &[2; 600]);
    file.put(1000, &[3; 3000]);
    file.fail_sync(&mut |sector| sector == 4);
    assert_eq!(&file.content()[..600], [2; 600]);
    file.sync();
    file.put(3600, &[4; 400]);
    file.sync();
    file.lose(&mut Losses::Nothing.spared(8));
    let mut expected = vec![1; 1000];
    expected.resize(4000, 0);
    expected[2048..2560].fill(3);
    // Written again after the failure, the last sector is as good as any.
    expected[3584..3600].fill(3);
    expected[3600..4000].fill(4);
    assert_eq!(file.content(), expected);
}
