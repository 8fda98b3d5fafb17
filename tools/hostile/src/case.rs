//! Files of inputs: what failed once is kept, and run again with every test.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Inputs for one target, which begins anew before the first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Case {
    /// The inputs, in order.
    pub inputs: Vec<Vec<u8>>,
}

impl Case {
    /// One input.
    #[must_use]
    pub fn of(input: &[u8]) -> Self {
        Self {
            inputs: vec![input.to_vec()],
        }
    }

    /// The file: each input behind its length in four bytes, as frames are on the wire.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for input in &self.inputs {
            out.extend(u32::try_from(input.len()).unwrap_or(u32::MAX).to_be_bytes());
            out.extend(input);
        }
        out
    }

    /// Reads a file; what is cut off counts as far as it goes.
    #[must_use]
    pub fn decode(mut bytes: &[u8]) -> Self {
        let mut inputs = Vec::new();
        while let Some((length, rest)) = bytes.split_first_chunk() {
            let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
            let (input, rest) = rest.split_at(length.min(rest.len()));
            inputs.push(input.to_vec());
            bytes = rest;
        }
        Self { inputs }
    }

    /// Writes the case below `folder`, in the target's own folder, named by its content.
    ///
    /// # Errors
    /// The file can not be written.
    pub fn save(&self, folder: &Path, target: &str) -> io::Result<PathBuf> {
        let bytes = self.encode();
        let folder = folder.join(target);
        fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{:08x}.case", crc32c::crc32c(&bytes)));
        fs::write(&path, bytes)?;
        Ok(path)
    }
}

/// The cases of a target below `folder`, with their names, in the order of these.
///
/// # Errors
/// A file can not be read; a folder that is not there has no cases.
pub fn load(folder: &Path, target: &str) -> io::Result<Vec<(String, Case)>> {
    let folder = folder.join(target);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "case") {
            paths.push(path);
        }
    }
    paths.sort();
    let read = |path: PathBuf| {
        let case = Case::decode(&fs::read(&path)?);
        Ok((path.display().to_string(), case))
    };
    paths.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::Case;

    #[test]
    fn cases_come_back() {
        let case = Case {
            inputs: vec![vec![1, 2], Vec::new(), vec![3; 300]],
        };
        assert_eq!(Case::decode(&case.encode()), case);
        assert_eq!(Case::decode(&[0, 0, 0, 9, 7]), Case::of(&[7]));
    }
}
