//! Where a test was when it panicked.

use std::fmt;
use std::thread;

/// Prints its words when it is dropped by a panic: of the thousands of crashes that a test goes through,
/// they name the one.
#[derive(Debug)]
pub struct Where<'a>(pub fmt::Arguments<'a>);

impl Drop for Where<'_> {
    #[expect(
        clippy::print_stderr,
        reason = "a panic has no other way to say where it was"
    )]
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.0);
        }
    }
}
