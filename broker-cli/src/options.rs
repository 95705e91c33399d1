//! The options that the commands with an endpoint have in common.

use crate::choice::PeerList;
use crate::failure::Failure;
use crate::output::Format;
use crate::reporter::LogFormat;
use crate::settings::{Layers, Settings, in_full};
use broker::event::Severity;
use broker::{Address, EndpointId, LoopPolicy, OverflowPolicy, Preset, Retry};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Arg, Args, Command, ValueEnum};
use std::ffi::OsStr;
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// What a command with an endpoint can be told about it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Endpoint")]
pub(crate) struct EndpointOptions {
    /// Accept peers at this address; may be repeated. Port 0 picks a free port, an empty host
    /// stands for all addresses of this machine, and 9999/tcp for :9999 [default: do not listen]
    #[arg(long, value_name = "URL", value_parser = UrlParser::default())]
    pub(crate) listen: Vec<Address>,

    /// Peer with this address; may be repeated. Several with commas between them are a list of
    /// which one is peered with, the first that can be reached: the next one takes over when it is
    /// lost, and the first one again when it is back. An empty host stands for 127.0.0.1
    /// [default: none]
    #[arg(long, value_name = "URL", value_parser = Secretly::<PeerList>::default())]
    peer: Vec<PeerList>,

    /// Try again this long after a peering could not be made or was lost; 0 = never
    /// [default: node 1; others try once, and `sub` comes back after 1 when a peering is lost]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    pub(crate) retry: Option<Duration>,

    /// The id of this endpoint [default: a fresh random one]
    #[arg(long, value_name = "UUID")]
    endpoint_id: Option<EndpointId>,

    /// Ask peers for topics with this prefix and pass them on to the peers that want them, without
    /// a consumer of its own; may be repeated [default: none]
    #[arg(long, value_name = "PREFIX")]
    forward: Vec<String>,

    /// Do not pass messages of one peer on to others [default: pass them on]
    #[arg(long)]
    disable_forwarding: bool,

    /// Do not tell peers what is wanted behind this endpoint, and speak version 1 of the protocol
    /// only, as the C++ Broker does [default: tell them]
    #[arg(long)]
    no_relay: bool,

    /// What becomes of messages that peers of version 1 bring back, as in a circle: warn tells of
    /// it and lets them pass, drop tells of it and drops them [default: warn]
    #[arg(long, value_name = "POLICY", value_parser = loop_policies())]
    loops: Option<LoopPolicy>,

    /// Read this TOML file first; variables of the environment override what it says, and options
    /// of the command line both. BROKER_CONFIG names one as well [default: none]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Read ~/.config/broker/NAME.toml first, if there is no --config; BROKER_CONTEXT names one
    /// as well [default: none]
    #[arg(long, value_name = "NAME", conflicts_with = "config")]
    context: Option<String>,

    /// What happens to messages for a peer that reads too slowly. With wait, own messages wait;
    /// messages passed on for other peers are dropped like with drop_newest [default: pub wait,
    /// others drop_oldest]
    #[arg(long, value_name = "POLICY", value_parser = policies())]
    overflow: Option<OverflowPolicy>,

    /// How many messages may wait for each peer [default: 8192]
    #[arg(long, value_name = "N", value_parser = count)]
    peer_buffer_size: Option<NonZeroUsize>,

    /// Queue settings of a known implementation: broker (2048 messages, then disconnect) or zeek
    /// (8192 messages, then drop the oldest; no forwarding) [default: none]
    #[arg(long, value_name = "NAME", value_parser = presets())]
    preset: Option<Preset>,

    /// What others call this endpoint, in their tables and logs [default: none]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Keep the id of this endpoint in this file, so that it is the same after a restart
    /// [default: a fresh random id]
    #[arg(long, value_name = "FILE", conflicts_with = "endpoint_id")]
    endpoint_id_file: Option<PathBuf>,

    /// The form of the log of a node: text or json [default: text]
    #[arg(long, value_name = "FORM", value_enum, hide_possible_values = true)]
    log_format: Option<LogFormat>,

    /// The least grave log events to show [default: warning]
    #[arg(long, value_name = "LEVEL", value_parser = levels())]
    log_level: Option<Severity>,

    /// Show what happens to peerings, errors and log events on standard output. Without this,
    /// errors and log events go to standard error
    #[arg(long)]
    events: bool,

    #[cfg(any(feature = "tls", feature = "quic"))]
    #[command(flatten)]
    tls: crate::tls_options::TlsArgs,

    #[cfg(feature = "ws")]
    #[command(flatten)]
    ws: crate::ws_options::WsArgs,

    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

/// The form of standard output.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputOptions {
    /// The form of standard output: json (JSON Lines), text for people, or zeek: JSON Lines in
    /// which events are {"ts","topic","event","args"} [default: text on a terminal, else json]
    #[arg(long, value_enum, value_name = "FORM", hide_possible_values = true)]
    output: Option<Format>,
}

impl OutputOptions {
    /// The form that was asked for, or the one that fits what standard output is.
    pub(crate) fn format(&self) -> Format {
        self.output.unwrap_or_else(Format::detect)
    }
}

