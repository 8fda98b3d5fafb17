//! Subscriptions by regular expression.
//!
//! A pattern has to match a topic's whole name. Matching takes time linear in the name, and both the
//! pattern's text and what it compiles to are bounded, so no pattern is dear. Kafka's engine is
//! RE2/J; the syntax of both is that of RE2 for all that subscriptions are made of. Topics that
//! Kafka calls internal are matched like others, as Kafka's coordinator does it.

use std::collections::BTreeSet;

use regex::RegexBuilder;

use crate::topics::Topics;

/// Longest pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 4_096;

/// Largest compiled pattern, and largest cache while matching, in bytes.
const MAX_COMPILED_BYTES: usize = 256 << 10;

/// Deepest nesting of groups and repetitions.
const MAX_NESTING: u32 = 50;

/// A pattern that can be matched.
#[derive(Debug)]
pub(crate) struct Pattern(regex::Regex);

impl Pattern {
    /// Compiles `pattern`.
    ///
    /// # Errors
    /// Why it is not a regular expression, or not one that is served, in a sentence without an end.
    pub(crate) fn new(pattern: &str) -> Result<Self, String> {
        if pattern.len() > MAX_PATTERN_BYTES {
            return Err(format!("longer than {MAX_PATTERN_BYTES} bytes"));
        }
        let pattern = unquote(pattern);
        // Alone first: what is no pattern by itself could become one within the anchors.
        compile(&pattern)?;
        compile(&format!(r"\A(?:{pattern})\z")).map(Self)
    }

    /// Names of the topics that match.
    pub(crate) fn resolve(&self, topics: &dyn Topics) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        topics.for_each(&mut |topic| {
            if self.0.is_match(topic.name) {
                names.insert(topic.name.to_owned());
            }
        });
        names
    }
}

fn compile(pattern: &str) -> Result<regex::Regex, String> {
    RegexBuilder::new(pattern)
        .size_limit(MAX_COMPILED_BYTES)
        .dfa_size_limit(MAX_COMPILED_BYTES)
        .nest_limit(MAX_NESTING)
        .build()
        .map_err(|error| reason(&error))
}

/// The last line of what the parser says; the lines before it draw the place.
fn reason(error: &regex::Error) -> String {
    if matches!(error, regex::Error::CompiledTooBig(_)) {
        return "it compiles to something too large".to_owned();
    }
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}

/// Replaces `\Q...\E`, which RE2 has and the engine here has not, by the escaped text.
fn unquote(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        if let Some(quoted) = escape.strip_prefix(r"\Q") {
            let (text, after) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
            out.push_str(&regex::escape(text));
            rest = after;
            continue;
        }
        let escaped = escape.chars().nth(1).map_or(0, char::len_utf8);
        let (pair, after) = escape.split_at(1 + escaped);
        out.push_str(pair);
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::{MAX_PATTERN_BYTES, Pattern};

    #[test]
    fn patterns_match_whole_names() {
        let check = |pattern: &str, name: &str, expected: bool| {
            let pattern = Pattern::new(pattern).unwrap();
            assert_eq!(pattern.0.is_match(name), expected, "{pattern:?} on {name}");
        };
        check("orders", "orders", true);
        check("orders", "orders-2", false);
        check("orders", "my-orders", false);
        check("a|ab", "ab", true);
        check("orders.*", "orders-2", true);
        check("^orders$", "orders", true);
        check("(?i)ORDERS", "orders", true);
        check(r"\Qa.b\E.*", "a.bc", true);
        check(r"\Qa.b\E.*", "axbc", false);
        check(r"\\Q", r"\Q", true);
        check("", "orders", false);
        check("__.*", "__consumer_offsets", true);
    }

    #[test]
    fn what_is_no_pattern_or_too_dear_is_refused() {
        let check = |pattern: &str| {
            let refused = Pattern::new(pattern).unwrap_err();
            assert!(!refused.is_empty() && !refused.contains('\n'), "{refused}");
        };
        check("(");
        check("a)|(b");
        check("*");
        check("[a");
        check(r"(?=look)");
        check(r"(a)\1");
        check("(((((a{100}){100}){100}){100}){100})");
        check(r"\pL{1000}");
        check(&"(".repeat(1_000));
        check(&format!("{}a{}", "(".repeat(100), ")".repeat(100)));
        check(&"a".repeat(MAX_PATTERN_BYTES + 1));
    }
}
