use crate::{Directions, InvalidDirections};
use broker_core::Address;
use percent_encoding::percent_decode_str;

/// The parameters that addresses of every kind have; see [`Directions`].
const COMMON: [&str; 6] = ["to", "from", "event", "transit", "repeats", "largest"];

/// What addresses of one kind of bridge look like. [`KINDS`](crate::KINDS) has those of this build.
///
/// An address is `scheme://HOST:PORT[PATH]?to=PREFIX&from=PREFIX…`: the parameters of
/// [`Directions`], which all kinds share, and those that only this kind knows.
#[derive(Debug)]
pub struct BridgeKind {
    /// The word for it in messages, statuses and the checks of `doctor`.
    pub name: &'static str,
    /// What `doctor` says when it has reached the other side.
    pub reached: &'static str,
    /// The schemes of its addresses.
    pub schemes: &'static [&'static str],
    /// The path that its addresses have, which one without a path means; with another path an
    /// address is no bridge. `None` is for schemes whose every address is a bridge.
    pub path: Option<&'static str>,
    /// The parameters that only this kind has.
    pub parameters: &'static [&'static str],
    /// The longest message that the other side takes if the address does not say, in bytes; zero is
    /// without a bound.
    pub largest: u32,
    /// Events that must not cross, whichever way: names, or with a `*` at the end how they begin.
    pub forbidden: &'static [&'static str],
    /// Checks the values of the kind's own parameters, and says what is wrong with them.
    pub check: fn(&BridgeAddress) -> Result<(), String>,
}

/// An address of a bridge, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeAddress {
    /// What goes which way.
    pub directions: Directions,
    /// The parameters of the kind, in order, without their percent-encoding.
    parameters: Vec<(&'static str, String)>,
}

impl BridgeKind {
    /// The kind of bridge that an address stands for, if it stands for one.
    #[must_use]
    pub fn of(url: &Address) -> Option<&'static Self> {
        crate::KINDS.iter().copied().find(|kind| kind.is_of(url))
    }

    /// The address as it is dialled: where a bridge has a path and the address has none, that one.
    #[must_use]
    pub fn complete(url: Address) -> Address {
        let lacks =
            |kind: &&&Self| kind.schemes.contains(&url.scheme()) && matches!(url.path(), "" | "/");
        match crate::KINDS.iter().find(lacks).and_then(|kind| kind.path) {
            Some(path) => url.with_path(path),
            None => url,
        }
    }

    fn is_of(&self, url: &Address) -> bool {
        self.schemes.contains(&url.scheme()) && self.path.is_none_or(|path| url.path() == path)
    }

    /// Takes an address of this kind apart.
    ///
    /// # Errors
    ///
    /// A parameter is unknown or has no usable value, or a topic would go both ways.
    pub fn parse(&self, url: &Address) -> Result<BridgeAddress, InvalidDirections> {
        let mut directions = Directions { largest: self.largest, ..Directions::default() };
        let mut parameters = Vec::new();
        for part in url.query().split('&').filter(|part| !part.is_empty()) {
            let (name, value) = self.parameter(part)?;
            let value = decoded(value);
            match self.parameters.iter().find(|own| **own == name) {
                Some(own) => parameters.push((*own, value)),
                None => directions.set(name, value)?,
            }
        }
        directions.check()?;
        let address = BridgeAddress { directions, parameters };
        (self.check)(&address).map_err(InvalidDirections::Parameter)?;
        Ok(address)
    }

    /// Name and value of a parameter, if this kind has one of that name.
    fn parameter<'a>(&self, part: &'a str) -> Result<(&'a str, &'a str), InvalidDirections> {
        let known = || COMMON.iter().chain(self.parameters);
        check_escapes(part)?;
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (part, None),
        };
        if !known().any(|known| *known == name) {
            let known: Vec<&str> = known().copied().collect();
            // Without its value, which may be a token under a name that is spelled wrongly.
            return Err(InvalidDirections::Unknown(name.to_owned(), known.join(", ")));
        }
        let value = value.ok_or_else(|| InvalidDirections::NoValue(part.to_owned()))?;
        Ok((name, value))
    }
}

impl BridgeAddress {
    /// The last value of a parameter of the kind.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut named = self.parameters.iter().filter(|(own, _)| *own == name);
        named.next_back().map(|(_, value)| value.as_str())
    }

    /// Every value of a parameter of the kind, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.parameters.iter().filter(move |(own, _)| *own == name);
        named.map(|(_, value)| value.as_str())
    }
}

