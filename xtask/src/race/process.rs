//! Child processes that end when we do, and what the kernel says about them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// A child whose output goes to a file; dropped, it is killed.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it in a folder, without the variables that are meant for the measurement.
    pub(super) fn spawn(command: &[String], folder: &Path, log: &Path) -> Result<Self, String> {
        let problem = |error| format!("{}: {error}", command.join(" "));
        let out = File::options().create(true).append(true).open(log);
        let out = out.map_err(problem)?;
        let mut child = ending_with_us();
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CHRONIK_") || text.starts_with("KAFKA_") {
                child.env_remove(&name);
            }
        }
        let child = child
            .args(command)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(out.try_clone().map_err(problem)?)
            .stderr(out)
            .spawn()
            .map_err(problem)?;
        Ok(Self {
            child,
            log: log.to_owned(),
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for its end; after `deadline` it is killed.
    pub(super) fn wait(&mut self, deadline: Duration) -> Result<ExitStatus, String> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                return Ok(status);
            }
            if started.elapsed() > deadline {
                self.kill();
                let seconds = deadline.as_secs();
                return Err(format!("no end after {seconds} s; {}", self.last_words()));
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// SIGKILL, and reaped. One that has ended is no problem.
    pub(super) fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// The end of what it wrote.
    pub(super) fn last_words(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let last = lines.get(lines.len().saturating_sub(LAST_LINES)..);
        format!("its last words:\n{}", last.unwrap_or_default().join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs something short to its end.
pub(super) fn run(command: &[String], folder: &Path, deadline: Duration) -> Result<(), String> {
    let log = folder.join("command.log");
    let mut process = Process::spawn(command, folder, &log)?;
    let status = process.wait(deadline)?;
    if status.success() {
        return Ok(());
    }
    let words = process.last_words();
    Err(format!("{}: {status}; {words}", command.join(" ")))
}

/// The beginning of a command line: util-linux sees to it that the child dies with us, also when we
/// are killed. Where it is missing, only an orderly end takes the child along.
fn ending_with_us() -> Command {
    static HAS_SETPRIV: OnceLock<bool> = OnceLock::new();
    let has = *HAS_SETPRIV.get_or_init(|| {
        let probe = Command::new("setpriv").arg("--version").output();
        probe.is_ok_and(|output| output.status.success())
    });
    if has {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]);
        command
    } else {
        Command::new("env")
    }
}

/// What the kernel has counted for every thread of a process.
#[derive(Debug)]
pub(super) struct Counters {
    /// By thread: CPU seconds, and how often it has gone to sleep by itself.
    threads: BTreeMap<OsString, (f64, f64)>,
}

impl Counters {
    /// Up to now.
    pub(super) fn of(pid: u32) -> Self {
        let entries = fs::read_dir(format!("/proc/{pid}/task"));
        let entries = entries.into_iter().flatten().flatten();
        // A thread may end between two reads.
        let threads = entries.filter_map(|entry| {
            let read = |file| fs::read_to_string(entry.path().join(file)).ok();
            let nanos: f64 = read("schedstat")?.split_whitespace().next()?.parse().ok()?;
            let sleeps = field(&read("status")?, "voluntary_ctxt_switches")?;
            Some((entry.file_name(), (nanos / 1e9, sleeps)))
        });
        Self {
            threads: threads.collect(),
        }
    }

    /// CPU seconds and wake-ups since `before`, of the threads that are still there.
    pub(super) fn since(&self, before: &Self) -> (f64, f64) {
        let mut sums = (0.0, 0.0);
        for (thread, (cpu, sleeps)) in &self.threads {
            let (cpu_before, sleeps_before) = before.threads.get(thread).unwrap_or(&(0.0, 0.0));
            sums.0 += cpu - cpu_before;
            sums.1 += sleeps - sleeps_before;
        }
        sums
    }
}

/// Memory in MB: what is held now and what was held at most since [`forget_peak`].
pub(super) fn memory_mb(pid: u32) -> (f64, f64) {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mb = |name| field(&text, name).map_or(f64::NAN, |kib| kib * 1_024.0 / 1e6);
    (mb("VmRSS"), mb("VmHWM"))
}

/// From now on the peak is counted anew.
pub(super) fn forget_peak(pid: u32) {
    // Peaks then contain those of earlier workloads, which is what they are without this.
    drop(fs::write(format!("/proc/{pid}/clear_refs"), "5"));
}

/// Raises the soft limit of open files to the hard one, for this process and those that it starts:
/// ten thousand connections and partitions need as many.
pub(super) fn allow_open_files() {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let Some(hard) = line.and_then(|line| line.split_whitespace().nth(1)) else {
        return;
    };
    let pid = std::process::id();
    let mut command = Command::new("prlimit");
    command.args([format!("--pid={pid}"), format!("--nofile={hard}:{hard}")]);
    // Without it the limit may do; what it is too low for says so.
    drop(command.output());
}

/// The number in the line `name: number`.
fn field(text: &str, name: &str) -> Option<f64> {
    let rest = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Words of a command line.
pub(super) fn words<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> Vec<String> {
    let text = |word: S| word.as_ref().to_string_lossy().into_owned();
    words.into_iter().map(text).collect()
}

const LOOK_AGAIN: Duration = Duration::from_millis(5);
const LAST_LINES: usize = 15;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Counters, Process, field, memory_mb, words};

    #[test]
    fn fields_of_proc_files_are_numbers() {
        let text = "Name:\tjava\nVmHWM:\t  1234 kB\nnonvoluntary_ctxt_switches:\t9\n";
        assert_eq!(field(text, "VmHWM"), Some(1234.0));
        assert_eq!(field(text, "voluntary_ctxt_switches"), None);
        assert_eq!(field(text, "Name"), None);
    }

    #[test]
    fn a_process_ends_at_its_deadline() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut process = Process::spawn(&words(["sleep", "60"]), folder.path(), &log).unwrap();
        assert!(memory_mb(process.pid()).1 > 0.0);
        assert!(process.wait(Duration::from_millis(50)).is_err());
        assert!(process.ended().is_some());
    }

    #[test]
    fn our_own_work_takes_cpu() {
        let pid = std::process::id();
        let before = Counters::of(pid);
        let mut sum = 0_u64;
        while Counters::of(pid).since(&before).0 <= 0.0 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
    }

    #[test]
    fn threads_that_ended_take_nothing_away() {
        let counters = |threads: &[(&str, (f64, f64))]| Counters {
            threads: threads.iter().map(|(id, it)| ((*id).into(), *it)).collect(),
        };
        let before = counters(&[("1", (5.0, 10.0)), ("2", (7.0, 20.0))]);
        let after = counters(&[("1", (6.0, 13.0)), ("3", (0.5, 1.0))]);
        assert_eq!(after.since(&before), (1.5, 4.0));
    }
}
