//! What consumers say they read: ConsumerProtocolSubscription, of which every version starts with
//! the fields of version 0.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::ClassicGroup;
use crate::record::{Format, Reader, WireError};

impl ClassicGroup {
    /// Topics that members of this generation read; none where that is not known, because the
    /// members are no consumers or one of them says what can not be read.
    pub(super) fn subscribed_topics(&self) -> Option<BTreeSet<Box<str>>> {
        if !self.is_of_consumers() {
            return None;
        }
        let mut topics = BTreeSet::new();
        if self.members.is_empty() {
            return Some(topics);
        }
        let protocol = self.protocol.as_deref()?;
        for member in self.members.values() {
            let metadata = member.metadata(protocol)?;
            read_topics(metadata, &mut topics).ok()?;
        }
        Some(topics)
    }
}

fn read_topics(metadata: &Bytes, topics: &mut BTreeSet<Box<str>>) -> Result<(), WireError> {
    let mut reader = Reader::new(metadata.clone());
    reader.i16()?;
    for _ in 0..reader.count(Format::Classic, 2)? {
        topics.insert(reader.string(Format::Classic)?.into_boxed_str());
    }
    // The user data is of no interest, but has to be there.
    match reader.i32()? {
        -1 => Ok(()),
        size => {
            let size = usize::try_from(size).map_err(|_negative| WireError::BadLength)?;
            reader.take(size).map(drop)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bytes::Bytes;

    use super::read_topics;

    #[test]
    fn subscriptions_of_every_version_are_read_by_their_front() {
        let check = |bytes: &[u8], expected: Option<&[&str]>| {
            let mut topics = BTreeSet::new();
            let read = read_topics(&Bytes::copy_from_slice(bytes), &mut topics);
            let topics: Vec<&str> = topics.iter().map(|topic| &**topic).collect();
            assert_eq!(read.ok().map(|()| &topics[..]), expected, "{bytes:?}");
        };
        check(b"\0\0\0\0\0\0\xff\xff\xff\xff", Some(&[]));
        check(b"\0\0\0\0\0\x01\0\x01a\0\0\0\0", Some(&["a"]));
        check(
            b"\0\x03\0\0\0\x02\0\x01b\0\x01a\0\0\0\x01u??",
            Some(&["a", "b"]),
        );
        check(b"", None);
        check(b"\0\0\0\0\0\x01\0\x01a", None);
        check(b"\0\0\x7f\xff\xff\xff\0\x01a\0\0\0\0", None);
        check(b"\0\0\xff\xff\xff\xff\0\0\0\0", None);
        check(b"\0\0\0\0\0\x01\xff\xff\0\0\0\0", None);
        check(b"\0\0\0\0\0\x01\0\x01\xff\0\0\0\0", None);
        check(b"\0\0\0\0\0\x01\0\x01a\0\0\0\x09u", None);
    }
}