/// Checks the parameters of an address whose scheme bridges have, and which is none because of its
/// path. The only parameter such an address has is `access_token`.
///
/// # Errors
///
/// They cannot be meant like that.
pub fn check_native(url: &Address) -> Result<(), InvalidDirections> {
    const TOKEN: &str = "access_token";
    for part in url.query().split('&').filter(|part| !part.is_empty()) {
        check_escapes(part)?;
        match part.split_once('=').map_or((part, false), |(name, _)| (name, true)) {
            (TOKEN, true) => {}
            (TOKEN, false) => return Err(InvalidDirections::NoValue(part.to_owned())),
            (name, _) if COMMON.contains(&name) => {
                return Err(InvalidDirections::NoBridge(part.to_owned()));
            }
            (name, _) => {
                return Err(InvalidDirections::Unknown(name.to_owned(), TOKEN.to_owned()));
            }
        }
    }
    Ok(())
}

fn check_escapes(part: &str) -> Result<(), InvalidDirections> {
    let is_escape = |text: &str| {
        text.as_bytes().first_chunk::<2>().is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    };
    match part.split('%').skip(1).all(is_escape) {
        true => Ok(()),
        false => Err(InvalidDirections::Escape(part.to_owned())),
    }
}

/// Text of an address without its percent-encoding.
fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    static ROUND: BridgeKind = BridgeKind {
        name: "round",
        reached: "",
        schemes: &["round"],
        path: None,
        parameters: &["corner", "access_token"],
        largest: 100,
        forbidden: &[],
        check: |address| match address.get("corner") {
            Some("round") => Err("corner=round: there is none".to_owned()),
            _ => Ok(()),
        },
    };

    fn parse(query: &str) -> Result<BridgeAddress, InvalidDirections> {
        ROUND.parse(&format!("round://host:1?{query}").parse().unwrap())
    }

    #[test]
    fn the_parameters_say_what_goes_where_and_what_the_kind_wants() {
        let address =
            parse("to=/a/&from=/b%26&corner=x%2By&from=/c&corner=z&event=a&event=b*").unwrap();
        assert_eq!(address.directions.to, ["/a/"]);
        assert_eq!(address.directions.from, Some(vec!["/b&".to_owned(), "/c".to_owned()]));
        assert_eq!(address.directions.events, ["a", "b*"]);
        assert_eq!(address.directions.largest, 100);
        assert_eq!(address.all("corner").collect::<Vec<_>>(), ["x+y", "z"]);
        assert_eq!((address.get("corner"), address.get("other")), (Some("z"), None));
    }

    #[test]
    fn what_nobody_can_mean_is_refused() {
        for (query, reason) in [
            ("to", "a value is missing"),
            ("from=/a&to", "a value is missing"),
            ("corner", "a value is missing"),
            ("bogus=1", "there is no such parameter"),
            ("To=/a", "there is no such parameter"),
            ("to=%zz", "a percent sign"),
            ("to=/a%2", "a percent sign"),
            ("corner=round", "there is none"),
        ] {
            let error = parse(query).unwrap_err().to_string();
            assert!(error.contains(reason), "{query}: {error}");
        }
        assert!(parse("bogus=1").unwrap_err().to_string().contains("corner"));
        assert_eq!(parse("to=").unwrap().directions.to, [""]);
        let native =
            |query: &str| check_native(&format!("ws://host:1/v1/native{query}").parse().unwrap());
        assert_eq!((native(""), native("?access_token=x")), (Ok(()), Ok(())));
        assert!(native("?to=/a").is_err() && native("?bogus=1").is_err());
        assert!(native("?access_token").is_err());
        for query in ["acces_token=s3cret", "access%5Ftoken=s3cret", "Access_Token=s3cret"] {
            for error in [parse(query).unwrap_err(), native(&format!("?{query}")).unwrap_err()] {
                assert!(!error.to_string().contains("s3cret"), "{error}");
            }
        }
    }

    #[test]
    fn bounds_are_numbers() {
        let directions = parse("transit=2&repeats=0").unwrap().directions;
        assert_eq!((directions.transit, directions.repeats), (2, 0));
        for query in ["transit=", "transit=-1", "repeats=many", "repeats=4294967296"] {
            let error = parse(query).unwrap_err().to_string();
            assert!(error.starts_with(query), "{error}");
        }
    }
}
