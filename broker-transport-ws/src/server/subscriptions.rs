use bytes::Bytes;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
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

/// Reads the first message of a client: an array of topic prefixes. They come back in ascending
/// order and each one once.
pub(crate) fn read_subscriptions(
    text: &[u8],
    limit: usize,
) -> Result<Vec<Bytes>, InvalidSubscriptions> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let list = List { limit };
    let prefixes =
        reader.deserialize_seq(list).and_then(|prefixes| reader.end().map(|()| prefixes));
    prefixes.map(|prefixes| prefixes.into_iter().collect()).map_err(|error| {
        let detail = error.to_string();
        let context = if detail.contains(TOO_MANY) {
            format!("more than {limit} subscriptions")
        } else if detail.contains(NOT_A_STRING) {
            NOT_A_STRING.to_owned()
        } else {
            "subscriptions not an array".to_owned()
        };
        InvalidSubscriptions { context, detail }
    })
}

const NOT_A_STRING: &str = "individual subscription not a string";
const TOO_MANY: &str = "too many subscriptions";

struct List {
    limit: usize,
}

impl<'de> Visitor<'de> for List {
    type Value = BTreeSet<Bytes>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of topic prefixes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut prefixes = BTreeSet::new();
        for _ in 0..self.limit {
            match list.next_element::<Prefix>()? {
                Some(Prefix(prefix)) => prefixes.insert(prefix),
                None => return Ok(prefixes),
            };
        }
        match list.next_element::<Prefix>()? {
            Some(_) => Err(A::Error::custom(TOO_MANY)),
            None => Ok(prefixes),
        }
    }
}

struct Prefix(Bytes);

impl<'de> serde::Deserialize<'de> for Prefix {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Prefix;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string (individual subscription not a string)")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Prefix, E> {
                Ok(Prefix(Bytes::copy_from_slice(text.as_bytes())))
            }
        }
        from.deserialize_str(Text)
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
        for text in ["", "{\"a\":1}", "hello", "[\"/a\",]", "[\"/a\"] x", "[\"/a\"", "\"/a\"", "5"]
        {
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
