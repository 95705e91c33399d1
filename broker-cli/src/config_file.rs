//! The configuration file: TOML with the keys of [`Config`] and the addresses.

use crate::failure::Failure;
use crate::options::seconds;
use broker::{Config, TransportOptions, Url};
use serde::{Deserialize, Deserializer, de::Error as _};
use std::path::Path;
use std::time::Duration;
use toml::Spanned;
use toml::de::DeTable;

/// What a configuration file says.
#[derive(Debug, Default)]
pub(crate) struct ConfigFile {
    pub(crate) config: Config,
    pub(crate) transports: TransportOptions,
    pub(crate) listen: Vec<Url>,
    pub(crate) peer: Vec<Url>,
    pub(crate) forward: Vec<String>,
    pub(crate) retry: Option<Duration>,
    /// Whether the policy for slow peers is the choice of the file or the default.
    pub(crate) names_overflow_policy: bool,
    /// The same for the limit on stalled writes.
    pub(crate) names_stalled_write: bool,
}

/// The keys that are not part of the endpoint's configuration but options of the command line.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Links {
    #[serde(deserialize_with = "urls")]
    listen: Vec<Url>,
    #[serde(deserialize_with = "urls")]
    peer: Vec<Url>,
    forward: Vec<String>,
    #[serde(deserialize_with = "optional_seconds")]
    retry: Option<Duration>,
}

const LINK_KEYS: [&str; 4] = ["listen", "peer", "forward", "retry"];

impl ConfigFile {
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
        Self::parse(&text).map_err(|error| {
            let line = match error.span() {
                Some(span) => format!(", line {}", line_of(&text, span.start)),
                None => String::new(),
            };
            Failure::usage(format!("{}{line}: {}", path.display(), describe(&error, &text)))
        })
    }

    fn parse(text: &str) -> Result<Self, toml::de::Error> {
        let document = DeTable::parse(text)?;
        let span = document.span();
        let mut endpoint = document.into_inner();
        let links = take(&mut endpoint, &LINK_KEYS);
        let transports = take(&mut endpoint, TransportOptions::TABLES);
        let names_stalled_write = endpoint
            .get("limits")
            .and_then(|limits| limits.get_ref().get("stalled-write"))
            .is_some();
        let names_overflow_policy = endpoint.contains_key("overflow-policy");
        let read = |table| toml::Deserializer::from(Spanned::new(span.clone(), table));
        let config = Config::deserialize(read(endpoint))?;
        let Links { listen, peer, forward, retry } = Links::deserialize(read(links))?;
        let transports = TransportOptions::deserialize(read(transports))?;
        Ok(Self {
            config,
            transports,
            listen,
            peer,
            forward,
            retry,
            names_overflow_policy,
            names_stalled_write,
        })
    }
}

/// What is wrong. Where a key of the file itself is unknown, this includes the keys that are not
/// part of the endpoint's configuration.
fn describe(error: &toml::de::Error, text: &str) -> String {
    let mut message = error.message().to_owned();
    let is_key_of_file = DeTable::parse(text).is_ok_and(|document| {
        document.get_ref().keys().any(|key| Some(key.span()) == error.span())
    });
    if is_key_of_file && message.starts_with("unknown field") {
        for key in LINK_KEYS.iter().chain(TransportOptions::TABLES) {
            message += &format!(", `{key}`");
        }
    }
    match key_of_value(error, text) {
        Some(key) => format!("{key}: {message}"),
        None => message,
    }
}

/// The key that stands before what is wrong, if that is a value on the line of its key.
fn key_of_value<'a>(error: &toml::de::Error, text: &'a str) -> Option<&'a str> {
    let before = text.get(..error.span()?.start)?;
    let line = before.rsplit('\n').next()?;
    line.trim_end().strip_suffix('=').map(str::trim)
}

/// Moves these keys to a table of their own.
fn take<'a>(from: &mut DeTable<'a>, keys: &[&str]) -> DeTable<'a> {
    keys.iter().filter_map(|key| from.remove_entry(*key)).collect()
}

/// The line, counted from 1, that an offset is in.
fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

fn urls<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Url>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
}

fn optional_seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let number = f64::deserialize(from)?;
    seconds(&number.to_string()).map(Some).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn refusal(text: &str) -> String {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        ConfigFile::read(file.path()).unwrap_err().to_string()
    }

    #[test]
    fn what_a_file_chooses_can_be_told_from_a_default() {
        let named = |text| {
            let file = ConfigFile::parse(text).unwrap();
            (file.names_overflow_policy, file.names_stalled_write)
        };
        assert_eq!(named(""), (false, false));
        assert_eq!(named("overflow-policy = \"drop_oldest\"\n[limits]\nbye = 1"), (true, false));
        assert_eq!(named("[limits]\nstalled-write = 10"), (false, true));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, line, reason) in [
            ("forwarding = true\nforwading = true\n", 2, "unknown field `forwading`"),
            ("lisen = []\n", 1, "`endpoint-id`, `forwarding`,"),
            ("lisen = []\n", 1, "`limits`, `listen`, `peer`, `forward`, `retry`"),
            ("\n\n[limits]\nframes = 1\n", 4, "unknown field `frames`"),
            ("listen = [\n \"host\"\n]\n", 1, "the port is missing"),
            #[cfg(feature = "tls")]
            ("[tls]\ncertificat = \"x\"\n", 2, "unknown field `certificat`"),
            ("forwarding = 3\n", 1, "invalid type: integer `3`, expected a boolean"),
            ("forward = [\n", 1, "unclosed array"),
            ("retry = -1\n", 1, "not negative"),
            ("[limits]\nframe = 0\n", 2, "frame: invalid value: integer `0`, expected a nonzero"),
            ("[limits]\nbye = -1\n", 2, "bye: -1 is not a number of seconds"),
            ("a = 1\nretry = \"x\"\n", 1, "unknown field `a`"),
        ] {
            let error = refusal(text);
            assert!(error.contains(&format!(", line {line}: ")), "{text:?} gave {error:?}");
            assert!(error.contains(reason), "{text:?} gave {error:?}");
        }
    }
}