/// Where a peer is looked for that nothing else is said of: where Zeek's manager listens.
const DEFAULT_PEER: &str = "127.0.0.1:9999";

impl EndpointOptions {
    /// As [`Self::settle`], for commands that need somebody to talk to: without a peer and a
    /// listener that is a node of this machine.
    pub(crate) fn settle_with_peer(&self, policy: OverflowPolicy) -> Result<Settings, Failure> {
        let mut settings = self.settle(policy)?;
        if settings.listen.is_empty() && settings.has_no_peers() {
            settings.set_peers(vec![DEFAULT_PEER.parse().map_err(Failure::usage)?]);
        }
        Ok(settings)
    }

    /// Reads the file and the environment and puts the options over what they say.
    /// `default_policy` is for slow peers, if none of them says anything about them.
    pub(crate) fn settle(&self, default_policy: OverflowPolicy) -> Result<Settings, Failure> {
        Self::complete(self.layers(default_policy)?)
    }

    /// What the layers come to.
    pub(crate) fn complete(layers: Layers) -> Result<Settings, Failure> {
        let mut settings = Settings::of(layers)?;
        if let Some(id) = settings.kept_id()? {
            settings.config.endpoint_id = Some(id);
        }
        settings.all_peers_mut().for_each(|url| *url = dialable(url.clone()));
        Ok(settings)
    }

    /// The file, the environment and these options.
    pub(crate) fn layers(&self, default_policy: OverflowPolicy) -> Result<Layers, Failure> {
        let (config, context) = (self.config.as_deref(), self.context.as_deref());
        let mut layers = Layers::read(config, context, default_policy)?;
        let to = &mut layers;
        if let Some(preset) = self.preset {
            let origin = match preset {
                Preset::Broker => "--preset broker",
                _ => "--preset zeek",
            };
            to.set_preset(preset, origin);
        }
        let addresses = self.listen.iter().map(in_full);
        to.list("--listen", "listen", addresses);
        let list =
            |PeerList(list): &PeerList| list.iter().map(in_full).collect::<Vec<_>>().join(",");
        to.list("--peer", "peer", self.peer.iter().map(list));
        to.option("--retry", "retry", self.retry.map(|time| time.as_secs_f64()));
        to.path("--endpoint-id-file", "endpoint-id-file", self.endpoint_id_file.as_ref())?;
        to.option("--endpoint-id", "endpoint-id", self.endpoint_id.map(|id| id.to_string()));
        to.list("--forward", "forward", self.forward.iter().cloned());
        to.switch("--disable-forwarding", "forwarding", self.disable_forwarding, false);
        to.switch("--no-relay", "relay", self.no_relay, false);
        to.option(
            "--loops",
            "loops",
            self.loops.map(|policy| match policy {
                LoopPolicy::Drop => "drop",
                _ => "warn",
            }),
        );
        to.option("--overflow", "overflow-policy", self.overflow.map(OverflowPolicy::name));
        let size = self.peer_buffer_size.map(NonZeroUsize::get).map(i64::try_from);
        let size = size.transpose().map_err(|error| Failure::usage(error.to_string()))?;
        to.option("--peer-buffer-size", "limits.outbox-messages", size);
        to.option("--name", "name", self.name.clone());
        to.option("--log-format", "log-format", self.log_format.map(word));
        to.option("--log-level", "log-level", self.log_level.map(Severity::name));
        to.switch("--events", "events", self.events, true);
        to.option("--output", "output", self.output.output.map(word));
        #[cfg(any(feature = "tls", feature = "quic"))]
        self.tls.add_to(to)?;
        #[cfg(feature = "ws")]
        self.ws.add_to(to);
        Ok(layers)
    }
}

/// The word for a value of an option that is one of several.
fn word(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// The address as it is dialled: without a host it means this machine.
pub(crate) fn dialable(url: Address) -> Address {
    let has_place = url.is_local_path() || !url.host().is_empty();
    let url = if has_place { url } else { url.with_host("127.0.0.1") };
    #[cfg(feature = "bridge")]
    let url = broker::bridge::BridgeKind::complete(url);
    url
}

/// The retry that an option of this many seconds asks for.
pub(crate) fn retry(time: Option<Duration>) -> Retry {
    time.map_or(Retry::never(), Retry::every)
}

/// Times on the command line: seconds, fractions allowed.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(number)
        .map_err(|_| "a number of seconds is not negative, and finite".to_owned())
}

/// Addresses on the command line. What is wrong is told without the argument as it was written:
/// that may have a secret in it, and what is told ends up in logs.
pub(crate) type UrlParser = Secretly<Address>;

/// Parses what may contain a secret, and so does not repeat it when it is wrong.
#[derive(Clone)]
pub(crate) struct Secretly<T>(PhantomData<T>);

