use bytes::Bytes;

/// What a bridge carries, as its address says with parameters that all kinds share.
///
/// | parameter | meaning |
/// |---|---|
/// | `to=PREFIX` | messages of the overlay on these topics go to the other side; may be repeated; an empty one stands for every topic |
/// | `from=PREFIX` | messages of the other side on these topics go into the overlay; may be repeated. Without any, whatever the endpoint has subscribed to |
/// | `event=NAME` | carry only events with these names, whichever way; may be repeated, and a `*` at the end stands for any rest. Without any, whatever the kind allows |
/// | `transit=N` | also carry messages that up to so many bridges more have carried before, for chains of servers without a way back; see the front page of this crate. Default 0 |
/// | `repeats=N` | carry one message so often within ten seconds, at most; 0 is no bound. Default 100 |
/// | `largest=N` | the longest message that the other side takes, in bytes as they are sent; a longer one is not handed to it. The default depends on the kind; 0 is no bound |
///
/// What is special in an address is written with percent signs, as in `%26` for `&`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Directions {
    /// What goes to the other side.
    pub to: Vec<String>,
    /// What comes from it; `None` is what the endpoint wants.
    pub from: Option<Vec<String>>,
    /// The names of the events that may cross, each perhaps with a `*` at the end; all if there are
    /// none.
    pub events: Vec<String>,
    /// How many bridges more than usual may have carried a message before.
    pub transit: u32,
    /// How often one message is carried within ten seconds; zero is without a bound.
    pub repeats: u32,
    /// The longest message that the other side takes, in bytes; zero is without a bound.
    pub largest: u32,
}

impl Default for Directions {
    fn default() -> Self {
        let (to, events) = (Vec::new(), Vec::new());
        Self { to, from: None, events, transit: 0, repeats: 100, largest: 0 }
    }
}

/// What an address says about a bridge cannot be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDirections {
    /// A topic would go both ways.
    #[error(
        "to={to} and from={from} overlap: a message on such a topic would be carried in circles; \
         say for each topic which way it goes"
    )]
    Overlap {
        /// A prefix of what goes to the other side.
        to: String,
        /// A prefix of what comes from it.
        from: String,
    },
    /// A parameter that nobody knows, and those that are known.
    #[error("{0}: there is no such parameter here; known are {1}")]
    Unknown(String, String),
    /// A parameter without a value.
    #[error("{0}: a value is missing; {0}= with nothing behind it would mean every topic")]
    NoValue(String),
    /// A percent sign without two hexadecimal digits.
    #[error(
        "{0}: a percent sign is written %25, and others stand in front of two hexadecimal digits"
    )]
    Escape(String),
    /// A parameter for a bridge, where an address is none.
    #[error(
        "{0}: this address stands for a native peering, which has no directions; without a path it \
         stands for a bridge to the server"
    )]
    NoBridge(String),
    /// A parameter of the kind has a value that it cannot use; the text says which and why.
    #[error("{0}")]
    Parameter(String),
    /// Something else where a number belongs.
    #[error("{name}={value}: this is no number from 0 to 4294967295")]
    NoNumber {
        /// The parameter.
        name: String,
        /// What it says.
        value: String,
    },
}

impl Directions {
    /// Takes a parameter that is none of the kind's own.
    pub(crate) fn set(&mut self, name: &str, value: String) -> Result<(), InvalidDirections> {
        match name {
            "to" => self.to.push(value),
            "from" => self.from.get_or_insert_default().push(value),
            "event" => self.events.push(value),
            "transit" => self.transit = number(name, value)?,
            "repeats" => self.repeats = number(name, value)?,
            _ => self.largest = number(name, value)?,
        }
        Ok(())
    }

