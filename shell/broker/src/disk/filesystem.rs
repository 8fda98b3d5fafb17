//! What the filesystem below the data directory can do, how large it is, and how large a journal it
//! should carry.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{AtFlags, OFlags, StatxFlags};
use rustix::io::Errno;

use super::file_io::{DIRECT_ALIGNMENT, aligned_zeros, write_all_direct};

const PROBE_FILE: &str = ".probe";

const MIB: u64 = 1 << 20;
/// Size of a journal file where there is room.
const RING_FILE_BYTES: u64 = 64 * MIB;
/// Size of a journal file where there is next to none.
const MIN_RING_FILE_BYTES: u64 = 8 * MIB;
/// Fewest journal files: one written, one waiting for its trim, one reserved, one free.
const MIN_RING_FILES: u64 = 4;
/// The journal takes at most one part in this many of the filesystem (5 %).
const RING_SHARE: u64 = 20;

// Magic numbers of statfs(2).
const TMPFS: u32 = 0x0102_1994;
const RAMFS: u32 = 0x8584_58f6;
const OVERLAYFS: u32 = 0x794c_7630;
const BTRFS: u32 = 0x9123_683e;
const BCACHEFS: u32 = 0xca45_1a4e;
const ZFS: u32 = 0x2fc1_2fc1;

/// How the journal may be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FilesystemKind {
    /// Past the page cache, each write durable when it returns.
    Direct,
    /// Through the page cache, with a sync behind each write; and why.
    Buffered(String),
    /// Nothing survives a restart of the machine; and why. Written like [`Self::Buffered`].
    NotDurable(String),
}

impl fmt::Display for FilesystemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct => f.write_str("direct writes"),
            Self::Buffered(reason) => write!(f, "buffered writes with fdatasync: {reason}"),
            Self::NotDurable(reason) => write!(f, "NOT DURABLE: {reason}"),
        }
    }
}

/// Finds out what the filesystem of `data_dir`, an existing directory, can do, by its type and by
/// writing a block to it.
///
/// # Errors
/// The directory can not be examined or written.
pub(crate) fn probe(data_dir: &Path) -> io::Result<FilesystemKind> {
    if let Some(kind) = by_type(magic(data_dir)?, || is_volatile_overlay(data_dir)) {
        return Ok(kind);
    }
    let path = data_dir.join(PROBE_FILE);
    let tried = try_direct_write(&path);
    let removed = super::file_io::remove(&path);
    let kind = tried?;
    removed.map(|()| kind)
}

/// Bytes of the filesystem that are left to unprivileged processes.
///
/// # Errors
/// The filesystem can not be examined.
pub(crate) fn free_bytes(data_dir: &Path) -> io::Result<u64> {
    let filesystem = rustix::fs::statvfs(data_dir)?;
    Ok(filesystem.f_bavail.saturating_mul(filesystem.f_frsize))
}

/// Size of the filesystem in bytes.
///
/// # Errors
/// The filesystem can not be examined.
pub(crate) fn total_bytes(data_dir: &Path) -> io::Result<u64> {
    let filesystem = rustix::fs::statvfs(data_dir)?;
    Ok(filesystem.f_blocks.saturating_mul(filesystem.f_frsize))
}

/// Number and size of the journal files for about `configured` bytes of journal on a filesystem of
/// `total_fs_bytes`: never more than 5 % of it, but for the smallest ring there is (32 MiB).
pub(crate) fn size_ring(total_fs_bytes: u64, configured: u64) -> (usize, u64) {
    let ring_bytes = configured.min(total_fs_bytes / RING_SHARE);
    let files = ring_bytes / RING_FILE_BYTES;
    if files >= MIN_RING_FILES {
        return (
            usize::try_from(files).unwrap_or(usize::MAX),
            RING_FILE_BYTES,
        );
    }
    let whole_mib = ring_bytes / MIN_RING_FILES / MIB * MIB;
    let files = usize::try_from(MIN_RING_FILES).unwrap_or_default();
    (files, whole_mib.max(MIN_RING_FILE_BYTES))
}

fn magic(data_dir: &Path) -> io::Result<u32> {
    let f_type = rustix::fs::statfs(data_dir)?.f_type;
    // Type and sign of the field differ between machines, the numbers have 32 bits on all.
    let [a, b, c, d, ..] = f_type.to_le_bytes();
    Ok(u32::from_le_bytes([a, b, c, d]))
}

/// What the type alone decides.
fn by_type(magic: u32, is_volatile_overlay: impl FnOnce() -> bool) -> Option<FilesystemKind> {
    let copy_on_write = |name| {
        // Direct writes and checksummed copies do not go together well there.
        Some(FilesystemKind::Buffered(format!("{name} copies on write")))
    };
    match magic {
        TMPFS | RAMFS => Some(FilesystemKind::NotDurable(
            "the data directory is on a memory filesystem".into(),
        )),
        OVERLAYFS if is_volatile_overlay() => Some(FilesystemKind::NotDurable(
            "the data directory is on an overlay mounted volatile, which ignores syncs".into(),
        )),
        BTRFS => copy_on_write("btrfs"),
        BCACHEFS => copy_on_write("bcachefs"),
        ZFS => copy_on_write("zfs"),
        _ => None,
    }
}

fn is_volatile_overlay(data_dir: &Path) -> bool {
    let Ok(data_dir) = data_dir.canonicalize() else {
        return false;
    };
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    is_volatile_mount(&mounts, &data_dir)
}