impl<T> Default for Secretly<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T> TypedValueParser for Secretly<T>
where
    T: FromStr<Err: ToString> + Clone + Send + Sync + 'static,
{
    type Value = T;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<T, clap::Error> {
        let parsed = value.to_str().ok_or_else(|| "it is not UTF-8".to_owned());
        let parsed = parsed.and_then(|text| text.parse::<T>().map_err(|error| error.to_string()));
        parsed.map_err(|reason| {
            let name = argument.map(ToString::to_string).unwrap_or_default();
            let text = format!("invalid value for '{name}': {reason}\n");
            clap::Error::raw(ErrorKind::ValueValidation, text).with_cmd(command)
        })
    }
}

/// Numbers from 1 on.
fn count(text: &str) -> Result<NonZeroUsize, String> {
    positive::<usize>(text)?.try_into().map_err(|error| format!("{error}"))
}

pub(crate) fn positive<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    let number = text.parse().ok().filter(|number: &u64| *number > 0);
    number.and_then(|number| number.try_into().ok()).ok_or("not a whole number from 1 on".into())
}

fn policies() -> impl TypedValueParser<Value = OverflowPolicy> {
    PossibleValuesParser::new(["disconnect", "drop_newest", "drop_oldest", "wait"])
        .try_map(|name| name.parse::<OverflowPolicy>())
}

fn loop_policies() -> impl TypedValueParser<Value = LoopPolicy> {
    PossibleValuesParser::new(["warn", "drop"]).map(|name| match name.as_str() {
        "drop" => LoopPolicy::Drop,
        _ => LoopPolicy::Warn,
    })
}

fn presets() -> impl TypedValueParser<Value = Preset> {
    PossibleValuesParser::new(["broker", "zeek"]).map(|name| match name.as_str() {
        "broker" => Preset::Broker,
        _ => Preset::Zeek,
    })
}

/// The levels, the gravest first.
pub(crate) const LEVELS: [Severity; 6] = [
    Severity::Critical,
    Severity::Error,
    Severity::Warning,
    Severity::Info,
    Severity::Verbose,
    Severity::Debug,
];

pub(crate) fn levels() -> impl TypedValueParser<Value = Severity> {
    PossibleValuesParser::new(LEVELS.map(Severity::name)).try_map(|name| {
        LEVELS.into_iter().find(|level| level.name() == name).ok_or("no such level")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use std::io::Write;

    #[derive(Parser)]
    struct Options {
        #[command(flatten)]
        endpoint: EndpointOptions,
    }

    fn settle(args: &[&str]) -> Settings {
        let args = std::iter::once(&"test").chain(args);
        let options = Options::try_parse_from(args).unwrap_or_else(|error| panic!("{error}"));
        options.endpoint.settle(OverflowPolicy::DropOldest).unwrap()
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn the_command_line_overrides_the_file() {
        let file = file(
            "forwarding = false\noverflow-policy = \"disconnect\"\nlog-level = \"debug\"\n\
             listen = [\"127.0.0.1:1\"]\npeer = [\"host:2\", \"3/tcp\"]\nforward = [\"/a\"]\n\
             retry = 0.5\n[limits]\noutbox-messages = 7\nbye = 1\n",
        );
        let path = file.path().to_str().unwrap();
        let from_file = settle(&["--config", path]);
        assert!(!from_file.config.forwarding);
        assert_eq!(from_file.config.overflow_policy, OverflowPolicy::Disconnect);
        assert_eq!(from_file.config.log_level, Severity::Debug);
        assert_eq!(from_file.config.limits.outbox_messages.get(), 7);
        assert_eq!(from_file.config.limits.bye, Duration::from_secs(1));
        assert_eq!(from_file.listen, ["127.0.0.1:1".parse().unwrap()]);
        let peers = ["host:2".parse().unwrap(), "127.0.0.1:3".parse().unwrap()];
        assert_eq!(from_file.peers, peers);
        assert_eq!(from_file.retry, Some(Duration::from_millis(500)));
        let settings = settle(&[
            "--config",
            path,
            "--listen",
            "[::1]:9",
            "--peer",
            "other:4",
            "--retry",
            "0",
            "--overflow",
            "wait",
            "--peer-buffer-size",
            "5",
            "--log-level",
            "error",
            "--forward",
            "/b",
        ]);
        assert_eq!(settings.config.overflow_policy, OverflowPolicy::Wait);
        assert_eq!(settings.config.log_level, Severity::Error);
        assert_eq!(settings.config.limits.outbox_messages.get(), 5);
        assert_eq!(settings.listen, ["[::1]:9".parse().unwrap()]);
        assert_eq!(settings.peers, ["other:4".parse().unwrap()]);
        assert_eq!(settings.forward, ["/b"]);
        assert_eq!(settings.retry, Some(Duration::ZERO));
    }

    #[test]
    fn a_preset_yields_to_single_options() {
        let zeek = settle(&["--preset", "zeek"]).config;
        assert!(!zeek.forwarding);
        let broker = settle(&["--preset", "broker", "--peer-buffer-size", "9"]).config;
        assert_eq!(broker.limits.outbox_messages.get(), 9);
        assert_eq!(broker.overflow_policy, OverflowPolicy::Disconnect);
    }
}
