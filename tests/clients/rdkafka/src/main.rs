//! The client suite of the rdkafka crate. How it is started and what it prints is told in `tests/README.md`.

mod admin;
mod client;
mod errors;
mod groups;
mod records;
mod report;

use client::Session;
use report::{Outcome, Report};

type Check = fn(&Session) -> Outcome;

const CHECKS: &[(&str, Check)] = &[
    ("create-topic", admin::create_topic),
    ("produce-none", |session| records::produce(session, "none")),
    ("produce-gzip", |session| records::produce(session, "gzip")),
    ("produce-snappy", |session| records::produce(session, "snappy")),
    ("produce-lz4", |session| records::produce(session, "lz4")),
    ("produce-zstd", |session| records::produce(session, "zstd")),
    ("round-trip", records::round_trip),
    ("consume-from-start", records::consume_from_start),
    ("consume-by-offset", records::consume_by_offset),
    ("consume-by-time", records::consume_by_time),
    ("group-of-two", |session| groups::share(session, "classic")),
    ("group-resume-after-restart", groups::resume),
    ("consumer-protocol", |session| groups::share(session, "consumer")),
    ("admin-configs", admin::configs),
    ("admin-partitions", admin::partitions),
    ("admin-delete-records", admin::delete_records),
    ("admin-groups", groups::admin),
    ("admin-offsets", admin::offsets),
    ("error-too-large", errors::too_large),
    ("error-unknown-topic", errors::unknown_topic),
    ("error-bad-version", errors::bad_version),
    ("error-fenced-member", groups::fenced),
    ("delete-and-recreate", admin::recreate),
    ("idempotent-producer", records::idempotent),
    ("transactions", records::transactions),
];

/// Runs the checks named on the command line, or all.
fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let session = Session::from_environment();
    let report = Report::begin("rdkafka", &client::version());
    for (name, check) in CHECKS {
        if wanted.is_empty() || wanted.iter().any(|one| one == name) {
            report.run(name, || check(&session));
        }
    }
    // Members that a failed check left behind must not keep the process.
    std::process::exit(0);
}
