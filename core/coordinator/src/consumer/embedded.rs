//! The protocol that clients embed into JoinGroup and SyncGroup for protocol type "consumer":
//! subscriptions and assignments, which a consumer group has to understand while classic members are
//! in it.
//!
//! Both open with a version. Later versions only append fields, so anything beyond what is known
//! here is left unread.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::record::{Format, Reader, WireError, Writer};

/// Protocol type of consumers.
pub(crate) const PROTOCOL_TYPE: &str = "consumer";

/// The latest version that is known; those above are read as this one.
const LATEST: i16 = 3;

/// Partitions by topic name.
pub(crate) type Named = BTreeMap<String, Vec<i32>>;

/// What a consumer subscribes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Subscription {
    /// Topics by name.
    pub(crate) topics: Vec<String>,
    /// What it owns; told from version 1 on.
    pub(crate) owned: Named,
    /// Its rack; told from version 3 on.
    pub(crate) rack_id: Option<String>,
}

/// What a consumer shall own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Assignment {
    /// Partitions.
    pub(crate) partitions: Named,
    /// Whether an assignor of the client's own added something.
    pub(crate) has_user_data: bool,
}

/// The version that `metadata` opens with, no later than what is known here.
pub(crate) fn version(metadata: &Bytes) -> Result<i16, WireError> {
    version_of(&mut Reader::new(metadata.clone()))
}

fn version_of(reader: &mut Reader) -> Result<i16, WireError> {
    let version = reader.i16()?;
    if version < 0 {
        return Err(WireError::BadLength);
    }
    Ok(version.min(LATEST))
}

/// Reads a subscription.
///
/// # Errors
/// The bytes are not one.
pub(crate) fn read_subscription(metadata: &Bytes) -> Result<Subscription, WireError> {
    let mut reader = Reader::new(metadata.clone());
    let version = version_of(&mut reader)?;
    let mut subscription = Subscription::default();
    for _ in 0..reader.count(Format::Classic, 2)? {
        subscription.topics.push(reader.string(Format::Classic)?);
    }
    skip_bytes(&mut reader)?;
    if version >= 1 {
        subscription.owned = read_partitions(&mut reader)?;
    }
    if version >= 2 {
        let _generation = reader.i32()?;
    }
    if version >= 3 {
        subscription.rack_id = reader.nullable_string(Format::Classic)?;
    }
    Ok(subscription)
}

/// Reads an assignment; no bytes at all are one without partitions.
///
/// # Errors
/// The bytes are not one.
pub(crate) fn read_assignment(bytes: &Bytes) -> Result<Assignment, WireError> {
    if bytes.is_empty() {
        return Ok(Assignment::default());
    }
    let mut reader = Reader::new(bytes.clone());
    version_of(&mut reader)?;
    Ok(Assignment {
        partitions: read_partitions(&mut reader)?,
        has_user_data: skip_bytes(&mut reader)? > 0,
    })
}

/// Writes an assignment without user data, as `version` has it.
pub(crate) fn write_assignment(version: i16, partitions: &Named) -> Bytes {
    let mut out = Writer::versioned(version);
    out.count(Format::Classic, partitions.len());
    for (topic, partitions) in partitions {
        out.string(Format::Classic, topic);
        out.count(Format::Classic, partitions.len());
        for partition in partitions {
            out.i32(*partition);
        }
    }
    // No user data: the null length of bytes.
    out.i32(-1);
    out.finish()
}

fn read_partitions(reader: &mut Reader) -> Result<Named, WireError> {
    let mut partitions = Named::new();
    for _ in 0..reader.count(Format::Classic, 6)? {
        let topic = reader.string(Format::Classic)?;
        let count = reader.count(Format::Classic, 4)?;
        let list = partitions.entry(topic).or_default();
        for _ in 0..count {
            list.push(reader.i32()?);
        }
    }
    Ok(partitions)
}

/// How many bytes of user data there are, -1 counting as none.
fn skip_bytes(reader: &mut Reader) -> Result<usize, WireError> {
    let size = reader.nullable_count(Format::Classic, 1)?.unwrap_or(0);
    reader.take(size)?;
    Ok(size)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Assignment, Subscription, read_assignment, read_subscription, write_assignment};

    fn bytes(hex: &str) -> Bytes {
        let digit = |c: u8| u8::try_from(char::from(c).to_digit(16).unwrap()).unwrap();
        hex.as_bytes()
            .chunks(2)
            .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
            .collect()
    }

    /// Bytes that the client library of Kafka 4.3.1 wrote.
    const SUBSCRIPTIONS: [&str; 4] = [
        "0000000000020001610001620000000109",
        "000100000002000161000162000000010900000001000161000000020000000000000002",
        "00020000000200016100016200000001090000000100016100000002000000000000000200000005",
        "00030000000200016100016200000001090000000100016100000002000000000000000200000005000172",
    ];
    const ASSIGNMENT: &str =
        "0001000000020001610000000200000000000000020001620000000100000001ffffffff";

    #[test]
    fn subscriptions_of_every_version_are_read() {
        let owned = || [("a".to_owned(), vec![0, 2])].into();
        let check = |hex: &str, owned, rack: Option<&str>| {
            let expected = Subscription {
                topics: vec!["a".to_owned(), "b".to_owned()],
                owned,
                rack_id: rack.map(str::to_owned),
            };
            assert_eq!(read_subscription(&bytes(hex)), Ok(expected));
        };
        check(SUBSCRIPTIONS[0], [].into(), None);
        check(SUBSCRIPTIONS[1], owned(), None);
        check(SUBSCRIPTIONS[2], owned(), None);
        check(SUBSCRIPTIONS[3], owned(), Some("r"));
        let later = format!("0009{}abcdef", &SUBSCRIPTIONS[3][4..]);
        check(&later, owned(), Some("r"));
    }

    #[test]
    fn assignments_are_written_as_they_are_read() {
        let partitions = [("a".to_owned(), vec![0, 2]), ("b".to_owned(), vec![1])].into();
        let expected = Assignment {
            partitions,
            has_user_data: false,
        };
        assert_eq!(read_assignment(&bytes(ASSIGNMENT)), Ok(expected.clone()));
        assert_eq!(write_assignment(1, &expected.partitions), bytes(ASSIGNMENT));
        assert_eq!(read_assignment(&Bytes::new()), Ok(Assignment::default()));
        let with_data = ASSIGNMENT.replace("ffffffff", "0000000109");
        assert!(read_assignment(&bytes(&with_data)).unwrap().has_user_data);
    }

    #[test]
    fn damage_is_refused() {
        let sound = bytes(SUBSCRIPTIONS[3]);
        for end in 0..sound.len() {
            assert!(
                read_subscription(&sound.slice(..end)).is_err(),
                "cut at {end}"
            );
        }
        let check = |hex: &str| assert!(read_subscription(&bytes(hex)).is_err(), "{hex}");
        check("ffff00000000");
        check("00007fffffff");
        check("0000fffffffe");
    }
}
