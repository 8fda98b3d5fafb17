//! Directories: names that readers see, and names that a power cut would leave.

use std::collections::{BTreeMap, BTreeSet};

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// The file of that number.
    File(usize),
    /// The directory of that number.
    Directory(usize),
}

/// Names in one directory, and the way back to those that are durable.
#[derive(Debug, Clone, Default)]
struct Directory {
    entries: BTreeMap<String, Entry>,
    /// What unsynced names stood for when the directory was synced last.
    before: BTreeMap<String, Option<Entry>>,
}

/// All directories of a disk, by number.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    directories: Vec<Directory>,
    /// Numbers that are used again.
    free: Vec<usize>,
}

const ROOT: usize = 0;

impl Default for Names {
    fn default() -> Self {
        Self {
            directories: vec![Directory::default()],
            free: Vec::new(),
        }
    }
}

impl Directory {
    fn set(&mut self, name: &str, entry: Option<Entry>) {
        let old = self.entries.get(name).copied();
        if old == entry {
            return;
        }
        if !self.before.contains_key(name) {
            self.before.insert(name.to_owned(), old);
        }
        match entry {
            Some(entry) => self.entries.insert(name.to_owned(), entry),
            None => self.entries.remove(name),
        };
    }
}

/// The directory part of a path; empty for the data directory itself.
pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn name_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

impl Names {
    /// What `path` stands for.
    pub(crate) fn find(&self, path: &str) -> Option<Entry> {
        if path.is_empty() {
            return Some(Entry::Directory(ROOT));
        }
        let mut entry = Entry::Directory(ROOT);
        for name in path.split('/') {
            entry = *self.directory(entry)?.entries.get(name)?;
        }
        Some(entry)
    }

    /// The file at `path`.
    pub(crate) fn file(&self, path: &str) -> Option<usize> {
        match self.find(path)? {
            Entry::File(file) => Some(file),
            Entry::Directory(_) => None,
        }
    }

    /// Names in a directory, in order.
    pub(crate) fn list(&self, path: &str) -> impl Iterator<Item = (&str, Entry)> {
        let directory = self.find(path).and_then(|entry| self.directory(entry));
        let entries = directory.into_iter().flat_map(|it| &it.entries);
        entries.map(|(name, entry)| (name.as_str(), *entry))
    }

    /// Puts a file at `path`, making directories where absent. False when a file is in the way.
    pub(crate) fn put(&mut self, path: &str, file: usize) -> bool {
        let Some(directory) = self.make_directory(parent(path)) else {
            return false;
        };
        self.set(directory, name_of(path), Some(Entry::File(file)));
        true
    }

    /// Takes one name away.
    pub(crate) fn take(&mut self, path: &str) {
        if let Some(Entry::Directory(directory)) = self.find(parent(path)) {
            self.set(directory, name_of(path), None);
        }
    }

    /// Takes a name away, and all names below it.
    pub(crate) fn take_all(&mut self, path: &str) {
        for below in self.below(path) {
            self.take(&below);
        }
        self.take(path);
    }

    /// Paths below a directory, those in a directory before the directory itself.
    pub(crate) fn below(&self, path: &str) -> Vec<String> {
        let mut found = Vec::new();
        for (name, entry) in self.list(path) {
            let full = if path.is_empty() {
                name.to_owned()
            } else {
                format!("{path}/{name}")
            };
            if matches!(entry, Entry::Directory(_)) {
                found.extend(self.below(&full));
            }
            found.push(full);
        }
        found
    }

    /// Makes the names in a directory durable.
    pub(crate) fn sync(&mut self, path: &str) {
        if let Some(Entry::Directory(number)) = self.find(path)
            && let Some(directory) = self.directories.get_mut(number)
        {
            directory.before.clear();
        }
    }

    /// Makes what `path` stands for, and the directories on the way, durable, and no other name.
    pub(crate) fn settle(&mut self, path: &str) {
        let mut path = path;
        while !path.is_empty() {
            self.settle_name(path);
            path = parent(path);
        }
    }

    /// Makes what `path` stands for durable in its directory.
    pub(crate) fn settle_name(&mut self, path: &str) {
        if let Some(Entry::Directory(number)) = self.find(parent(path))
            && let Some(directory) = self.directories.get_mut(number)
        {
            directory.before.remove(name_of(path));
        }
    }

    /// A power cut: each unsynced name is there as it is now, or as it was.
    pub(crate) fn lose(&mut self, kept: &mut dyn FnMut() -> bool) {
        for directory in &mut self.directories {
            for (name, old) in std::mem::take(&mut directory.before) {
                if kept() {
                    continue;
                }
                match old {
                    Some(entry) => directory.entries.insert(name, entry),
                    None => directory.entries.remove(&name),
                };
            }
        }
    }

    /// Files that can still be reached, now or after a power cut. Directories that can not be reached
    /// are dropped.
    pub(crate) fn reachable(&mut self) -> BTreeSet<usize> {
        let (mut files, mut directories) = (BTreeSet::new(), BTreeSet::from([ROOT]));
        let mut found = vec![ROOT];
        while let Some(directory) = found.pop().and_then(|it| self.directories.get(it)) {
            let before = directory.before.values().flatten();
            for entry in directory.entries.values().chain(before) {
                match entry {
                    Entry::File(file) => _ = files.insert(*file),
                    Entry::Directory(number) => {
                        if directories.insert(*number) {
                            found.push(*number);
                        }
                    }
                }
            }
        }
        self.free.clear();
        for (number, directory) in self.directories.iter_mut().enumerate() {
            if !directories.contains(&number) {
                *directory = Directory::default();
                self.free.push(number);
            }
        }
        files
    }

    fn directory(&self, entry: Entry) -> Option<&Directory> {
        match entry {
            Entry::Directory(number) => self.directories.get(number),
            Entry::File(_) => None,
        }
    }

    fn set(&mut self, directory: usize, name: &str, entry: Option<Entry>) {
        if let Some(directory) = self.directories.get_mut(directory) {
            directory.set(name, entry);
        }
    }

    fn make_directory(&mut self, path: &str) -> Option<usize> {
        match self.find(path) {
            Some(Entry::Directory(number)) => return Some(number),
            Some(Entry::File(_)) => return None,
            None => {}
        }
        let above = self.make_directory(parent(path))?;
        let number = self.free.pop().unwrap_or_else(|| {
            self.directories.push(Directory::default());
            self.directories.len() - 1
        });
        self.set(above, name_of(path), Some(Entry::Directory(number)));
        Some(number)
    }
}
