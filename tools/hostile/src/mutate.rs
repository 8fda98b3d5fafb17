//! Damage to valid bytes.

use chronik_model::rng::Rng;

use crate::chance::{byte, index, one_in, pick};
use crate::requests::put_varint;

/// Numbers at the edges of what fields can say.
const EDGES: &[i64] = &[
    0,
    1,
    -1,
    -2,
    2,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0x8000,
    0xffff,
    0x0010_0000,
    0x0fff_ffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    i64::MAX,
    i64::MIN,
];

/// Varints that claim much, end never, or say nothing in many bytes.
const VARINTS: &[&[u8]] = &[
    &[0xff, 0xff, 0xff, 0xff, 0x07],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80],
    &[0x80, 0x80, 0x80, 0x00],
    &[0x81, 0x80, 0x40],
    &[0xff, 0xff, 0x03],
];

/// How much a mutation may add, mostly.
const USUAL_GROWTH: usize = 256;
/// Rarely more, and very rarely much more: large inputs are slow.
const LARGE_GROWTH: usize = 8 << 10;
const LARGEST_GROWTH: usize = 256 << 10;

/// Damages `bytes` in one to a few ways. `other` is another valid input, to splice with.
pub fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>, other: &[u8]) {
    loop {
        mutate_once(rng, bytes, other);
        if !one_in(rng, 3) {
            return;
        }
    }
}

fn mutate_once(rng: &mut Rng, bytes: &mut Vec<u8>, other: &[u8]) {
    let at = place(rng, bytes.len());
    match rng.below(15) {
        0 | 1 => {
            let bit = 1 << rng.below(8);
            overwrite(bytes, at, &[bytes.get(at).copied().unwrap_or(0) ^ bit]);
        }
        2 => overwrite(bytes, at, &[byte(rng)]),
        3 | 4 => set_number(rng, bytes, at),
        5 => overwrite(bytes, at, pick::<&[u8]>(rng, VARINTS)),
        6 => insert(bytes, at, pick::<&[u8]>(rng, VARINTS)),
        7 => bytes.truncate(at),
        8 => extend(rng, bytes),
        9 => {
            bytes.truncate(at);
            bytes.extend(other.get(place(rng, other.len())..).unwrap_or_default());
        }
        10 => {
            let copy = region(rng, bytes).to_vec();
            insert(bytes, at, &copy);
        }
        11 => repeat(rng, bytes, at),
        12 => {
            let end = at + region(rng, bytes).len();
            bytes.drain(at..end.min(bytes.len()));
        }
        13 => array_bomb(rng, bytes, at),
        _ => tag_bomb(rng, bytes, at),
    }
}

/// Anywhere, but more often near the front, where the counts are.
fn place(rng: &mut Rng, length: usize) -> usize {
    let front = if one_in(rng, 2) { 48 } else { usize::MAX };
    index(rng, length.min(front))
}

fn region<'a>(rng: &mut Rng, bytes: &'a [u8]) -> &'a [u8] {
    let start = place(rng, bytes.len());
    let most = if one_in(rng, 2) { 8 } else { 512 };
    let length = 1 + index(rng, most);
    let end = (start + length).min(bytes.len());
    bytes.get(start..end).unwrap_or_default()
}

fn overwrite(bytes: &mut Vec<u8>, at: usize, with: &[u8]) {
    if bytes.len() < at + with.len() {
        bytes.resize(at + with.len(), 0);
    }
    if let Some(place) = bytes.get_mut(at..at + with.len()) {
        place.copy_from_slice(with);
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, what: &[u8]) {
    let at = at.min(bytes.len());
    bytes.splice(at..at, what.iter().copied());
}

fn set_number(rng: &mut Rng, bytes: &mut Vec<u8>, at: usize) {
    let value = *pick(rng, EDGES);
    let width = *pick(rng, &[2, 4, 4, 4, 8]);
    if one_in(rng, 4) {
        overwrite(bytes, at, &value.to_le_bytes()[..width]);
    } else {
        overwrite(bytes, at, &value.to_be_bytes()[8 - width..]);
    }
}

fn growth(rng: &mut Rng) -> usize {
    let most = match rng.below(1_024) {
        0 => LARGEST_GROWTH,
        1..16 => LARGE_GROWTH,
        _ => USUAL_GROWTH,
    };
    1 + index(rng, most)
}

fn extend(rng: &mut Rng, bytes: &mut Vec<u8>) {
    let more = growth(rng);
    let filler = *pick(rng, &[0, 0xff, 1]);
    if one_in(rng, 2) {
        bytes.resize(bytes.len() + more, filler);
    } else {
        bytes.extend((0..more.min(USUAL_GROWTH)).map(|_| byte(rng)));
    }
}

/// One piece many times over.
fn repeat(rng: &mut Rng, bytes: &mut Vec<u8>, at: usize) {
    let piece = region(rng, bytes).to_vec();
    let times = growth(rng) / piece.len().max(1);
    insert(bytes, at, &piece.repeat(times));
}

/// A count that claims much, and small elements behind it that may be there.
fn array_bomb(rng: &mut Rng, bytes: &mut Vec<u8>, at: usize) {
    let more = growth(rng);
    let element = pick(rng, ELEMENTS);
    let there = more / element.len();
    let claimed = *pick(rng, &[there, there, there + 1, 1_000_000, 0x7fff_fffe]);
    let claimed = u32::try_from(claimed).unwrap_or(u32::MAX);
    let rest = if one_in(rng, 2) {
        bytes.split_off(at.min(bytes.len()))
    } else {
        Vec::new()
    };
    bytes.truncate(at);
    if one_in(rng, 2) {
        bytes.extend(claimed.to_be_bytes());
    } else {
        put_varint(bytes, claimed.saturating_add(1));
    }
    bytes.extend(element.iter().cycle().take(more));
    bytes.extend(rest);
}

/// The smallest things that readers take for elements.
const ELEMENTS: &[&[u8]] = &[
    &[0],
    &[1],
    &[1, 0],
    &[1, 1, 0],
    &[2, b'x', 0],
    &[0, 0],
    &[0, 0, 0, 0],
    &[0, 0, 0, 0, 0],
    &[0, 1, b'x', 0, 0, 0, 0],
];

/// Many tagged fields that nobody knows, in rising order or all the same.
fn tag_bomb(rng: &mut Rng, bytes: &mut Vec<u8>, at: usize) {
    let count = u32::try_from(growth(rng) / 3).unwrap_or(0);
    let rising = one_in(rng, 2);
    let mut tags = Vec::new();
    put_varint(&mut tags, count);
    for tag in 0..count {
        put_varint(&mut tags, if rising { tag + 10 } else { 10 });
        tags.push(0);
    }
    insert(bytes, at, &tags);
}

#[cfg(test)]
mod tests {
    use chronik_model::rng::Rng;

    use super::mutate;

    #[test]
    fn a_seed_decides_the_damage() {
        let damaged = |seed| {
            let mut bytes = b"some bytes that are fine".to_vec();
            mutate(&mut Rng::new(seed), &mut bytes, b"others");
            bytes
        };
        assert_eq!(damaged(3), damaged(3));
        let different = (0..100)
            .filter(|seed| damaged(*seed) != damaged(seed + 1))
            .count();
        assert!(different > 90, "{different}");
    }

    #[test]
    fn even_nothing_can_be_damaged() {
        for seed in 0..1_000 {
            mutate(&mut Rng::new(seed), &mut Vec::new(), &[]);
        }
    }
}