/// Whether the mount that holds `path` has the option `volatile`, by the lines of `mountinfo`:
/// `id parent major:minor root mount-point options [tags] - type source super-options`.
fn is_volatile_mount(mountinfo: &str, path: &Path) -> bool {
    let mount = |line: &str| -> Option<(usize, bool)> {
        let (left, right) = line.split_once(" - ")?;
        let mount_point = Path::new(left.split(' ').nth(4)?);
        let volatile = right
            .split(' ')
            .nth(2)?
            .split(',')
            .any(|option| option == "volatile");
        path.starts_with(mount_point)
            .then(|| (mount_point.components().count(), volatile))
    };
    // The deepest mount point holds the path; of several on one point, the last one does.
    let holder = mountinfo
        .lines()
        .filter_map(mount)
        .max_by_key(|(depth, _)| *depth);
    holder.is_some_and(|(_, volatile)| volatile)
}

fn try_direct_write(path: &Path) -> io::Result<FilesystemKind> {
    let refused = || {
        Ok(FilesystemKind::Buffered(
            "the filesystem refuses direct writes".into(),
        ))
    };
    let flags = OFlags::DIRECT | OFlags::DSYNC;
    let file = match open_with_flags(path, flags, true) {
        Err(error) if is_refusal(&error) => return refused(),
        opened => opened?,
    };
    if let Some(alignment) = direct_alignment(&file)
        && (alignment == 0 || alignment as usize > DIRECT_ALIGNMENT)
    {
        let reason = format!("direct writes would have to be aligned to {alignment} bytes");
        return if alignment == 0 {
            refused()
        } else {
            Ok(FilesystemKind::Buffered(reason))
        };
    }
    match write_all_direct(&file, 0, &[aligned_zeros(DIRECT_ALIGNMENT)]) {
        Err(error) if is_refusal(&error) => refused(),
        written => written.map(|()| FilesystemKind::Direct),
    }
}

/// Larger of the alignments in memory and on disk that the file asks of direct writes; 0 where it
/// takes none, `None` where the kernel does not tell.
fn direct_alignment(file: &File) -> Option<u32> {
    let stat = rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN).ok()?;
    if !StatxFlags::from_bits_retain(stat.stx_mask).contains(StatxFlags::DIOALIGN) {
        return None;
    }
    let (memory, disk) = (stat.stx_dio_mem_align, stat.stx_dio_offset_align);
    Some(if memory == 0 || disk == 0 {
        0
    } else {
        memory.max(disk)
    })
}

/// Whether `error` is how a filesystem says that it takes no direct writes.
pub(super) fn is_refusal(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::INVAL.raw_os_error())
}

/// Opens a file for writing with flags that std does not know.
pub(super) fn open_with_flags(path: &Path, flags: OFlags, create: bool) -> io::Result<File> {
    let flags = i32::from_le_bytes(flags.bits().to_le_bytes());
    File::options()
        .write(true)
        .create(create)
        .truncate(false)
        .custom_flags(flags)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_takes_its_share() {
        const GIB: u64 = 1 << 30;
        let check = |total, configured, expected| {
            let (files, bytes) = size_ring(total, configured);
            assert_eq!(
                (files, bytes / MIB, bytes % MIB),
                (expected, bytes / MIB, 0)
            );
            (files, bytes / MIB)
        };
        assert_eq!(check(1000 * GIB, GIB, 16), (16, 64));
        assert_eq!(check(20 * GIB, GIB, 16), (16, 64));
        assert_eq!(check(10 * GIB, GIB, 8), (8, 64));
        assert_eq!(check(5 * GIB, GIB, 4), (4, 64));
        assert_eq!(check(4 * GIB, GIB, 4), (4, 51));
        assert_eq!(check(GIB / 2, GIB, 4), (4, 8));
        assert_eq!(check(0, 0, 4), (4, 8));
        assert_eq!(check(1000 * GIB, 8 * GIB, 128), (128, 64));
        assert_eq!(check(1000 * GIB, 100 * MIB, 4), (4, 25));
    }

    #[test]
    fn types_decide_before_any_write() {
        let check = |magic, volatile, expected: &str| {
            let kind = by_type(magic, || volatile)
                .map_or_else(|| "probe".to_owned(), |kind| kind.to_string());
            assert!(kind.contains(expected), "{kind}");
        };
        check(TMPFS, false, "NOT DURABLE");
        check(OVERLAYFS, true, "NOT DURABLE");
        check(OVERLAYFS, false, "probe");
        check(BTRFS, false, "buffered writes with fdatasync: btrfs");
        check(0xef53, false, "probe");
    }

    #[test]
    fn the_deepest_mount_counts() {
        let mounts = "1 0 8:1 / / rw - overlay overlay rw,lowerdir=/l,volatile\n\
                      2 1 8:2 / /data rw,relatime shared:1 - ext4 /dev/vda rw\n\
                      3 2 8:3 / /data/scratch rw - overlay overlay rw,upperdir=/u,volatile,index=off\n";
        let check = |path, expected| {
            assert_eq!(
                is_volatile_mount(mounts, Path::new(path)),
                expected,
                "{path}"
            );
        };
        check("/", true);
        check("/database", true);
        check("/data/chronik", false);
        check("/data/scratch/chronik", true);
        assert!(!is_volatile_mount("", Path::new("/data")));
    }

    #[test]
    fn probing_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        probe(directory.path()).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        assert!(probe(&directory.path().join("absent")).is_err());
    }

    #[test]
    fn the_filesystem_has_room() {
        let directory = tempfile::tempdir().unwrap();
        let (free, total) = (free_bytes(directory.path()), total_bytes(directory.path()));
        assert!(free.unwrap() <= total.unwrap());
    }

    #[test]
    fn memory_is_not_durable() {
        let memory = Path::new("/dev/shm");
        if magic(memory).is_ok_and(|magic| magic == TMPFS) {
            assert!(matches!(
                probe(memory).unwrap(),
                FilesystemKind::NotDurable(_)
            ));
        }
    }
}
