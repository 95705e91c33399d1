//! What the configuration file and the options come to. The file is TOML with the keys of
//! [`Config`], of the transports, and some of its own.

use crate::choice::PeerList;
use crate::failure::Failure;
use crate::output::Format;
use crate::reporter::LogFormat;
use broker::core::limits::optional_seconds;
use broker::{Address, Config, EndpointId, OverflowPolicy, TransportOptions};
use serde::{Deserialize, Deserializer, de::Error as _};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// How a command is configured.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    pub(crate) config: Config,
    pub(crate) transports: TransportOptions,
    #[cfg(feature = "http")]
    pub(crate) http: crate::http::HttpOptions,
    pub(crate) listen: Vec<Address>,
    /// Those that all are peered with.
    pub(crate) peers: Vec<Address>,
    /// Lists of which one each is peered with.
    pub(crate) choices: Vec<Vec<Address>>,
    pub(crate) forward: Vec<String>,
    /// The name of this endpoint.
    pub(crate) name: Option<String>,
    /// Names of others, by id, address or host.
    pub(crate) names: BTreeMap<String, String>,
    /// Where the id of this endpoint is kept.
    pub(crate) endpoint_id_file: Option<PathBuf>,
    /// Whether events go to standard output.
    pub(crate) events: bool,
    pub(crate) output: Option<Format>,
    pub(crate) log_format: LogFormat,
    /// Where the node can be told what to do while it runs.
    pub(crate) admin: Option<PathBuf>,
    /// Whether the node tells the others of the overlay about itself.
    pub(crate) announce: bool,
    /// The time between attempts to peer, if it is configured.
    pub(crate) retry: Option<Duration>,
    /// Whether the file says for how long a write may be stalled.
    pub(crate) names_stalled_write: bool,
}

/// The longest file that is read, in bytes. Without a bound, `/dev/zero` would be read forever.
const LONGEST: u64 = 1024 * 1024;

/// The key of the policy for slow peers, whose default depends on the command.
const OVERFLOW_POLICY: &str = "overflow-policy";

/// The keys that are not part of the endpoint's configuration but options of the command line.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Own {
    #[serde(deserialize_with = "parsed")]
    listen: Vec<Address>,
    #[serde(deserialize_with = "parsed")]
    peer: Vec<PeerList>,
    forward: Vec<String>,
    name: Option<String>,
    names: BTreeMap<String, String>,
    endpoint_id_file: Option<PathBuf>,
    events: bool,
    output: Option<Format>,
    log_format: LogFormat,
    admin: Option<PathBuf>,
    announce: bool,
    #[serde(with = "optional_seconds")]
    retry: Option<Duration>,
    #[cfg(feature = "http")]
    http: crate::http::HttpOptions,
}

/// Its keys.
const OWN_KEYS: &[&str] = &[
    "listen",
    "peer",
    "forward",
    "name",
    "names",
    "endpoint-id-file",
    "events",
    "output",
    "log-format",
    "admin",
    "announce",
    "retry",
    #[cfg(feature = "http")]
    "http",
];

impl Settings {
    /// The same for a command that is there for its user alone: nobody gets the messages of others
    /// from it.
    pub(crate) fn into_leaf(mut self) -> Self {
        self.config.forwarding = false;
        self
    }