    /// No topic may go both ways.
    pub(crate) fn check(&self) -> Result<(), InvalidDirections> {
        let from = self.from.iter().flatten();
        let mut overlap = from.filter_map(|from| Some((from, self.overlapping(from.as_bytes())?)));
        match overlap.next() {
            Some((from, to)) => {
                Err(InvalidDirections::Overlap { to: to.clone(), from: from.clone() })
            }
            None => Ok(()),
        }
    }

    /// Whether a topic goes one way here and the other way there, by what is said for both.
    pub(crate) fn against<'a>(&'a self, other: &'a Self) -> Option<&'a str> {
        let back = |one: &'a Self, two: &'a Self| {
            let from = two.from.iter().flatten();
            from.filter_map(|from| one.overlapping(from.as_bytes())).next().map(String::as_str)
        };
        back(self, other).or_else(|| back(other, self))
    }

    /// What is sent to the other side that overlaps with a prefix.
    fn overlapping(&self, prefix: &[u8]) -> Option<&String> {
        self.to
            .iter()
            .find(|to| to.as_bytes().starts_with(prefix) || prefix.starts_with(to.as_bytes()))
    }

    /// What to subscribe to at the other side when the endpoint wants these topics: what goes there
    /// is left out, as is what is no text.
    pub(crate) fn subscriptions(&self, wanted: &[Bytes]) -> Vec<String> {
        if let Some(from) = &self.from {
            return from.clone();
        }
        let allowed = wanted.iter().filter(|prefix| self.overlapping(prefix).is_none());
        allowed.filter_map(|prefix| std::str::from_utf8(prefix).ok().map(str::to_owned)).collect()
    }

    /// What the endpoint wants and does not get from the other side, because it goes the other way.
    pub(crate) fn left_out(&self, wanted: &[Bytes]) -> Vec<String> {
        if self.from.is_some() {
            return Vec::new();
        }
        let left_out = wanted.iter().filter(|prefix| self.overlapping(prefix).is_some());
        left_out.map(|prefix| String::from_utf8_lossy(prefix).into_owned()).collect()
    }
}

fn number(name: &str, value: String) -> Result<u32, InvalidDirections> {
    value.parse().map_err(|_| InvalidDirections::NoNumber { name: name.to_owned(), value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Directions, InvalidDirections> {
        let mut directions = Directions::default();
        for part in query.split('&') {
            let (name, value) = part.split_once('=').unwrap();
            directions.set(name, value.to_owned())?;
        }
        directions.check().map(|()| directions)
    }

    fn topics(list: &[&'static str]) -> Vec<Bytes> {
        list.iter().map(|topic| Bytes::from_static(topic.as_bytes())).collect()
    }

    #[test]
    fn no_topic_goes_both_ways() {
        for query in
            ["to=/a&from=/a", "to=/a&from=/a/b", "to=/a/b&from=/a", "to=&from=/x", "from=&to=/x"]
        {
            assert!(parse(query).is_err(), "{query}");
        }
        assert!(parse("to=/ab&from=/ac").is_ok());
    }

    #[test]
    fn two_bridges_with_opposite_directions_are_told() {
        let one = parse("to=/a/&from=/b/").unwrap();
        assert_eq!(one.against(&parse("from=/a/x").unwrap()), Some("/a/"));
        assert_eq!(one.against(&parse("to=/b/x").unwrap()), Some("/b/x"));
        assert_eq!(one.against(&parse("to=/a/&from=/b/").unwrap()), None);
        assert_eq!(one.against(&parse("from=/c").unwrap()), None);
    }

    #[test]
    fn what_goes_to_the_server_is_not_subscribed_to_there() {
        let directions = parse("to=/a").unwrap();
        let wanted = topics(&["/a/x", "/b"]);
        assert_eq!(directions.subscriptions(&wanted), ["/b"]);
        assert_eq!(directions.left_out(&wanted), ["/a/x"]);
        assert_eq!(parse("from=/z&to=/a").unwrap().subscriptions(&wanted), ["/z"]);
        assert_eq!(directions.subscriptions(&topics(&[""])), Vec::<String>::new());
    }
}
