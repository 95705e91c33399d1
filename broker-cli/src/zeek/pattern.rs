use std::str::FromStr;

/// A pattern for names of events, as in `Notice::*`: `*` stands for any text, `?` for one byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<u8>);

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("a name of an event or a pattern, as in 'Notice::*'".to_owned()),
            text => Ok(Self(text.into())),
        }
    }
}

impl Pattern {
    /// Whether the whole name is as the pattern says. Takes time in proportion to the product of
    /// their lengths at most.
    pub(crate) fn matches(&self, name: &[u8]) -> bool {
        let (pattern, mut at, mut in_name) = (&*self.0, 0, 0);
        // The last star, and where in the name what it stands for ends.
        let mut star: Option<(usize, usize)> = None;
        while in_name < name.len() {
            match pattern.get(at) {
                Some(b'*') => {
                    star = Some((at, in_name));
                    at += 1;
                }
                Some(byte) if *byte == b'?' || name.get(in_name) == Some(byte) => {
                    at += 1;
                    in_name += 1;
                }
                _ => {
                    let Some((star_at, end)) = star else { return false };
                    star = Some((star_at, end + 1));
                    (at, in_name) = (star_at + 1, end + 1);
                }
            }
        }
        pattern.get(at..).unwrap_or_default().iter().all(|byte| *byte == b'*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, name, matches) in [
            ("Notice::*", "Notice::log", true),
            ("Notice::*", "Notice::", true),
            ("Notice::*", "X::Notice::log", false),
            ("*log*", "Notice::log", true),
            ("*", "", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-", false),
            ("ping", "ping", true),
            ("ping", "pingpong", false),
            ("p?ng", "pong", true),
        ] {
            assert_eq!(
                pattern.parse::<Pattern>().unwrap().matches(name.as_bytes()),
                matches,
                "{pattern} {name}"
            );
        }
    }
}
