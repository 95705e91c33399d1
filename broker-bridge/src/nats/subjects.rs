//! Topics as subjects of NATS and back.
//!
//! `zeek/event/x` is `zeek.event.x`. A part of a topic that is empty is `_`, so that `/a/` is
//! `_.a._`. What NATS does not allow in a subject, or gives a meaning to, is written as a percent
//! sign and two hexadecimal digits: everything but visible ASCII, and `.`, `*`, `>`, `$` and `%`; a
//! part that begins with `_` in front of a subject, and one that is nothing but `_`, are written
//! with `%5F`, because `_INBOX` has a meaning and `_` is an empty part.

/// What a rule has in front of each of its subjects; may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Subjects {
    /// With the dot at its end, or empty.
    front: String,
}

/// Why a text is no beginning of subjects.
const BAD_PREFIX: &str = "subjects= takes tokens of a subject with dots in between, which are not \
                          empty and have no blanks, *, > or $";

impl Subjects {
    /// `prefix` is what stands in front, without the dot at its end.
    pub(crate) fn below(prefix: &str) -> Result<Self, String> {
        let prefix = prefix.strip_suffix('.').unwrap_or(prefix);
        if prefix.is_empty() {
            return Ok(Self::default());
        }
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"*>$".contains(&byte);
        let is_token = |token: &str| !token.is_empty() && token.bytes().all(is_plain);
        match prefix.split('.').all(is_token) {
            true => Ok(Self { front: format!("{prefix}.") }),
            false => Err(BAD_PREFIX.to_owned()),
        }
    }

    /// Whether nothing stands in front.
    pub(crate) fn is_empty(&self) -> bool {
        self.front.is_empty()
    }

    /// The subject for a topic.
    pub(crate) fn subject(&self, topic: &[u8]) -> String {
        let mut subject = String::with_capacity(self.front.len() + topic.len() + 8);
        subject.push_str(&self.front);
        for (at, token) in topic.split(|byte| *byte == b'/').enumerate() {
            if at > 0 {
                subject.push('.');
            }
            self.write_token(token, at == 0, &mut subject);
        }
        subject
    }

    fn write_token(&self, token: &[u8], is_first: bool, subject: &mut String) {
        if token.is_empty() {
            return subject.push('_');
        }
        let underscore = token == b"_" || (is_first && self.front.is_empty());
        for (at, byte) in token.iter().enumerate() {
            let is_special = !byte.is_ascii_graphic() || b".*>$%".contains(byte);
            match is_special || (at == 0 && *byte == b'_' && underscore) {
                true => subject.push_str(&format!("%{byte:02X}")),
                false => subject.push(char::from(*byte)),
            }
        }
    }

    /// The topic that a subject stands for; `None` if it stands for none.
    pub(crate) fn topic(&self, subject: &str) -> Option<Vec<u8>> {
        let rest = subject.strip_prefix(&self.front)?;
        // Answers to requests and the server's own messages are no topics.
        if self.front.is_empty() && (rest.starts_with('$') || rest.starts_with("_INBOX.")) {
            return None;
        }
        let mut topic = Vec::with_capacity(rest.len());
        for (at, token) in rest.split('.').enumerate() {
            if at > 0 {
                topic.push(b'/');
            }
            match token {
                "" => return None,
                "_" => {}
                _ => read_token(token.as_bytes(), &mut topic)?,
            }
        }
        Some(topic)
    }

    /// Subjects that together have every topic with one of these prefixes, and no topic twice.
    ///
    /// NATS matches whole tokens, so a prefix that ends within one makes a subject that has more.
    pub(crate) fn covering(&self, prefixes: &[String]) -> Vec<String> {
        let all = prefixes.iter().map(|prefix| match prefix.rsplit_once('/') {
            Some((parent, _)) => self.below_topic(parent),
            None => format!("{}>", self.front),
        });
        without_covered(all.collect())
    }

    /// Subjects for a stream, which must not have more than is meant: of a prefix that does not end
    /// with a slash, the topic itself and those below it.
    pub(crate) fn exact(&self, prefixes: &[String]) -> Vec<String> {
        let all = prefixes.iter().flat_map(|prefix| match prefix.strip_suffix('/') {
            Some(parent) => vec![self.below_topic(parent)],
            None if prefix.is_empty() => vec![format!("{}>", self.front)],
            None => vec![self.subject(prefix.as_bytes()), self.below_topic(prefix)],
        });
        without_covered(all.collect())
    }

    fn below_topic(&self, parent: &str) -> String {
        format!("{}.>", self.subject(parent.as_bytes()))
    }
}

fn without_covered(mut subjects: Vec<String>) -> Vec<String> {
    subjects.sort();
    subjects.dedup();
    let is_covered =
        |one: &String| subjects.iter().any(|other| other != one && matches(other, one));
    subjects.iter().filter(|one| !is_covered(one)).cloned().collect()
}

