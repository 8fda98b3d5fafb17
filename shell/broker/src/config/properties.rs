//! `server.properties`, in the syntax of Java.

use java_properties::{LineContent, PropertiesIter};

use super::failure::ConfigFailure;
use super::settings::{Origin, Setting};

/// Reads the text of the file that people call `file`. As in Java the text is Latin-1 with `\u`
/// escapes; a key that is written twice keeps its last value.
///
/// # Errors
/// A line is not a property.
pub(super) fn read(file: &str, bytes: &[u8]) -> Result<Vec<Setting>, ConfigFailure> {
    let mut settings = Vec::new();
    for line in PropertiesIter::new(bytes) {
        let line = line.map_err(|error| {
            let line = error
                .line_number()
                .map(|line| format!(":{line}"))
                .unwrap_or_default();
            ConfigFailure::invalid(format!("{file}{line}: not a property: {error}"))
        })?;
        let number = line.line_number();
        if let LineContent::KVPair(name, value) = line.consume_content() {
            let origin = Origin::File {
                file: file.to_owned(),
                line: Some(number),
            };
            settings.push(Setting::new(name.trim(), &value, origin));
        }
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn javas_syntax_is_understood() {
        let check = |text: &str, expected: &[(&str, &str, usize)]| {
            let settings = read("f", text.as_bytes()).unwrap();
            let found: Vec<_> = settings
                .iter()
                .map(|setting| {
                    let Origin::File {
                        line: Some(line), ..
                    } = setting.origin
                    else {
                        panic!("{setting:?} has no line");
                    };
                    (setting.name.as_str(), setting.value.as_str(), line)
                })
                .collect();
            assert_eq!(found, expected, "{text:?}");
        };
        check("", &[]);
        check("# only\n! comments\n\n", &[]);
        check(
            "a=1\n\n b : 2 \nc 3\n",
            &[("a", "1", 1), ("b", "2", 3), ("c", "3", 4)],
        );
        check("a=1,\\\n   2\nb=\n", &[("a", "1,2", 1), ("b", "", 3)]);
        check("a=\\u0041\r\n", &[("a", "A", 1)]);
        check("a=1\na=2\n", &[("a", "1", 1), ("a", "2", 2)]);
    }

    #[test]
    fn broken_escapes_are_refused_with_their_line() {
        let failure = read("f", b"a=1\nb=\\u00g0\n").expect_err("a broken escape");
        assert!(failure.to_string().starts_with("f:2: "), "{failure}");
    }
}
