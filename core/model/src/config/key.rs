//! What is known of one configuration key.

/// One configuration key of a topic or of a broker.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConfigKey {
    /// Name as operators write it.
    pub name: &'static str,
    /// Type of the value.
    pub kind: ConfigType,
    /// Value when no source sets one; `None` is Kafka's null.
    pub default: Option<&'static str>,
    /// What a value must obey beyond its type.
    pub validator: Validator,
    /// One sentence for people.
    pub doc: &'static str,
    /// Whether and where the value can change while the broker runs.
    pub update: UpdateMode,
    /// Whether the value changes anything here.
    pub effect: Effect,
    /// Broker keys that stand in for this key, the winning one first. For a topic key these are its
    /// broker-wide defaults; for a broker key, the keys of the same setting in other units.
    pub synonyms: &'static [Synonym],
}

impl ConfigKey {
    /// A value that must never be shown or logged.
    #[must_use]
    pub const fn sensitive(&self) -> bool {
        matches!(self.kind, ConfigType::Password)
    }

    /// A value that only a restart can change. Never true of a topic key.
    #[must_use]
    pub const fn read_only(&self) -> bool {
        matches!(self.update, UpdateMode::ReadOnly)
    }

    /// The broker key that wins when the topic sets nothing.
    #[must_use]
    pub fn synonym(&self) -> Option<&'static str> {
        self.synonyms.first().map(|synonym| synonym.name)
    }
}

/// Type of a value, with the codes of DescribeConfigs from version 3 (KIP-569).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigType {
    /// `true` or `false` in any case.
    Boolean,
    /// Any text.
    String,
    /// 32-bit signed integer.
    Int,
    /// 16-bit signed integer.
    Short,
    /// 64-bit signed integer.
    Long,
    /// Floating point number.
    Double,
    /// Texts separated by commas.
    List,
    /// Name of a Java class; kept as text.
    Class,
    /// Secret text.
    Password,
}

impl ConfigType {
    /// The code on the wire.
    #[must_use]
    pub const fn code(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::String => 2,
            Self::Int => 3,
            Self::Short => 4,
            Self::Long => 5,
            Self::Double => 6,
            Self::List => 7,
            Self::Class => 8,
            Self::Password => 9,
        }
    }

    /// The name as Kafka prints it in error messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Int => "INT",
            Self::Short => "SHORT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::List => "LIST",
            Self::Class => "CLASS",
            Self::Password => "PASSWORD",
        }
    }
}

/// What a value must obey beyond its type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Validator {
    /// Nothing more.
    Any,
    /// An integer between two bounds, both allowed.
    Range {
        /// Smallest value.
        min: i64,
        /// Largest value; `i64::MAX` for none.
        max: i64,
    },
    /// An integer between two bounds, or one value outside them.
    RangeOr {
        /// Smallest value.
        min: i64,
        /// Largest value.
        max: i64,
        /// The exception.
        or: i64,
    },
    /// A floating point number between two bounds, both allowed.
    Fraction {
        /// Smallest value.
        min: f64,
        /// Largest value.
        max: f64,
    },
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// One of these texts, in any case.
    OneOfIgnoreCase(&'static [&'static str]),
    /// A list whose items are all among these texts; it can be empty.
    ListOf(&'static [&'static str]),
    /// Replicas to throttle: empty, `*`, or `partition:broker` pairs (KIP-73).
    ThrottledReplicas,
}

/// Whether and where a broker value can change while the broker runs (KIP-226).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateMode {
    /// Only with a restart.
    ReadOnly,
    /// For one broker at a time.
    PerBroker,
    /// For one broker or as the default of all.
    ClusterWide,
    /// A topic key, which is always set per topic.
    PerTopic,
}

/// Whether a value changes anything here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It does what its documentation says.
    Honoured,
    /// It is taken and shown, so that existing files and tools work, and does nothing.
    AcceptedNoEffect,
}

/// A broker key that stands in for another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Synonym {
    /// Name of the broker key.
    pub name: &'static str,
    /// How its value turns into that of the other key.
    pub unit: Unit,
}

/// How the value of a synonym turns into that of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// As it is.
    Same,
    /// Minutes to milliseconds.
    Minutes,
    /// Hours to milliseconds.
    Hours,
}

impl Unit {
    /// Milliseconds in one unit, or `None` where nothing is converted.
    #[must_use]
    pub const fn millis(self) -> Option<i64> {
        match self {
            Self::Same => None,
            Self::Minutes => Some(60_000),
            Self::Hours => Some(3_600_000),
        }
    }
}

/// Written `ANY` in the tables below.
pub(super) const ANY: Validator = Validator::Any;

/// Integers from `min` up.
pub(super) const fn at_least(min: i64) -> Validator {
    Validator::Range { min, max: i64::MAX }
}

/// Integers from `min` to `max`.
pub(super) const fn between(min: i64, max: i64) -> Validator {
    Validator::Range { min, max }
}

/// The default of a table row: nothing between the brackets is null.
pub(super) const fn optional(values: &[&'static str]) -> Option<&'static str> {
    match values {
        [value, ..] => Some(value),
        [] => None,
    }
}

/// Declares a table of keys. One row reads: name, type, `[default]`, validator, update mode, effect,
/// documentation, and after `<-` the synonyms with their units.
macro_rules! config_keys {
    ($(#[$meta:meta])* $table:ident: $(
        $name:literal $kind:ident [$($default:literal)?] $validator:expr, $update:ident $effect:ident
            $doc:literal $(<- $($synonym:literal $unit:ident),+)?;
    )*) => {
        $(#[$meta])*
        pub(super) static $table: &[$crate::config::ConfigKey] = &[$(
            $crate::config::ConfigKey {
                name: $name,
                kind: $crate::config::ConfigType::$kind,
                default: $crate::config::key::optional(&[$($default)?]),
                validator: $validator,
                doc: $doc,
                update: $crate::config::UpdateMode::$update,
                effect: $crate::config::Effect::$effect,
                synonyms: &[$($($crate::config::Synonym {
                    name: $synonym,
                    unit: $crate::config::Unit::$unit,
                }),+)?],
            },
        )*];
    };
}
pub(super) use config_keys;

/// Values of `compression.type` (KIP-110, KIP-390).
pub(super) const COMPRESSION_TYPES: &[&str] =
    &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];

/// Values of `cleanup.policy`; an empty list keeps records forever (KIP-1161).
pub(super) const CLEANUP_POLICIES: &[&str] = &["compact", "delete"];

/// Values of `message.timestamp.type` (KIP-32).
pub(super) const TIMESTAMP_TYPES: &[&str] = &["CreateTime", "LogAppendTime"];

/// Smallest accepted segment. Kafka asks for 1 MiB since 4.0; older suites ask for a few kilobytes.
pub(super) const MIN_SEGMENT_BYTES: i64 = 1024;

/// Levels that zlib takes, or -1 for its own choice.
pub(super) const GZIP_LEVELS: Validator = Validator::RangeOr {
    min: 1,
    max: 9,
    or: -1,
};

/// Levels that lz4 takes.
pub(super) const LZ4_LEVELS: Validator = between(1, 17);

/// Levels that zstd takes.
pub(super) const ZSTD_LEVELS: Validator = between(-131_072, 22);
