//! What the race is run on.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::stats::quantile;

/// Facts for people and files.
pub(super) fn facts(folder: &Path) -> Value {
    let memory = field("/proc/meminfo", "MemTotal").and_then(|text| {
        let kib = text.split_whitespace().next()?.parse::<f64>().ok()?;
        Some((kib * 1_024.0 / 1e9).round())
    });
    json!({
        "cpu": field("/proc/cpuinfo", "model name"),
        "cpus": std::thread::available_parallelism().map_or(0, usize::from),
        "memory_gb": memory,
        "kernel": read("/proc/sys/kernel/osrelease"),
        "disk": said(Command::new("df").args(["--output=source,fstype"]).arg(folder)),
        "java": java_version(),
        "date": said(Command::new("date").args(["-u", "+%Y-%m-%d"])),
        "commit": said(Command::new("git").args(["describe", "--always", "--dirty"])),
        "load_average": load_average(),
    })
}

/// Of 1, 5 and 15 minutes.
pub(super) fn load_average() -> String {
    let text = read("/proc/loadavg");
    let words: Vec<&str> = text.split_whitespace().take(3).collect();
    words.join(" ")
}

/// The median time of a synchronous write of 4 KiB over what is there already, in microseconds.
pub(super) fn device_sync_us(folder: &Path) -> Result<f64, String> {
    let path = folder.join("sync-probe");
    let measured = sync_times(&path).map_err(|error| format!("{}: {error}", path.display()));
    // The folder goes at the end in any case.
    drop(fs::remove_file(&path));
    quantile(&measured?, 0.5).ok_or_else(|| "no write was made".to_owned())
}

fn sync_times(path: &Path) -> std::io::Result<Vec<f64>> {
    let block = [7_u8; 4096];
    let mut file = File::create(path)?;
    for _block in 0..PROBE_BLOCKS {
        file.write_all(&block)?;
    }
    file.sync_all()?;
    let mut file = File::options()
        .write(true)
        .custom_flags(O_DSYNC)
        .open(path)?;
    let started = Instant::now();
    let mut times = Vec::new();
    for round in 0..PROBE_WRITES {
        file.seek(SeekFrom::Start(round % PROBE_BLOCKS * 4096))?;
        let before = Instant::now();
        file.write_all(&block)?;
        times.push(before.elapsed().as_secs_f64() * 1e6);
        if started.elapsed() > PROBE_TIME {
            break;
        }
    }
    Ok(times)
}

fn java_version() -> String {
    let output = Command::new("java").arg("-version").output();
    let text = output.map_or_else(|_| Vec::new(), |output| output.stderr);
    let text = String::from_utf8_lossy(&text);
    text.lines().next().unwrap_or_default().to_owned()
}

/// The last line of what a command says.
fn said(command: &mut Command) -> String {
    let output = command.output().map_or_else(|_| Vec::new(), |it| it.stdout);
    let text = String::from_utf8_lossy(&output);
    let last = text.lines().last().unwrap_or_default();
    last.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn field(path: &str, name: &str) -> Option<String> {
    read(path).lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}

fn read(path: &str) -> String {
    fs::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// Of Linux on every processor we build for.
const O_DSYNC: i32 = 0o10000;
const PROBE_BLOCKS: u64 = 1_024;
const PROBE_WRITES: u64 = 1_000;
const PROBE_TIME: Duration = Duration::from_millis(500);
