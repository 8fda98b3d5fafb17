//! Why a server does not start with what it was told.

use std::error::Error;
use std::fmt;

/// Status of a process whose command line asks for something that does not exist.
pub(crate) const EXIT_USAGE: u8 = 2;
/// Status of a process whose configuration is wrong (`EX_CONFIG` of sysexits).
pub(crate) const EXIT_CONFIG: u8 = 78;

/// A capability that was asked for and does not exist in this version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotBuilt(String);

impl NotBuilt {
    /// `message` says what is missing and what to do instead, in one line.
    pub(crate) const fn new(message: String) -> Self {
        Self(message)
    }
}

impl fmt::Display for NotBuilt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for NotBuilt {}

/// Everything that is wrong with a configuration, one line each, so that it can be mended at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ConfigFailure {
    invalid: Vec<String>,
    not_built: Vec<String>,
}

impl ConfigFailure {
    /// One wrong setting.
    pub(crate) fn invalid(problem: impl Into<String>) -> Self {
        Self {
            invalid: vec![problem.into()],
            not_built: Vec::new(),
        }
    }

    /// Adds a wrong setting.
    pub(crate) fn add(&mut self, problem: impl Into<String>) {
        self.invalid.push(problem.into());
    }

    /// Adds a setting that asks for something that does not exist yet.
    pub(crate) fn add_not_built(&mut self, problem: impl Into<String>) {
        self.not_built.push(problem.into());
    }

    /// Adds all that is wrong elsewhere.
    pub(crate) fn absorb(&mut self, mut other: Self) {
        self.invalid.append(&mut other.invalid);
        self.not_built.append(&mut other.not_built);
    }

    /// `value` if nothing is wrong.
    ///
    /// # Errors
    /// This failure, if something was added to it.
    pub(crate) fn unless_any<T>(self, value: T) -> Result<T, Self> {
        if self.invalid.is_empty() && self.not_built.is_empty() {
            Ok(value)
        } else {
            Err(self)
        }
    }

    /// Status of the process: [`EXIT_CONFIG`], or [`EXIT_USAGE`] when all that stands in the way is
    /// what this version can not do.
    pub(crate) const fn exit_status(&self) -> u8 {
        if self.invalid.is_empty() {
            EXIT_USAGE
        } else {
            EXIT_CONFIG
        }
    }
}

impl From<NotBuilt> for ConfigFailure {
    fn from(missing: NotBuilt) -> Self {
        Self {
            invalid: Vec::new(),
            not_built: vec![missing.0],
        }
    }
}

impl fmt::Display for ConfigFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for problem in self.invalid.iter().chain(&self.not_built) {
            write!(f, "{separator}{problem}")?;
            separator = "\n";
        }
        Ok(())
    }
}

impl Error for ConfigFailure {}
