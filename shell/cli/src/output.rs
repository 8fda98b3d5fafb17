//! Results as aligned columns or JSON.

use std::borrow::Cow;
use std::io::{self, Write};

use chronik_model::ErrorCode;
use serde_json::{Map, Value, json};

use crate::args::OutputFormat;
use crate::error::CliError;

/// Rows under column names; written as text for people, as a list of objects for programs.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<&'static str>,
    rows: Vec<Vec<Value>>,
}

impl Table {
    /// An empty table. The names are the keys in JSON; in text they are in capitals.
    pub(crate) fn new(columns: impl Into<Vec<&'static str>>) -> Self {
        Self {
            columns: columns.into(),
            rows: Vec::new(),
        }
    }

    /// Appends a row with one cell per column.
    pub(crate) fn push(&mut self, row: Vec<Value>) {
        debug_assert_eq!(row.len(), self.columns.len());
        self.rows.push(row);
    }

    /// Whether there is no row.
    pub(crate) const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows as a list of objects.
    pub(crate) fn to_json(&self) -> Value {
        let object = |row: &Vec<Value>| {
            let cells = self.columns.iter().zip(row);
            Value::Object(
                cells
                    .map(|(name, cell)| ((*name).to_owned(), cell.clone()))
                    .collect(),
            )
        };
        Value::Array(self.rows.iter().map(object).collect())
    }

    /// Writes the table in the wanted form.
    pub(crate) fn write(&self, format: OutputFormat, out: &mut dyn Write) -> io::Result<()> {
        match format {
            OutputFormat::Table => self.write_text(out),
            OutputFormat::Json => write_json(&self.to_json(), out),
        }
    }

    /// Writes aligned columns, two spaces apart.
    pub(crate) fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let header = self
            .columns
            .iter()
            .map(|name| name.to_uppercase().replace('_', "-"));
        let mut lines = vec![header.collect::<Vec<_>>()];
        lines.extend(
            self.rows
                .iter()
                .map(|row| row.iter().map(cell_text).collect()),
        );
        let mut widths = vec![0; self.columns.len()];
        for line in &lines {
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = cell.chars().count().max(*width);
            }
        }
        for line in &lines {
            let cells = line.iter().zip(&widths);
            let padded: Vec<String> = cells
                .map(|(cell, width)| format!("{cell:<width$}", width = *width))
                .collect();
            writeln!(out, "{}", padded.join("  ").trim_end())?;
        }
        Ok(())
    }
}

/// One JSON value, indented.
pub(crate) fn write_json(value: &Value, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{value:#}")
}

/// An object from names and values.
pub(crate) fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let fields = fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    Value::Object(fields.collect::<Map<_, _>>())
}

/// Text without control characters, which could rewrite the reader's terminal.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Milliseconds since the epoch as an RFC 3339 time in UTC; a bare number outside years 0 to 9999.
pub(crate) fn timestamp(epoch_ms: i64) -> String {
    let days = epoch_ms.div_euclid(MS_PER_DAY);
    let ms = epoch_ms.rem_euclid(MS_PER_DAY);
    // Days since 0000-03-01, so that the leap day ends a year; 400 years are a full cycle.
    let shifted = days + DAYS_TO_EPOCH;
    let cycle = shifted.div_euclid(DAYS_PER_CYCLE);
    let day = shifted.rem_euclid(DAYS_PER_CYCLE);
    let year_of_cycle = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = cycle * 400 + year_of_cycle + carry;
    if !(0..=9_999).contains(&year) {
        return epoch_ms.to_string();
    }
    let (hours, minutes) = (ms / 3_600_000, ms / 60_000 % 60);
    let (seconds, ms) = (ms / 1_000 % 60, ms % 1_000);
    format!("{year:04}-{month:02}-{day_of_month:02}T{hours:02}:{minutes:02}:{seconds:02}.{ms:03}Z")
}

fn cell_text(cell: &Value) -> String {
    match cell {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => plain(text).into_owned(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(cell_text).collect::<Vec<_>>().join(","),
        Value::Object(_) => cell.to_string(),
    }
}

const MS_PER_DAY: i64 = 86_400_000;
const DAYS_PER_CYCLE: i64 = 146_097;
const DAYS_TO_EPOCH: i64 = 719_468;

/// What became of each thing: successes are printed even when others failed.
#[derive(Debug)]
pub(crate) struct Outcomes {
    table: Table,
    failures: Vec<CliError>,
}

impl Outcomes {
    /// Nothing yet, about things that the column `what` names.
    pub(crate) fn new(what: &'static str) -> Self {
        Self {
            table: Table::new(vec![what, "result"]),
            failures: Vec::new(),
        }
    }

    /// Notes how one went.
    pub(crate) fn add(
        &mut self,
        what: &str,
        name: &str,
        result: &str,
        code: i16,
        message: Option<&str>,
    ) {
        if code == ErrorCode::None.code() {
            self.table.push(vec![json!(name), json!(result)]);
        } else {
            self.failures
                .push(CliError::refused(format!("{what} {name}"), code, message));
        }
    }

    /// Prints the successes and fails with the first failure, naming how many there were.
    pub(crate) fn finish(
        mut self,
        format: OutputFormat,
        out: &mut dyn Write,
    ) -> Result<(), CliError> {
        if self.failures.is_empty() || !self.table.is_empty() {
            self.table.write(format, out)?;
        }
        let more = self.failures.len().saturating_sub(1);
        match self.failures.drain(..).next() {
            None => Ok(()),
            Some(first) if more == 0 => Err(first),
            Some(first) => Err(CliError::Several {
                first: Box::new(first),
                more,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Table, plain, timestamp};
    use crate::args::OutputFormat;
    use serde_json::{Value, json};

    fn sample() -> Table {
        let mut table = Table::new(["name", "in_sync", "leader"]);
        table.push(vec![json!("orders"), json!([1, 2, 3]), json!(1)]);
        table.push(vec![json!("a\u{1b}[2J"), json!([]), Value::Null]);
        table
    }

    fn written(format: OutputFormat) -> String {
        let mut out = Vec::new();
        sample().write(format, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_aligned_and_lines_have_no_trailing_blanks() {
        let expected = "NAME        IN-SYNC  LEADER\n\
                        orders      1,2,3    1\n\
                        a\\u{1b}[2J  -        -\n";
        assert_eq!(written(OutputFormat::Table), expected);
    }

    #[test]
    fn json_is_a_list_of_objects() {
        let value: Value = serde_json::from_str(&written(OutputFormat::Json)).unwrap();
        let expected = json!([
            {"name": "orders", "in_sync": [1, 2, 3], "leader": 1},
            {"name": "a\u{1b}[2J", "in_sync": [], "leader": null},
        ]);
        assert_eq!(value, expected);
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(plain("tab\there"), "tab\\there");
        assert_eq!(plain("no change"), "no change");
    }

    #[test]
    fn timestamps_are_utc() {
        let check = |epoch_ms: i64, expected: &str| assert_eq!(timestamp(epoch_ms), expected);
        check(0, "1970-01-01T00:00:00.000Z");
        check(-1, "1969-12-31T23:59:59.999Z");
        check(951_782_400_000, "2000-02-29T00:00:00.000Z");
        check(1_709_251_199_999, "2024-02-29T23:59:59.999Z");
        check(1_709_251_200_000, "2024-03-01T00:00:00.000Z");
        check(4_107_542_399_000, "2100-02-28T23:59:59.000Z");
        check(4_107_542_400_000, "2100-03-01T00:00:00.000Z");
        check(i64::MAX, "9223372036854775807");
        check(i64::MIN, "-9223372036854775808");
    }
}
