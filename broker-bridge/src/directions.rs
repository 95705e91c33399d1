use broker_core::Address;
use bytes::Bytes;
use percent_encoding::percent_decode_str;

/// Which topics a bridge carries, as its URL says.
///
/// | parameter | meaning |
/// |---|---|
/// | `to=PREFIX` | messages of the overlay on these topics go to the server; may be repeated; an empty one stands for every topic |
/// | `from=PREFIX` | messages of the server on these topics go into the overlay; may be repeated. Without any, whatever the endpoint has subscribed to |
/// | `transit=N` | also carry messages that up to so many bridges more have carried before, for chains of servers without a way back; see the front page of this crate. Default 0 |
/// | `repeats=N` | carry one message so often within ten seconds, at most; 0 is no bound. Default 100 |
/// | `largest=N` | the longest message that the server takes, in bytes of JSON; a longer one is not handed to it, because it would end the connection. Default 16 MiB, as in this server; 0 is no bound |
/// | `access_token=TOKEN` | is for the server |
///
/// What is special in a URL is written with percent signs, as in `%26` for `&`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Directions {
    /// What goes to the server.
    pub to: Vec<String>,
    /// What comes from it; `None` is what the endpoint wants.
    pub from: Option<Vec<String>>,
    /// How many bridges more than usual may have carried a message before.
    pub transit: u32,
    /// How often one message is carried within ten seconds; zero is without a bound.
    pub repeats: u32,
    /// The longest message that the server takes, in bytes; zero is without a bound.
    pub largest: u32,
    /// The rest of the query.
    rest: Vec<String>,
}

impl Default for Directions {
    fn default() -> Self {
        Self {
            to: Vec::new(),
            from: None,
            transit: 0,
            repeats: 100,
            largest: 16 * 1024 * 1024,
            rest: Vec::new(),
        }
    }
}

/// What a URL says about a bridge cannot be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDirections {
    /// A topic would go both ways.
    #[error(
        "to={to} and from={from} overlap: a message on such a topic would be carried in circles; \
         say for each topic which way it goes"
    )]
    Overlap {
        /// A prefix of what goes to the server.
        to: String,
        /// A prefix of what comes from it.
        from: String,
    },
    /// A parameter that nobody knows.
    #[error("{0}: there is no such parameter here; known are {known}", known = KNOWN.join(", "))]
    Unknown(String),
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
    /// Reads the parameters of a URL.
    ///
    /// # Errors
    ///
    /// A topic would go both ways, or a number is none.
    pub fn parse(url: &Address) -> Result<Self, InvalidDirections> {
        let mut directions = Self::default();
        for part in url.query().split('&').filter(|part| !part.is_empty()) {
            let (name, value) = parameter(part)?;
            match name {
                "to" => directions.to.push(percent_decoded(value)),
                "from" => directions.from.get_or_insert_default().push(percent_decoded(value)),
                "transit" => directions.transit = number(name, value)?,
                "repeats" => directions.repeats = number(name, value)?,
                "largest" => directions.largest = number(name, value)?,
                "access_token" => directions.rest.push(part.to_owned()),
                _ => return Err(InvalidDirections::Unknown(part.to_owned())),
            }
        }
        let from = directions.from.iter().flatten();
        let overlap =
            from.filter_map(|from| Some((from, directions.overlapping(from.as_bytes())?)));
        match overlap.into_iter().next() {
            Some((from, to)) => {
                Err(InvalidDirections::Overlap { to: to.to_owned(), from: from.clone() })
            }
            None => Ok(directions),
        }
    }

    /// Checks the parameters of a URL of a native peering, which are for the server.
    ///
    /// # Errors
    ///
    /// They cannot be meant like that.
    pub fn check_native(url: &Address) -> Result<(), InvalidDirections> {
        for part in url.query().split('&').filter(|part| !part.is_empty()) {
            match parameter(part)?.0 {
                "access_token" => {}
                name if KNOWN.contains(&name) => {
                    return Err(InvalidDirections::NoBridge(part.to_owned()));
                }
                _ => return Err(InvalidDirections::Unknown(part.to_owned())),
            }
        }
        Ok(())
    }

    /// Whether a topic goes one way here and the other way there, by what is said for both.
    pub(crate) fn against<'a>(&'a self, other: &'a Self) -> Option<&'a str> {
        let back = |one: &'a Self, two: &'a Self| {
            let from = two.from.iter().flatten();
            from.filter_map(|from| one.overlapping(from.as_bytes())).next().map(String::as_str)
        };
        back(self, other).or_else(|| back(other, self))
    }

    /// What is sent to the server that overlaps with a prefix.
    fn overlapping(&self, prefix: &[u8]) -> Option<&String> {
        self.to
            .iter()
            .find(|to| to.as_bytes().starts_with(prefix) || prefix.starts_with(to.as_bytes()))
    }

    /// What to subscribe to at the server when the endpoint wants these topics: what goes to the
    /// server is left out, as is what cannot be said in JSON.
    pub(crate) fn subscriptions(&self, wanted: &[Bytes]) -> Vec<String> {
        if let Some(from) = &self.from {
            return from.clone();
        }
        let allowed = wanted.iter().filter(|prefix| self.overlapping(prefix).is_none());
        allowed.filter_map(|prefix| std::str::from_utf8(prefix).ok().map(str::to_owned)).collect()
    }

    /// What the endpoint wants and does not get from this server, because it goes the other way.
    pub(crate) fn left_out(&self, wanted: &[Bytes]) -> Vec<String> {
        if self.from.is_some() {
            return Vec::new();
        }
        let left_out = wanted.iter().filter(|prefix| self.overlapping(prefix).is_some());
        left_out.map(|prefix| String::from_utf8_lossy(prefix).into_owned()).collect()
    }

    /// The URL of the server, without the parameters that are for the bridge, and the token in it.
    pub(crate) fn server(&self, url: &Address) -> (Address, Option<String>) {
        let (tokens, rest): (Vec<&String>, Vec<&String>) =
            self.rest.iter().partition(|part| part.starts_with("access_token="));
        let token = tokens.first().and_then(|part| part.split_once('='));
        let token = token.map(|(_, token)| percent_decoded(token));
        let query: Vec<&str> = rest.into_iter().map(String::as_str).collect();
        (url.clone().with_query(&query.join("&")), token)
    }
}