/// Whether a subject, perhaps with wildcards, is one of those that a pattern stands for.
pub(crate) fn matches(pattern: &str, subject: &str) -> bool {
    let (mut pattern, mut subject) = (pattern.split('.'), subject.split('.'));
    loop {
        match (pattern.next(), subject.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some("*"), Some(token)) if token != ">" => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

fn read_token(token: &[u8], topic: &mut Vec<u8>) -> Option<()> {
    let mut rest = token;
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        if *byte != b'%' {
            topic.push(*byte);
            continue;
        }
        let (digits, behind) = rest.split_first_chunk::<2>()?;
        let digit = |digit: u8| char::from(digit).to_digit(16);
        let [high, low] = *digits;
        topic.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
        rest = behind;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn topics_are_subjects_with_dots() {
        let (plain, below) = (Subjects::default(), Subjects::below("site.a").unwrap());
        for (topic, subject) in [
            ("zeek/event/x", "zeek.event.x"),
            ("/alerts/scan", "_.alerts.scan"),
            ("a//b/", "a._.b._"),
            ("", "_"),
            ("a b.c/*/>", "a%20b%2Ec.%2A.%3E"),
            ("$SYS/x", "%24SYS.x"),
            ("_INBOX/x", "%5FINBOX.x"),
            ("a/_/_b/100%", "a.%5F._b.100%25"),
            ("ü", "%C3%BC"),
        ] {
            assert_eq!(plain.subject(topic.as_bytes()), subject);
            assert_eq!(plain.topic(subject).as_deref(), Some(topic.as_bytes()), "{subject}");
        }
        assert_eq!(below.subject(b"_x/y"), "site.a._x.y");
        assert_eq!(below.topic("site.a.x").as_deref(), Some(&b"x"[..]));
        assert_eq!(below.topic("site.b.x"), None);
    }

    #[test]
    fn what_is_no_topic_is_told() {
        for subject in ["$SYS.REQ", "_INBOX.abc.1", "a..b", "a.b%2", "a.%zz", "%"] {
            assert_eq!(Subjects::default().topic(subject), None, "{subject}");
        }
        for prefix in ["a..b", "a b", "a.*", ">", "$SYS", ".a"] {
            assert!(Subjects::below(prefix).is_err(), "{prefix}");
        }
        assert_eq!(Subjects::below("a."), Subjects::below("a"));
    }

    #[test]
    fn prefixes_become_few_subjects() {
        let (plain, below) = (Subjects::default(), Subjects::below("s").unwrap());
        assert_eq!(plain.covering(&list(&["zeek/a/", "zeek/a/b"])), ["zeek.a.>"]);
        assert_eq!(plain.covering(&list(&["zeek/a/", "zeek/b"])), ["zeek.>"]);
        assert_eq!(plain.covering(&list(&["/t"])), ["_.>"]);
        assert_eq!(plain.covering(&list(&["", "a/"])), [">"]);
        assert_eq!(below.covering(&list(&[""])), ["s.>"]);
        assert_eq!(
            plain.exact(&list(&["zeek/event", "x/"])),
            ["x.>", "zeek.event", "zeek.event.>"]
        );
        assert_eq!(below.exact(&list(&[""])), ["s.>"]);
    }

    #[test]
    fn a_pattern_stands_for_whole_tokens() {
        for (pattern, subject, expected) in [
            ("a.>", "a.b", true),
            ("a.>", "a.b.c", true),
            ("a.>", "a", false),
            ("a.*", "a.b", true),
            ("a.*", "a.b.c", false),
            ("a.*", "a.>", false),
            (">", "a.>", true),
            ("a", "a", true),
            ("a", "ab", false),
        ] {
            assert_eq!(matches(pattern, subject), expected, "{pattern} {subject}");
        }
    }

    proptest! {
        #[test]
        fn the_mapping_can_be_undone(
            topic in proptest::collection::vec(
                prop_oneof![proptest::sample::select(b"/._%$".as_slice()), any::<u8>()],
                0..40,
            ),
            prefix in prop_oneof![Just(""), Just("site"), Just("a.b")],
        ) {
            let subjects = Subjects::below(prefix).unwrap();
            let subject = subjects.subject(&topic);
            let is_token = |token: &str| {
                let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"*>$".contains(&byte);
                !token.is_empty() && token.bytes().all(is_plain)
            };
            prop_assert!(subject.split('.').all(is_token), "{subject}");
            prop_assert!(!subject.starts_with("_INBOX"));
            prop_assert_eq!(subjects.topic(&subject), Some(topic));
        }

        #[test]
        fn a_prefix_covers_its_topics(
            topic in "[a-c/_.]{0,12}",
            cut in 0_usize..13,
        ) {
            let subjects = Subjects::default();
            let prefix = topic.get(..cut.min(topic.len())).unwrap().to_owned();
            let covering = subjects.covering(&[prefix]);
            let subject = subjects.subject(topic.as_bytes());
            prop_assert!(covering.iter().any(|pattern| matches(pattern, &subject)));
        }
    }
}
