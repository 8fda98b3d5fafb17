//! The bodies of requests as a small language, so that every version of every API can be written
//! with values that lead somewhere.
//!
//! ```text
//! name@9-     a value of the kind `name`, in versions 9 and up; `@-8` up to 8, `@8-10` between
//! name?       may be null
//! [a b]       array of structs        <a>   array of bare values       {a b}?   optional struct
//! ```

use std::ops::RangeInclusive;
use std::str::FromStr;

/// One field of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// What it holds.
    pub kind: Kind,
    /// Whether null is allowed.
    pub nullable: bool,
    /// Versions that have it.
    pub versions: RangeInclusive<i16>,
}

/// What a field holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A value by the name of what it means; [`crate::requests`] knows them.
    Value(&'static str),
    /// Structs, each with tagged fields behind it in flexible versions.
    Structs(Vec<Field>),
    /// Bare values.
    Values(Box<Field>),
    /// One struct that may be missing.
    Optional(Vec<Field>),
}

/// Reads the fields of one body.
///
/// # Panics
/// The text is no schema: it stands in this crate.
#[must_use]
pub fn parse(text: &'static str) -> Vec<Field> {
    let mut parser = Parser { rest: text };
    let fields = parser.fields();
    assert!(parser.rest.is_empty(), "behind the schema: {}", parser.rest);
    fields
}

struct Parser {
    rest: &'static str,
}

impl Parser {
    fn fields(&mut self) -> Vec<Field> {
        let mut fields = Vec::new();
        loop {
            self.rest = self.rest.trim_start();
            match self.rest.as_bytes().first() {
                None | Some(b']' | b'>' | b'}') => return fields,
                Some(_) => fields.push(self.field()),
            }
        }
    }

    fn field(&mut self) -> Field {
        let kind = if self.eat('[') {
            let kind = Kind::Structs(self.fields());
            self.close(']');
            kind
        } else if self.eat('{') {
            let kind = Kind::Optional(self.fields());
            self.close('}');
            kind
        } else if self.eat('<') {
            let kind = Kind::Values(Box::new(self.field()));
            self.close('>');
            kind
        } else {
            Kind::Value(self.word(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
        };
        let nullable = self.eat('?');
        let versions = if self.eat('@') {
            range(self.word(|byte| byte.is_ascii_digit() || byte == b'-'))
        } else {
            0..=i16::MAX
        };
        Field {
            kind,
            nullable,
            versions,
        }
    }

    fn eat(&mut self, wanted: char) -> bool {
        let rest = self.rest.strip_prefix(wanted);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn close(&mut self, bracket: char) {
        assert!(self.eat(bracket), "{bracket} is missing at {}", self.rest);
    }

    fn word(&mut self, belongs: impl Fn(u8) -> bool) -> &'static str {
        let end = self.rest.bytes().position(|byte| !belongs(byte));
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        assert!(!word.is_empty(), "no word at {rest}");
        self.rest = rest;
        word
    }
}

/// `3`, `3-`, `-3` or `3-5`.
fn range(text: &str) -> RangeInclusive<i16> {
    let number = |text: &str, otherwise| i16::from_str(text).unwrap_or(otherwise);
    match text.split_once('-') {
        Some((first, last)) => number(first, 0)..=number(last, i16::MAX),
        None => number(text, 0)..=number(text, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, parse};

    #[test]
    fn fields_nest_and_have_versions() {
        let fields = parse("a@3- [b? <c>@-2]?@1-4 {d}? e");
        let versions: Vec<_> = fields.iter().map(|field| field.versions.clone()).collect();
        let all = 0..=i16::MAX;
        assert_eq!(versions, [3..=i16::MAX, 1..=4, all.clone(), all]);
        let Kind::Structs(inner) = &fields[1].kind else {
            panic!("{fields:?}")
        };
        assert!(fields[1].nullable && inner[0].nullable && !inner[1].nullable);
        assert_eq!(inner[1].versions, 0..=2);
        assert!(matches!(&inner[1].kind, Kind::Values(c) if c.kind == Kind::Value("c")));
        assert!(matches!(&fields[2].kind, Kind::Optional(_)));
    }
}
