use std::io::Cursor;

use bytes::Bytes;
use clap::Parser;

use super::{RecordSource, read_line};
use crate::args::ProduceArgs;
use crate::error::CliError;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: ProduceArgs,
}

fn source(line: &str) -> RecordSource {
    let words = ["produce", "t"].into_iter().chain(line.split_whitespace());
    RecordSource::new(&Line::try_parse_from(words).unwrap().args)
}

#[test]
fn lines_become_keys_and_values() {
    let check = |options: &str, line: &'static str, key: Option<&str>, value: &str| {
        let record = source(options).record(Bytes::from_static(line.as_bytes()), String::new);
        let record = record.unwrap();
        assert_eq!(
            record.key.as_deref(),
            key.map(str::as_bytes),
            "{options} {line}"
        );
        assert_eq!(record.value, value.as_bytes(), "{options} {line}");
    };
    check("", "a:b", None, "a:b");
    check("-K :", "a:b:c", Some("a"), "b:c");
    check("-K =>", "a=>b", Some("a"), "b");
    check("-K :", ":", Some(""), "");
    check("-k fixed", "a:b", Some("fixed"), "a:b");
}

#[test]
fn a_line_without_the_separator_is_named() {
    let error = source("-K :").record(Bytes::from_static(b"ab"), || "line 7".to_owned());
    assert!(matches!(error, Err(CliError::Usage(text)) if text.starts_with("line 7 has no key")));
}

#[test]
fn lines_end_at_line_feeds_and_at_the_end() {
    let mut input = Cursor::new(b"a\n\nb\r\nlast".as_slice());
    let mut lines = Vec::new();
    while let Some(line) = read_line(&mut input, 1).unwrap() {
        lines.push(line);
    }
    assert_eq!(lines, ["a", "", "b\r", "last"].map(Bytes::from));
}