/// The parameters there are.
const KNOWN: [&str; 6] = ["to", "from", "transit", "repeats", "largest", "access_token"];

/// Name and value of a parameter, if it may be one.
fn parameter(part: &str) -> Result<(&str, &str), InvalidDirections> {
    let mut escapes = part.split('%').skip(1);
    let is_escape = |text: &str| {
        text.as_bytes().first_chunk::<2>().is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    };
    if !escapes.all(is_escape) {
        return Err(InvalidDirections::Escape(part.to_owned()));
    }
    match part.split_once('=') {
        Some(parameter) => Ok(parameter),
        None if KNOWN.contains(&part) => Err(InvalidDirections::NoValue(part.to_owned())),
        None => Err(InvalidDirections::Unknown(part.to_owned())),
    }
}

/// Text of a URL without its percent-encoding.
fn percent_decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn number(name: &str, value: &str) -> Result<u32, InvalidDirections> {
    let (name, value) = (name.to_owned(), percent_decoded(value));
    value.parse().map_err(|_| InvalidDirections::NoNumber { name, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Directions, InvalidDirections> {
        Directions::parse(&format!("ws://host:1/v1/messages/json?{query}").parse().unwrap())
    }

    fn topics(list: &[&'static str]) -> Vec<Bytes> {
        list.iter().map(|topic| Bytes::from_static(topic.as_bytes())).collect()
    }

    #[test]
    fn the_parameters_say_what_goes_where() {
        let directions = parse("to=/a/&from=/b%26&from=/c&access_token=x%2By").unwrap();
        assert_eq!(directions.to, ["/a/"]);
        assert_eq!(directions.from, Some(vec!["/b&".to_owned(), "/c".to_owned()]));
        let url: Address = "ws://host:1/v1/messages/json?to=/a/".parse().unwrap();
        let (server, token) = directions.server(&url);
        assert_eq!(server.to_string(), "ws://host:1/v1/messages/json");
        assert_eq!(token.as_deref(), Some("x+y"));
    }

    #[test]
    fn what_nobody_can_mean_is_refused() {
        for (query, reason) in [
            ("to", "a value is missing"),
            ("from=/a&to", "a value is missing"),
            ("bogus=1", "there is no such parameter"),
            ("To=/a", "there is no such parameter"),
            ("to=%zz", "a percent sign"),
            ("to=/a%2", "a percent sign"),
        ] {
            let error = parse(query).unwrap_err().to_string();
            assert!(error.contains(reason), "{query}: {error}");
        }
        assert_eq!(parse("to=").unwrap().to, [""]);
        let native = |query: &str| {
            Directions::check_native(&format!("ws://host:1/v1/native{query}").parse().unwrap())
        };
        assert_eq!((native(""), native("?access_token=x")), (Ok(()), Ok(())));
        assert!(native("?to=/a").is_err() && native("?bogus=1").is_err());
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
    fn bounds_are_numbers() {
        let directions = parse("transit=2&repeats=0").unwrap();
        assert_eq!((directions.transit, directions.repeats), (2, 0));
        assert_eq!(parse("").unwrap(), Directions::default());
        for query in ["transit=", "transit=-1", "repeats=many", "repeats=4294967296"] {
            let error = parse(query).unwrap_err().to_string();
            assert!(error.starts_with(query), "{error}");
        }
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
