//! This run beside an earlier one.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::failure::Failure;

/// An earlier run's document, read before the run so that a wrong path costs no time.
///
/// # Errors
/// [`Failure::File`], or [`Failure::Usage`] for a file that is no such document.
pub(crate) fn read(path: &Path) -> Result<Value, Failure> {
    let text = fs::read_to_string(path).map_err(Failure::of_file(path))?;
    let wrong = |why: String| Failure::Usage(format!("{}: {why}", path.display()));
    let document: Value = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    if document.pointer("/results/records_per_s").is_none() {
        return Err(wrong("it is not what --json writes".to_owned()));
    }
    Ok(document)
}

/// A table of both runs with their ratios, and the settings in which they differ.
pub(crate) fn table(old: &Value, new: &Value) -> String {
    let mut text = format!(
        "\n{:<26}{:>14}{:>14}{:>10}\n",
        "compared", "then", "now", "ratio"
    );
    for (name, pointer) in FIGURES {
        let (then, now) = (number(old, pointer), number(new, pointer));
        if let (Some(then), Some(now)) = (then, now) {
            let ratio = if then == 0.0 {
                "-".to_owned()
            } else {
                format!("{:.3}", now / then)
            };
            text.push_str(&format!("{name:<26}{then:>14.3}{now:>14.3}{ratio:>10}\n"));
        }
    }
    let differences = differences(old, new);
    if !differences.is_empty() {
        text.push_str(&format!(
            "the runs differ in more than their time: {}\n",
            differences.join(", ")
        ));
    }
    text
}

fn number(document: &Value, pointer: &str) -> Option<f64> {
    document.pointer(pointer)?.as_f64()
}

/// Settings and facts that make figures hard to compare.
fn differences(old: &Value, new: &Value) -> Vec<String> {
    let part = |document: &'static str| {
        let (old, new) = (old.get(document), new.get(document));
        let map = |value: Option<&Value>| value.and_then(Value::as_object).cloned();
        (map(old).unwrap_or_default(), map(new).unwrap_or_default())
    };
    let mut found = Vec::new();
    for (document, ignored) in [("settings", IGNORED_SETTINGS), ("machine", IGNORED_FACTS)] {
        let (old, new) = part(document);
        for key in new.keys().filter(|key| !ignored.contains(&key.as_str())) {
            let (then, now) = (old.get(key), new.get(key));
            if then != now {
                let then = then.map_or_else(|| "unknown".to_owned(), Value::to_string);
                let now = now.map_or_else(String::new, Value::to_string);
                found.push(format!("{key} {then} -> {now}"));
            }
        }
    }
    found
}

const FIGURES: &[(&str, &str)] = &[
    ("records/s", "/results/records_per_s"),
    ("bytes/s", "/results/bytes_per_s"),
    ("p50 ms", "/results/latency/p50_ms"),
    ("p95 ms", "/results/latency/p95_ms"),
    ("p99 ms", "/results/latency/p99_ms"),
    ("p99.9 ms", "/results/latency/p99_9_ms"),
    ("max ms", "/results/latency/max_ms"),
    ("success %", "/results/success_percent"),
    (
        "client CPU s per million",
        "/results/client_cpu_s_per_million",
    ),
];
/// Where, and not how.
const IGNORED_SETTINGS: &[&str] = &["bootstrap_servers", "topic", "timeout_s"];
/// They are never the same.
const IGNORED_FACTS: &[&str] = &["load_average", "cpu_pressure_percent"];

#[cfg(test)]
mod tests {
    use super::{read, table};
    use serde_json::json;

    #[test]
    fn ratios_are_now_over_then() {
        let document = |rate: f64, p99: f64, size: u64| {
            json!({
                "results": {"records_per_s": rate, "latency": {"p99_ms": p99}},
                "settings": {"message_size": size, "topic": "t"},
                "machine": {"cpus": 2, "load_average": "1 2 3"},
            })
        };
        let text = table(&document(100.0, 4.0, 256), &document(150.0, 1.0, 256));
        assert!(text.contains("1.500") && text.contains("0.250"), "{text}");
        assert!(!text.contains("differ"), "{text}");
        let text = table(&document(100.0, 4.0, 256), &document(0.0, 1.0, 512));
        assert!(text.contains("message_size 256 -> 512"), "{text}");
        let text = table(&json!({}), &document(1.0, 1.0, 1));
        assert!(text.contains("cpus unknown -> 2"), "{text}");
    }

    #[test]
    fn only_our_documents_are_taken() {
        let folder = tempfile::tempdir().unwrap();
        let check = |text: &str, expected: bool| {
            let path = folder.path().join("old.json");
            std::fs::write(&path, text).unwrap();
            assert_eq!(read(&path).is_ok(), expected, "{text}");
        };
        check(r#"{"results": {"records_per_s": 1.0}}"#, true);
        check(r#"{"results": {}}"#, false);
        check("[]", false);
        check("no json", false);
        assert!(read(&folder.path().join("missing")).is_err());
    }
}
