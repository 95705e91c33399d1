use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;

/// Why the first message of a client is no list of subscriptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InvalidSubscriptions {
    /// The text that Zeek's server has for it, or one of our own.
    pub(crate) context: String,
    /// What exactly is wrong.
    pub(crate) detail: String,
}

/// What is wrong with the list, if it is not that it is none.
#[derive(Debug, Clone, Copy)]
enum Fault {
    NotAString,
    TooMany,
}

/// Reads the first message of a client: an array of topic prefixes. They come back in ascending
/// order and each one once.
pub(crate) fn read_subscriptions(
    text: &[u8],
    limit: usize,
) -> Result<Vec<Bytes>, InvalidSubscriptions> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let fault = Cell::new(None);
    let list = List { limit, fault: &fault };
    let prefixes =
        reader.deserialize_seq(list).and_then(|prefixes| reader.end().map(|()| prefixes));
    prefixes.map(|prefixes| prefixes.into_iter().collect()).map_err(|error| {
        let context = match fault.get() {
            Some(Fault::TooMany) => format!("more than {limit} subscriptions"),
            // Text that breaks off, or is no JSON, is no array either.
            Some(Fault::NotAString) if error.is_data() => {
                "individual subscription not a string".to_owned()
            }
            _ => "subscriptions not an array".to_owned(),
        };
        InvalidSubscriptions { context, detail: error.to_string() }
    })
}

struct List<'a> {
    limit: usize,
    fault: &'a Cell<Option<Fault>>,
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = BTreeSet<Bytes>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of topic prefixes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut prefixes = BTreeSet::new();
        let mut count = 0;
        while let Some(prefix) = list.next_element_seed(Prefix { fault: self.fault })? {
            count += 1;
            if count > self.limit {
                self.fault.set(Some(Fault::TooMany));
                return Err(A::Error::custom("too many subscriptions"));
            }
            prefixes.insert(prefix);
        }
        Ok(prefixes)
    }
}

struct Prefix<'a> {
    fault: &'a Cell<Option<Fault>>,
}

impl<'de> DeserializeSeed<'de> for Prefix<'_> {
    type Value = Bytes;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Bytes, D::Error> {
        // What is a string takes this back.
        self.fault.set(Some(Fault::NotAString));
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Prefix<'_> {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string (individual subscription not a string)")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Bytes, E> {
        self.fault.set(None);
        Ok(Bytes::copy_from_slice(text.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(text: &str) -> String {
        read_subscriptions(text.as_bytes(), 3).unwrap_err().context
    }

    #[test]
    fn prefixes_are_sorted_and_unique_and_may_hold_anything() {
        let read = read_subscriptions(b"\r\n\t [\"/b\", \"/a\\/\\u00e9\\u0000\", \"/b\"] ", 3);
        assert_eq!(read.unwrap(), ["/a/\u{e9}\0", "/b"]);
        assert_eq!(read_subscriptions(b"[]", 3).unwrap(), Vec::<Bytes>::new());
    }

    #[test]
    fn anything_else_is_refused_with_the_texts_of_zeek() {
        for text in [
            "",
            "[\"/a",
            "[\"\\x\"]",
            "{\"a\":1}",
            "hello",
            "[\"/a\",]",
            "[\"/a\"] x",
            "[\"/a\"",
            "\"/a\"",
            "5",
        ] {
            assert_eq!(context(text), "subscriptions not an array", "{text}");
        }
        for text in ["[1,2]", "[null]", "[\"/a\",[]]", "[{}]"] {
            assert_eq!(context(text), "individual subscription not a string", "{text}");
        }
        assert_eq!(context("[\"a\",\"a\",\"a\",\"a\"]"), "more than 3 subscriptions");
    }

    #[test]
    fn deep_nesting_is_refused_without_recursion() {
        let deep = "[".repeat(1_000_000);
        assert_eq!(context(&deep), "individual subscription not a string");
    }
}