    /// Reads a file, if there is one. If it does not say what happens to messages for slow peers,
    /// `default_policy` does.
    pub(crate) fn read(
        path: Option<&Path>,
        default_policy: OverflowPolicy,
    ) -> Result<Self, Failure> {
        let Some(path) = path else {
            return Self::parse("", default_policy)
                .map_err(|error| Failure::usage(error.message().to_owned()));
        };
        let refused = |reason: String| Failure::usage(format!("{}{reason}", path.display()));
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text))
            .map_err(|error| refused(format!(": {error}")))?;
        if text.len() as u64 > LONGEST {
            return Err(refused(format!(": it is longer than {LONGEST} bytes")));
        }
        let mut settings = Self::parse(&text, default_policy).map_err(|error| {
            let line = match error.span() {
                Some(span) => format!(", line {}", line_of(&text, span.start)),
                None => String::new(),
            };
            refused(format!("{line}: {}", describe(&error, &text)))
        })?;
        if let Some(directory) = path.parent() {
            settings.resolve_from(directory);
        }
        Ok(settings)
    }

    /// Makes paths in a file relative to where the file is, wherever the program was started.
    fn resolve_from(&mut self, directory: &Path) {
        let own = [&mut self.endpoint_id_file, &mut self.admin];
        #[cfg(any(feature = "tls", feature = "quic"))]
        let tls = {
            let tls = &mut self.transports.tls;
            let authorities = [&mut tls.ca_file, &mut tls.ca_dir];
            [&mut tls.certificate, &mut tls.key, &mut tls.self_signed]
                .into_iter()
                .chain(authorities)
        };
        #[cfg(not(any(feature = "tls", feature = "quic")))]
        let tls = [];
        for path in own.into_iter().chain(tls).flatten() {
            *path = directory.join(&*path);
        }
    }

    /// The id in the file that the settings name, which is made if there is none.
    pub(crate) fn kept_id(&self) -> Result<Option<EndpointId>, Failure> {
        let Some(path) = &self.endpoint_id_file else { return Ok(None) };
        let failed = |error: &dyn std::fmt::Display| {
            Failure::usage(format!("endpoint-id-file: {}: {error}", path.display()))
        };
        match std::fs::read_to_string(path) {
            Ok(text) => text.trim().parse().map(Some).map_err(|error| failed(&error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let id = EndpointId::random();
                std::fs::write(path, format!("{id}\n")).map_err(|error| failed(&error))?;
                Ok(Some(id))
            }
            Err(error) => Err(failed(&error)),
        }
    }

    fn parse(text: &str, default_policy: OverflowPolicy) -> Result<Self, toml::de::Error> {
        let document = DeTable::parse(text)?;
        let span = document.span();
        let mut endpoint = document.into_inner();
        let own = take(&mut endpoint, OWN_KEYS);
        let transports = take(&mut endpoint, TransportOptions::TABLES);
        let names_stalled_write = endpoint
            .get("limits")
            .and_then(|limits| limits.get_ref().get("stalled-write"))
            .is_some();
        let says = |key| Spanned::new(0..0, key);
        endpoint
            .entry(says(OVERFLOW_POLICY.into()))
            .or_insert_with(|| Spanned::new(0..0, DeValue::String(default_policy.name().into())));
        let read = |table| toml::Deserializer::from(Spanned::new(span.clone(), table));
        let config = Config::deserialize(read(endpoint))?;
        let own = Own::deserialize(read(own))?;
        let transports = TransportOptions::deserialize(read(transports))?;
        let mut settings = Self {
            config,
            transports,
            #[cfg(feature = "http")]
            http: own.http,
            listen: own.listen,
            peers: Vec::new(),
            choices: Vec::new(),
            forward: own.forward,
            name: own.name,
            names: own.names,
            endpoint_id_file: own.endpoint_id_file,
            events: own.events,
            output: own.output,
            log_format: own.log_format,
            admin: own.admin,
            announce: own.announce,
            retry: own.retry,
            names_stalled_write,
        };
        settings.set_peers(own.peer);
        Ok(settings)
    }

    /// Replaces the peers. A list of one is a peer like any other.
    pub(crate) fn set_peers(&mut self, lists: Vec<PeerList>) {
        let (peers, choices) = lists.into_iter().partition::<Vec<_>, _>(|list| list.0.len() == 1);
        self.peers = peers.into_iter().flat_map(|list| list.0).collect();
        self.choices = choices.into_iter().map(|list| list.0).collect();
    }

    pub(crate) fn has_no_peers(&self) -> bool {
        self.peers.is_empty() && self.choices.is_empty()
    }

    /// The addresses of all peers.
    pub(crate) fn all_peers(&self) -> impl Iterator<Item = &Address> {
        self.peers.iter().chain(self.choices.iter().flatten())
    }

    /// The same, to be changed.
    pub(crate) fn all_peers_mut(&mut self) -> impl Iterator<Item = &mut Address> {
        self.peers.iter_mut().chain(self.choices.iter_mut().flatten())
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
        for key in OWN_KEYS.iter().chain(TransportOptions::TABLES) {
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

fn parsed<'de, T, D>(from: D) -> Result<Vec<T>, D::Error>
where
    T: FromStr<Err: Display>,
    D: Deserializer<'de>,
{
    let texts = Vec::<String>::deserialize(from)?;
    texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn refusal(text: &str) -> String {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        Settings::read(Some(file.path()), OverflowPolicy::Wait).unwrap_err().to_string()
    }

    #[test]
    fn what_a_file_chooses_goes_before_the_default_of_the_command() {
        let chosen = |text| {
            let file = Settings::parse(text, OverflowPolicy::Wait).unwrap();
            (file.config.overflow_policy, file.names_stalled_write)
        };
        assert_eq!(chosen(""), (OverflowPolicy::Wait, false));
        let text = "overflow-policy = \"drop_oldest\"\n[limits]\nbye = 1";
        assert_eq!(chosen(text), (OverflowPolicy::DropOldest, false));
        assert_eq!(chosen("[limits]\nstalled-write = 10"), (OverflowPolicy::Wait, true));
    }

    #[cfg(unix)]
    #[test]
    fn what_has_no_end_is_no_configuration() {
        let endless = Settings::read(Some(Path::new("/dev/zero")), OverflowPolicy::Wait);
        let error = endless.unwrap_err().to_string();
        assert_eq!(error, "/dev/zero: it is longer than 1048576 bytes");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, line, reason) in [
            ("forwarding = true\nforwading = true\n", 2, "unknown field `forwading`"),
            ("lisen = []\n", 1, "`endpoint-id`, `forwarding`,"),
            ("lisen = []\n", 1, "`limits`, `listen`, `peer`, `forward`, `name`,"),
            #[cfg(feature = "http")]
            ("[http]\nconections = 9\n", 2, "unknown field `conections`"),
            ("\n\n[limits]\nframes = 1\n", 4, "unknown field `frames`"),
            ("listen = [\n \"host\"\n]\n", 1, "the port is missing"),
            #[cfg(feature = "tls")]
            ("[tls]\ncertificat = \"x\"\n", 2, "unknown field `certificat`"),
            ("forwarding = 3\n", 1, "invalid type: integer `3`, expected a boolean"),
            ("forward = [\n", 1, "unclosed array"),
            ("retry = -1\n", 1, "-1 is not a number of seconds"),
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
