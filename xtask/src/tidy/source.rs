//! Rust source, cut into code, comments and literals. Not a parser: enough to find words, paths,
//! modules and functions without being fooled by text in strings.

use std::ops::Range;

/// One Rust file.
#[derive(Debug)]
pub(crate) struct Source {
    text: String,
    /// As long as `text`, with everything but code blanked; line breaks stay.
    code: String,
    /// As long as `text`, with everything but comments blanked; line breaks stay.
    comments: String,
}

/// A word, a number, `::`, or one other character of code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) text: &'a str,
    /// Line number, from 1.
    pub(crate) line: usize,
}

/// A path as imported or written: `std::time::Instant`, with the braces of `use` multiplied out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PathUse {
    pub(crate) path: String,
    /// Line number, from 1.
    pub(crate) line: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

impl Source {
    pub(crate) fn new(text: String) -> Self {
        let pieces = pieces(text.as_bytes());
        let view = |kind| blank_all_but(text.as_bytes(), &pieces, kind);
        let (code, comments) = (view(Kind::Code), view(Kind::Comment));
        Self {
            text,
            code,
            comments,
        }
    }

    /// The file as it stands.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The lines of comments, each with its number from 1; blank where there is none.
    pub(crate) fn comment_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.comments.lines())
    }

    /// The lines of code; blank where there is none.
    pub(crate) fn code_lines(&self) -> impl Iterator<Item = &str> {
        self.code.lines()
    }

    /// The code as tokens.
    pub(crate) fn tokens(&self) -> Vec<Token<'_>> {
        let mut tokens = Vec::new();
        for (line, text) in (1..).zip(self.code.lines()) {
            let mut rest = text.trim_start();
            while let Some(first) = rest.chars().next() {
                let length = if is_word(first) {
                    rest.find(|c| !is_word(c)).unwrap_or(rest.len())
                } else if rest.starts_with("::") {
                    2
                } else {
                    first.len_utf8()
                };
                let (text, after) = rest.split_at(length);
                tokens.push(Token { text, line });
                rest = after.trim_start();
            }
        }
        tokens
    }

    /// Every path in the code, single words included.
    pub(crate) fn paths(&self) -> Vec<PathUse> {
        let tokens = self.tokens();
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            // `use` is no part of a path: that of `use ::std::fs` starts at `std`.
            let starts_path = token.is_word() && token.text != "use";
            at = if starts_path {
                read_path(&tokens, at, "", &mut found)
            } else {
                at + 1
            };
        }
        found
    }
}

impl Token<'_> {
    pub(crate) fn is_word(&self) -> bool {
        self.text.starts_with(is_word)
    }
}

/// The text of token `at`; empty past the end.
pub(crate) fn text_at<'a>(tokens: &[Token<'a>], at: usize) -> &'a str {
    tokens.get(at).map_or("", |token| token.text)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Reads the path that starts at `at` and returns the index of what follows it.
fn read_path(tokens: &[Token<'_>], mut at: usize, prefix: &str, found: &mut Vec<PathUse>) -> usize {
    let mut path = prefix.to_owned();
    let line = tokens.get(at).map_or(0, |token| token.line);
    while let Some(token) = tokens.get(at).filter(|token| token.is_word()) {
        if !path.is_empty() {
            path.push_str("::");
        }
        path.push_str(token.text);
        at += 1;
        if text_at(tokens, at) != "::" {
            break;
        }
        at += 1;
        if text_at(tokens, at) == "{" {
            return read_group(tokens, at + 1, &path, found);
        }
    }
    found.push(PathUse { path, line });
    at
}

/// Reads `a, b::{c, d}}` behind `prefix::{` and returns the index after the closing brace.
fn read_group(
    tokens: &[Token<'_>],
    mut at: usize,
    prefix: &str,
    found: &mut Vec<PathUse>,
) -> usize {
    while let Some(token) = tokens.get(at) {
        match token.text {
            "}" => return at + 1,
            _ if token.is_word() => at = read_path(tokens, at, prefix, found),
            _ => at += 1,
        }
    }
    at
}

fn pieces(bytes: &[u8]) -> Vec<(Kind, Range<usize>)> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let (kind, end) = piece(bytes, at);
        pieces.push((kind, at..end));
        at = end;
    }
    pieces
}

/// Kind and end of the piece that starts at `at`; always longer than nothing.
fn piece(bytes: &[u8], at: usize) -> (Kind, usize) {
    let rest = bytes.get(at..).unwrap_or_default();
    let (kind, length) = match rest {
        [b'/', b'/', ..] => (Kind::Comment, position(rest, b"\n").unwrap_or(rest.len())),
        [b'/', b'*', ..] => (Kind::Comment, block_comment(rest)),
        [b'"', ..] => (Kind::Literal, quoted(rest, b'"')),
        [b'\'', b'\\', ..] => (Kind::Literal, quoted(rest, b'\'')),
        [b'\'', ..] => char_literal(rest),
        [first, ..] if first.is_ascii_alphabetic() || *first == b'_' => word(rest),
        _ => (Kind::Code, 1),
    };
    (kind, at + length.clamp(1, rest.len().max(1)))
}

