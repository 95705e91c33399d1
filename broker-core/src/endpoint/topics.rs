//! Topics as methods of an endpoint take them, written in several ways.

use bytes::Bytes;
use std::collections::BTreeSet;

/// Topic prefixes: one, or a collection of them. The empty prefix is that of every topic.
pub trait IntoTopics {
    /// The prefixes, each once and in ascending order.
    fn into_topics(self) -> Vec<Bytes>;
}

fn each<T: AsRef<[u8]>>(prefixes: impl IntoIterator<Item = T>) -> Vec<Bytes> {
    let topics: BTreeSet<Bytes> =
        prefixes.into_iter().map(|prefix| Bytes::copy_from_slice(prefix.as_ref())).collect();
    topics.into_iter().collect()
}

macro_rules! one_topic {
    ($($type:ty),*) => {$(
        impl IntoTopics for $type {
            fn into_topics(self) -> Vec<Bytes> {
                each([self])
            }
        }
    )*};
}

macro_rules! several_topics {
    ($([$($generics:tt)*] $type:ty),*) => {$(
        impl<$($generics)*> IntoTopics for $type {
            fn into_topics(self) -> Vec<Bytes> {
                each(self)
            }
        }
    )*};
}

one_topic!(&str, String, &String, Bytes, &Bytes);
several_topics!(
    [T: AsRef<[u8]>, const N: usize] [T; N],
    [T: AsRef<[u8]>, const N: usize] &[T; N],
    [T: AsRef<[u8]>] &[T],
    [T: AsRef<[u8]>] Vec<T>,
    [T: AsRef<[u8]>] &Vec<T>,
    [T: AsRef<[u8]>] BTreeSet<T>,
    [T: AsRef<[u8]>] &BTreeSet<T>
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_topic_is_as_good_as_a_list() {
        let expected = [Bytes::from("/a")];
        assert_eq!("/a".into_topics(), expected);
        assert_eq!(String::from("/a").into_topics(), expected);
        assert_eq!((&String::from("/a")).into_topics(), expected);
        assert_eq!(Bytes::from("/a").into_topics(), expected);
        assert_eq!(["/a"].into_topics(), expected);
        assert_eq!(<[&str; 0]>::default().into_topics(), <[Bytes; 0]>::default());
    }

    #[test]
    fn lists_of_topics_are_sorted_and_hold_each_topic_once() {
        let expected = [Bytes::from("/a"), Bytes::from("/b")];
        let topics = ["/b", "/a", "/b"];
        assert_eq!(topics.into_topics(), expected);
        assert_eq!((&topics).into_topics(), expected);
        assert_eq!(topics[..].into_topics(), expected);
        assert_eq!(topics.to_vec().into_topics(), expected);
        assert_eq!((&topics.map(String::from).to_vec()).into_topics(), expected);
        assert_eq!(BTreeSet::from(topics).into_topics(), expected);
    }
}
