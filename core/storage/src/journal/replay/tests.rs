//! Which frame a damaged journal is refused for.
//!
//! Files of two frames each; frame `n` lies in file `n / 2`.

use chronik_model::{LogId, Offset};

use super::{JournalEnd, Replay, ReplayError, Replayed};
use crate::disk::{DirEntry, Disk, DiskError, DiskErrorKind};
use crate::journal::format::{ChainLink, FRAME_ALIGNMENT, Operation};
use crate::journal::ring::{JournalStart, Ring, ring_path};
use crate::journal::{OpenFrame, SealedFrame};

const DIRECTORY_ID: [u8; 16] = [3; 16];
const FILES: usize = 3;
const FRAME_BYTES: usize = FRAME_ALIGNMENT;
const FILE_BYTES: usize = 2 * FRAME_BYTES;

/// Ring files that can only be read.
struct Files(Vec<Vec<u8>>);

impl Files {
    /// What commits of so many frames each leave.
    fn written(start: JournalStart, commits: &[usize]) -> Self {
        let mut files = Self(vec![Vec::new(); FILES]);
        let mut ring = Ring::new(DIRECTORY_ID, FILES, FILE_BYTES as u64, start);
        for frames in commits {
            let mut frames: Vec<SealedFrame> = (0..*frames).map(|_| frame()).collect();
            let plan = ring.plan(&mut frames).unwrap();
            for write in plan.writes {
                let file = &mut files.0[write.file];
                assert_eq!(file.len() as u64, write.position);
                file.extend_from_slice(&write.buffers.concat());
            }
            ring.completed();
        }
        files
    }

    fn damage(&mut self, frame: usize) {
        self.0[frame / 2][frame % 2 * FRAME_BYTES + FRAME_BYTES / 2] ^= 1;
    }
}

fn frame() -> SealedFrame {
    let mut open = OpenFrame::default();
    let start_offset = Offset(1);
    open.control(LogId(1), &Operation::LogStart { start_offset }, None);
    open.seal().remove(0)
}

impl Disk for Files {
    fn read(&mut self, path: &str, position: u64, length: usize) -> Result<Vec<u8>, DiskError> {
        let file = (0..FILES).find(|file| ring_path(*file) == path);
        let bytes = file
            .map(|file| &self.0[file])
            .filter(|bytes| !bytes.is_empty());
        let bytes = bytes.ok_or_else(|| DiskError::new(path, DiskErrorKind::NotFound, ""))?;
        let from = usize::try_from(position).unwrap().min(bytes.len());
        let end = from.saturating_add(length).min(bytes.len());
        Ok(bytes[from..end].to_vec())
    }

    fn list(&mut self, _path: &str) -> Result<Vec<DirEntry>, DiskError> {
        unreachable!("replay knows its files")
    }

    fn write(&mut self, _path: &str, _position: u64, _bytes: &[u8]) -> Result<(), DiskError> {
        unreachable!("replay only reads")
    }

    fn truncate(&mut self, _path: &str, _length: u64) -> Result<(), DiskError> {
        unreachable!("replay only reads")
    }

    fn sync(&mut self, _path: &str) -> Result<(), DiskError> {
        unreachable!("replay only reads")
    }

    fn sync_directory(&mut self, _path: &str) -> Result<(), DiskError> {
        unreachable!("replay only reads")
    }

    fn rename(&mut self, _from: &str, _to: &str) -> Result<(), DiskError> {
        unreachable!("replay only reads")
    }

    fn remove(&mut self, _path: &str) -> Result<(), DiskError> {
        unreachable!("replay only reads")
    }
}

fn replay_damaged(commits: &[usize], damaged: usize) -> Result<Replayed, ReplayError> {
    let start = JournalStart {
        file: 0,
        link: ChainLink::start(&DIRECTORY_ID, 1, 100),
    };
    let mut files = Files::written(start, commits);
    files.damage(damaged);
    let replay = Replay {
        directory_id: DIRECTORY_ID,
        file_count: FILES,
    };
    replay.run(&mut files, start, &mut |_, _, _| Ok(()))
}

#[test]
fn a_frame_that_was_acknowledged_is_named_by_its_own_file() {
    let check = |commits: &[usize], damaged: usize| match replay_damaged(commits, damaged) {
        Err(ReplayError::Damaged {
            path,
            position,
            sequence,
        }) => {
            let byte = (damaged % 2 * FRAME_BYTES) as u64;
            assert_eq!((path, position), (ring_path(damaged / 2), byte));
            assert_eq!(sequence, 100 + damaged as u64);
        }
        other => panic!("{commits:?} without {damaged}: {other:?}"),
    };
    check(&[1, 1], 0);
    // The last of its file: the first of the next one vouches for it.
    check(&[1, 1, 1], 1);
    // The first of its file: only one behind it vouches.
    check(&[1, 1, 1, 1], 2);
    // The last of its file, written together with the first of the next one, which can not vouch.
    check(&[1, 2, 1], 1);
    check(&[2, 1, 1, 1], 1);
    // Written together with what lies before it.
    check(&[3, 1], 2);
    check(&[4, 1], 3);
}

#[test]
fn what_nothing_vouches_for_is_where_the_journal_ends() {
    let check = |commits: &[usize], damaged: usize, end: (usize, usize), torn: bool| {
        let replayed = replay_damaged(commits, damaged).unwrap();
        let JournalEnd {
            file,
            position,
            torn: found,
            ..
        } = replayed.end;
        assert_eq!(replayed.frames, damaged as u64, "{commits:?}");
        assert_eq!((file, position), (end.0, (end.1 * FRAME_BYTES) as u64));
        assert_eq!(found, torn, "{commits:?} without {damaged}");
    };
    check(&[1], 0, (0, 0), true);
    check(&[1, 1], 1, (0, 1), true);
    check(&[1, 2], 1, (0, 1), true);
    // The frame is looked for behind the last one, in the file before.
    check(&[1, 1, 1], 2, (0, 2), false);
    check(&[1, 1, 2], 2, (0, 2), false);
    check(&[1, 1, 2], 3, (1, 1), true);
}