/// Length of a block comment; they nest.
fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(pair) = rest.get(at..at + 2) {
        match pair {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" if depth == 1 => return at + 2,
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    rest.len()
}

/// Length of a literal with escapes, both quotes included.
fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while let Some(&byte) = rest.get(at) {
        at += if byte == b'\\' { 2 } else { 1 };
        if byte == quote {
            return at;
        }
    }
    rest.len()
}

/// A character literal without escape, or the quote of a lifetime.
fn char_literal(rest: &[u8]) -> (Kind, usize) {
    let end = (2..=5).find(|&at| rest.get(at) == Some(&b'\''));
    match (end, rest.get(1)) {
        (Some(end), Some(byte)) if end == 2 || !byte.is_ascii() => (Kind::Literal, end + 1),
        _ => (Kind::Code, 1),
    }
}

/// A word, or a raw string where the word is its prefix.
fn word(rest: &[u8]) -> (Kind, usize) {
    let is_end = |byte: &u8| !(byte.is_ascii_alphanumeric() || *byte == b'_');
    let length = rest.iter().position(is_end).unwrap_or(rest.len());
    let (word, after) = rest.split_at(length);
    let hashes = after.iter().take_while(|&&byte| byte == b'#').count();
    let is_raw = matches!(word, b"r" | b"br" | b"cr") && after.get(hashes) == Some(&b'"');
    if !is_raw {
        return (Kind::Code, length);
    }
    let mut end_mark = vec![b'"'];
    end_mark.resize(1 + hashes, b'#');
    let body = length + hashes + 1;
    let end = rest.get(body..).and_then(|text| position(text, &end_mark));
    (
        Kind::Literal,
        end.map_or(rest.len(), |end| body + end + end_mark.len()),
    )
}

fn position(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

fn blank_all_but(bytes: &[u8], pieces: &[(Kind, Range<usize>)], kept: Kind) -> String {
    let show = |kind, byte: u8| {
        if kind == kept || byte == b'\n' {
            char::from(byte)
        } else {
            ' '
        }
    };
    let is_shown = |byte: &u8| byte.is_ascii();
    let piece = |(kind, range): &(Kind, Range<usize>)| {
        let kind = *kind;
        let bytes = bytes.get(range.clone()).unwrap_or_default();
        bytes.iter().copied().map(move |byte| {
            if is_shown(&byte) {
                show(kind, byte)
            } else {
                ' '
            }
        })
    };
    pieces.iter().flat_map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::Source;

    #[test]
    fn comments_and_literals_are_not_code() {
        let check = |text: &str, expected: &[&str]| {
            let source = Source::new(text.to_owned());
            let tokens: Vec<_> = source.tokens().iter().map(|token| token.text).collect();
            assert_eq!(tokens, expected, "{text}");
        };
        check("a // b", &["a"]);
        check("a /* b /* c */ d */ e", &["a", "e"]);
        check(r#"a("b \" c") d"#, &["a", "(", ")", "d"]);
        check(r##"a(r#"b " c"#) d"##, &["a", "(", ")", "d"]);
        check("r#type", &["r", "#", "type"]);
        check("br\"\\\" x", &["x"]);
        check("b'x' y", &["b", "y"]);
        check("'\\'' '\"' x", &["x"]);
        check("'\u{e9}' x", &["x"]);
        check("&'a str", &["&", "'", "a", "str"]);
        check("f('a', 'b')", &["f", "(", ",", ")"]);
        check("x \"never closed", &["x"]);
        check("x /* never closed", &["x"]);
        check("x '", &["x", "'"]);
    }

    #[test]
    fn lines_keep_their_numbers() {
        let source = Source::new("a\n/* b\n c */ d \"e\n f\" g // h".to_owned());
        let lines: Vec<_> = source.tokens().iter().map(|t| (t.text, t.line)).collect();
        assert_eq!(lines, [("a", 1), ("d", 3), ("g", 4)]);
        let (line, comment) = source.comment_lines().last().unwrap();
        assert_eq!((line, comment.trim()), (4, "// h"));
    }

    #[test]
    fn paths_are_multiplied_out() {
        let check = |text: &str, expected: &[&str]| {
            let source = Source::new(text.to_owned());
            let paths: Vec<_> = source.paths().into_iter().map(|found| found.path).collect();
            assert_eq!(paths, expected, "{text}");
        };
        check("std::fs::read(x)", &["std::fs::read", "x"]);
        check(
            "use ::a::{b, c::{self, d}, e::*};",
            &["a::b", "a::c::self", "a::c::d", "a::e"],
        );
        check("Vec::<u8>::new()", &["Vec", "u8", "new"]);
        check("a :: b", &["a::b"]);
    }
}
