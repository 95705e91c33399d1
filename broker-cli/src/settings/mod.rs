//! What the configuration file, the environment and the options come to. The file is TOML with the
//! keys of [`Config`], of the transports, and some of its own.

mod document;
mod dump;
mod environment;
mod layers;
mod schema;

pub(crate) use layers::{Layers, in_full};

use crate::choice::PeerList;
use crate::failure::Failure;
use crate::output::Format;
use crate::reporter::LogFormat;
use broker::{Address, Config, EndpointId, TransportOptions};
use document::{Document, describe, parse};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Where values come from that nobody has set.
const DEFAULT: &str = "default";

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
    /// Whether it is said for how long a write may be stalled.
    pub(crate) names_stalled_write: bool,
}

impl Settings {
    /// The same for a command that is there for its user alone: nobody gets the messages of others
    /// from it.
    pub(crate) fn into_leaf(mut self) -> Self {
        self.config.forwarding = false;
        self
    }

    /// What has been said in all layers.
    pub(crate) fn of(mut layers: Layers) -> Result<Self, Failure> {
        layers.complete(&|name| std::env::var_os(name))?;
        let text = layers.into_text()?;
        let document = parse(&text).map_err(|error| Failure::usage(describe(&error, &text)))?;
        let Document { config, own, transports, names_stalled_write } = document;
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

#[cfg(test)]
mod tests {
    use super::*;
    use broker::OverflowPolicy;
    use std::io::Write;
    use std::path::Path;

    /// What a file says, without an environment.
    fn read(path: &Path) -> Result<Settings, Failure> {
        Settings::of(Layers::of(Some(path), &|_| None, OverflowPolicy::Wait)?)
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn refusal(text: &str) -> String {
        read(file(text).path()).unwrap_err().to_string()
    }

    #[test]
    fn what_a_file_chooses_goes_before_the_default_of_the_command() {
        let chosen = |text| {
            let said = read(file(text).path()).unwrap();
            (said.config.overflow_policy, said.names_stalled_write)
        };
        assert_eq!(chosen(""), (OverflowPolicy::Wait, false));
        let text = "overflow-policy = \"drop_oldest\"\n[limits]\nbye = 1";
        assert_eq!(chosen(text), (OverflowPolicy::DropOldest, false));
        assert_eq!(chosen("[limits]\nstalled-write = 10"), (OverflowPolicy::Wait, true));
    }

    #[cfg(unix)]
    #[test]
    fn what_has_no_end_is_no_configuration() {
        let error = read(Path::new("/dev/zero")).unwrap_err().to_string();
        assert_eq!(error, "/dev/zero: it is longer than 1048576 bytes");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, line, reason) in [
            ("forwarding = true\nforwading = true\n", 2, "unknown field `forwading`"),
            ("lisen = []\n", 1, "; did you mean `listen`?"),
            ("[limits]\noutbox-mesages = 1\n", 2, "; did you mean `outbox-messages`?"),
            ("stalled-write = 1\n", 1, "; did you mean `limits.stalled-write`?"),
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
