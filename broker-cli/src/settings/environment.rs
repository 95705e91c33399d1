//! What environment variables say: `BROKER_` and the name of a key or an option, and the variables
//! of the C++ library and of Zeek.

use super::document::{keys, nearest};
use super::layers::Layers;
use super::schema::Kind;
use crate::failure::Failure;
use broker::Preset;
use std::ffi::OsString;
use std::path::PathBuf;
use toml::{Table, Value};

/// The value of a variable.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Options that are called otherwise than the keys that they set.
pub(crate) const OPTIONS: &[(&str, &str)] = &[
    ("overflow", "overflow-policy"),
    ("peer-buffer-size", "limits.outbox-messages"),
    ("http", "http.listen"),
    ("count-prefix", "count-prefixes"),
    ("tls-name", "tls.names"),
    ("tls-pin", "tls.pins"),
    ("ws-origin", "ws.access.origins"),
];

/// Options that switch off what a key switches on.
pub(crate) const NEGATIONS: &[(&str, &str)] =
    &[("disable-forwarding", "forwarding"), ("no-relay", "relay")];

/// Variables that have a meaning of their own.
const CONFIG: &str = "BROKER_CONFIG";
const CONTEXT: &str = "BROKER_CONTEXT";
const PRESET: &str = "BROKER_PRESET";
/// The token that clients have to present. Not ignored when it is empty: then everybody could
/// connect.
const TOKEN: &str = "BROKER_WS_TOKEN";
/// The passphrase of the key. It may be set for other commands than this one.
const PASSPHRASE: &str = "BROKER_TLS_PASSPHRASE";

/// The host of listeners that name none.
const LISTEN_ADDRESS: &str = "ZEEK_DEFAULT_LISTEN_ADDRESS";
/// A listener for clients of WebSocket besides the others.
const WEB_SOCKET_PORT: &str = "BROKER_WEB_SOCKET_PORT";
const METRICS_PORT: &str = "BROKER_METRICS_PORT";
const CONSOLE: &str = "BROKER_CONSOLE_VERBOSITY";

/// What Zeek and the C++ library call otherwise.
const FOREIGN: &[(&str, &str)] = &[
    ("ZEEK_DEFAULT_CONNECT_RETRY", "retry"),
    ("BROKER_METRICS_ENDPOINT_NAME", "name"),
    ("ZEEK_CLUSTER_BACKEND_ZEROMQ_CURVE_SERVER_PUBLICKEY", "zeromq.curve-server-publickey"),
    ("ZEEK_CLUSTER_BACKEND_ZEROMQ_CURVE_SERVER_SECRETKEY", "zeromq.curve-server-secretkey"),
    ("ZEEK_CLUSTER_BACKEND_ZEROMQ_CURVE_CLIENT_PUBLICKEY", "zeromq.curve-client-publickey"),
    ("ZEEK_CLUSTER_BACKEND_ZEROMQ_CURVE_CLIENT_SECRETKEY", "zeromq.curve-client-secretkey"),
];

/// Variables of theirs for what there is none of here, and what their values are.
const WITHOUT_EFFECT: &[(&str, Kind)] = &[
    ("BROKER_FILE_VERBOSITY", Kind::Text),
    ("BROKER_RECORDING_DIRECTORY", Kind::Path),
    ("BROKER_OUTPUT_GENERATOR_FILE_CAP", Kind::Integer),
    ("BROKER_METRICS_EXPORT_TOPIC", Kind::Text),
    ("BROKER_METRICS_EXPORT_INTERVAL", Kind::Text),
    ("BROKER_METRICS_EXPORT_PREFIXES", Kind::Text),
    ("BROKER_METRICS_IMPORT_TOPICS", Kind::Text),
    ("ZEEK_DEFAULT_LISTEN_RETRY", Kind::Number),
];

/// The levels of the C++ library, and those that they are here.
const VERBOSITIES: &[(&str, &str)] = &[
    ("trace", "debug"),
    ("debug", "debug"),
    ("info", "info"),
    ("warning", "warning"),
    ("error", "error"),
    ("quiet", "critical"),
];

/// The variable of a key or an option: in capitals, with `_` for dots and hyphens.
pub(crate) fn variable_of(name: &str) -> String {
    format!("BROKER_{}", name.to_uppercase().replace(['.', '-'], "_"))
}

/// The text of a variable; nothing if it is empty.
fn text(lookup: Lookup<'_>, name: &str) -> Result<Option<String>, Failure> {
    let Some(text) = lookup(name) else { return Ok(None) };
    let text = text.into_string().map_err(|_| refused(name, "it is not UTF-8"))?;
    Ok(Some(text).filter(|text| !text.trim().is_empty()))
}

fn refused(name: &str, reason: impl std::fmt::Display) -> Failure {
    Failure::usage(format!("{name}: {reason}"))
}

/// The configuration file that the environment names.
pub(crate) fn file(lookup: Lookup<'_>, context: Option<&str>) -> Result<Option<PathBuf>, Failure> {
    let context = match context {
        Some(context) => Some(context.to_owned()),
        None => {
            if let Some(file) = lookup(CONFIG).filter(|file| !file.is_empty()) {
                return Ok(Some(file.into()));
            }
            text(lookup, CONTEXT)?
        }
    };
    let Some(context) = context else { return Ok(None) };
    let base = lookup("XDG_CONFIG_HOME").map(PathBuf::from);
    let base = base.or_else(|| Some(PathBuf::from(lookup("HOME")?).join(".config")));
    Ok(Some(base.unwrap_or_default().join("broker").join(format!("{context}.toml"))))
}

impl Layers {
    /// Puts what the environment says over what is there.
    ///
    /// # Errors
    ///
    /// A variable has a value that it cannot have, or two say the same thing.
    pub(super) fn add_environment(&mut self, lookup: Lookup<'_>) -> Result<(), Failure> {
        self.add_foreign(lookup)?;
        let mut said = std::collections::BTreeMap::new();
        if let Some(preset) = text(lookup, PRESET)? {
            let read = Value::String(preset).try_into::<Preset>();
            let preset = read.map_err(|error| refused(PRESET, error.message()))?;
            self.set_preset(preset, PRESET);
        }
        let keys = self.keys().to_vec();
        let named = |name: &str| keys.iter().find(|key| key.dotted() == name);
        let by_key = keys.iter().map(|key| (variable_of(&key.dotted()), key, false));
        let by_option = |list: &'static [(&str, &str)], negated| {
            list.iter()
                .filter_map(move |(option, key)| Some((variable_of(option), named(key)?, negated)))
        };
        let all = by_key.chain(by_option(OPTIONS, false)).chain(by_option(NEGATIONS, true));
        for (name, key, negated) in all {
            let Some(text) = text(lookup, &name)? else { continue };
            if name == PRESET {
                continue;
            }
            if let Some(other) = said.insert(key.dotted(), name.clone()) {
                return Err(refused(&name, format!("{other} says the same thing; use one")));
            }
            let value = match value(key.kind, &text).map_err(|reason| refused(&name, reason))? {
                Value::Boolean(flag) => Value::Boolean(flag != negated),
                value => value,
            };
            self.set_checked(&key.dotted(), value, &name)?;
        }
        if let Some(token) = lookup(TOKEN).filter(|_| named("ws.access.rules").is_some()) {
            let token = token.into_string().map_err(|_| refused(TOKEN, "it is not UTF-8"))?;
            let rule = Table::from_iter([("token".to_owned(), Value::String(token))]);
            self.set_checked("ws.access.rules", Value::Array(vec![rule.into()]), TOKEN)?;
        }
        Ok(())
    }

    fn add_foreign(&mut self, lookup: Lookup<'_>) -> Result<(), Failure> {
        let is_known = |layers: &Self, key: &str| layers.keys().iter().any(|k| k.dotted() == key);
        for (name, key) in FOREIGN {
            let kind = self.keys().iter().find(|known| known.dotted() == *key).map(|key| key.kind);
            let (Some(kind), Some(text)) = (kind, text(lookup, name)?) else { continue };
            let value = value(kind, &text).map_err(|reason| refused(name, reason))?;
            self.set_checked(key, value, name)?;
        }
        if let Some(text) = text(lookup, CONSOLE)? {
            let level = verbosity(&text).map_err(|reason| refused(CONSOLE, reason))?;
            self.set_checked("log-level", level.into(), CONSOLE)?;
        }
        if let Some(text) = text(lookup, METRICS_PORT)?
            && is_known(self, "http.listen")
        {
            let port = port(&text).map_err(|reason| refused(METRICS_PORT, reason))?;
            let host = host(lookup)?.unwrap_or_else(|| "127.0.0.1".to_owned());
            self.set_checked("http.listen", format!("{host}:{port}").into(), METRICS_PORT)?;
        }
        for (name, kind) in WITHOUT_EFFECT {
            let Some(text) = text(lookup, name)? else { continue };
            value(*kind, &text).map_err(|reason| refused(name, reason))?;
            if name.ends_with("VERBOSITY") {
                verbosity(&text).map_err(|reason| refused(name, reason))?;
            }
            self.notes.push(format!("{name} has no effect here"));
        }
        Ok(())
    }

    /// What depends on all that was said before, options included.
    pub(super) fn complete(&mut self, lookup: Lookup<'_>) -> Result<(), Failure> {
        if self.origin("tls.passphrase") == Some(PASSPHRASE) && self.get("tls.key").is_none() {
            self.remove("tls.passphrase");
        }
        let listen = self.get("listen").and_then(Value::as_array).cloned().unwrap_or_default();
        let mut changed = listen.clone();
        let mut origin = self.origin("listen").unwrap_or_default().to_owned();
        if let Some(host) = host(lookup)? {
            for address in &mut changed {
                let Some(parsed) = address.as_str().and_then(|text| text.parse().ok()) else {
                    continue;
                };
                let parsed: broker::Address = parsed;
                if parsed.host().is_empty() && !parsed.is_local_path() {
                    let host = host.trim_matches(['[', ']']);
                    *address = super::layers::in_full(&parsed.with_host(host)).into();
                }
            }
            if changed != listen {
                origin += &format!(" and {LISTEN_ADDRESS}");
            }
        }
        if let Some(text) = text(lookup, WEB_SOCKET_PORT)?
            && cfg!(feature = "ws")
        {
            let port = port(&text).map_err(|reason| refused(WEB_SOCKET_PORT, reason))?;
            let scheme = if self.get("tls.certificate").is_some() { "wss" } else { "ws" };
            let host = host(lookup)?.unwrap_or_default();
            let address = format!("{scheme}://{host}:{port}");
            // The dump of a configuration that has it is used with the variable again.
            if !changed.iter().any(|listed| listed.as_str() == Some(&address)) {
                changed.push(address.into());
                let and = if origin.is_empty() { "" } else { " and " };
                origin += &format!("{and}{WEB_SOCKET_PORT}");
            }
        }
        if changed != listen {
            self.set_checked("listen", changed.into(), &origin)?;
        }
        Ok(())
    }

    /// Notes variables that look as if they were meant for this program.
    pub(super) fn note_strangers(&mut self, names: impl Iterator<Item = OsString>) {
        let options = OPTIONS.iter().chain(NEGATIONS).map(|(option, _)| variable_of(option));
        let own = [CONFIG, CONTEXT, TOKEN, WEB_SOCKET_PORT, METRICS_PORT, CONSOLE];
        let foreign = FOREIGN.iter().map(|(name, _)| *name);
        let foreign = foreign.chain(WITHOUT_EFFECT.iter().map(|(name, _)| *name));
        let known: Vec<String> = keys()
            .iter()
            .map(|key| variable_of(&key.dotted()))
            .chain(options)
            .chain(own.into_iter().chain(foreign).map(str::to_owned))
            .collect();
        let unknown = names.filter_map(|name| name.into_string().ok());
        for name in unknown.filter(|name| name.starts_with("BROKER_") && !known.contains(name)) {
            // What they begin with makes all of them alike.
            let likes = nearest(&name, &known)
                .filter(|known| strsim::damerau_levenshtein(&name, known) <= 2);
            if let Some(meant) = likes {
                self.notes.push(format!("{name} means nothing here; did you mean {meant}?"));
            }
        }
    }
}

fn host(lookup: Lookup<'_>) -> Result<Option<String>, Failure> {
    let Some(host) = text(lookup, LISTEN_ADDRESS)? else { return Ok(None) };
    let bare = host.trim_matches(['[', ']']);
    let host = if bare.contains(':') { format!("[{bare}]") } else { bare.to_owned() };
    match format!("tcp://{host}:1").parse::<broker::Address>() {
        Ok(_) => Ok(Some(host)),
        Err(_) => Err(refused(LISTEN_ADDRESS, "it is no address")),
    }
}

/// A port as Zeek and the C++ library write it.
fn port(text: &str) -> Result<u16, &'static str> {
    let number = text.trim().strip_suffix("/tcp").unwrap_or(text.trim());
    number.parse().map_err(|_| "it is no port, as 9990 or 9990/tcp are")
}

fn verbosity(text: &str) -> Result<&'static str, String> {
    let found = VERBOSITIES.iter().find(|(name, _)| *name == text.trim());
    found.map(|(_, level)| *level).ok_or_else(|| {
        let names: Vec<_> = VERBOSITIES.iter().map(|(name, _)| *name).collect();
        format!("it is none of {}", names.join(", "))
    })
}

/// Reads what a variable says. Items of lists stand between white space, unless they are written as
/// TOML.
fn value(kind: Kind, text: &str) -> Result<Value, String> {
    let trimmed = text.trim();
    let toml = || {
        let read = format!("value = {trimmed}\n").parse::<Table>().ok();
        let value = read.filter(|table| table.len() == 1).and_then(|mut t| t.remove("value"));
        value.ok_or_else(|| "it is no value of TOML".to_owned())
    };
    match kind {
        Kind::Flag => match trimmed {
            "true" | "1" => Ok(true.into()),
            "false" | "0" => Ok(false.into()),
            _ => Err("it is none of true, 1, false and 0".to_owned()),
        },
        Kind::Integer => match toml() {
            Ok(Value::Integer(number)) => Ok(number.into()),
            _ => Err("it is no whole number".to_owned()),
        },
        Kind::Number => match trimmed.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number.into()),
            _ => Err("it is no number".to_owned()),
        },
        Kind::Text | Kind::Path => Ok(text.into()),
        Kind::Texts if trimmed.starts_with('[') => match toml() {
            Ok(list) => Ok(list),
            Err(_) if trimmed.contains(['"', '\'']) => Err("it is no list of TOML".to_owned()),
            // An address with an IPv6 host.
            Err(_) => Ok(items(trimmed)),
        },
        Kind::Texts => Ok(items(trimmed)),
        Kind::Other => toml(),
    }
}

fn items(text: &str) -> Value {
    text.split_whitespace().map(Value::from).collect::<Vec<_>>().into()
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;
    use broker::OverflowPolicy;
    use broker::event::Severity;

    fn settings(variables: &[(&str, &str)]) -> Result<Settings, String> {
        let lookup = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        };
        let mut layers = Layers::of(None, &lookup, OverflowPolicy::Wait)
            .map_err(|failure| failure.to_string())?;
        layers.complete(&lookup).map_err(|failure| failure.to_string())?;
        Settings::of(layers).map_err(|failure| failure.to_string())
    }

    fn listen(variables: &[(&str, &str)]) -> Vec<String> {
        settings(variables).unwrap().listen.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn no_two_keys_and_options_have_the_same_variable() {
        let keys = keys();
        let options = OPTIONS.iter().chain(NEGATIONS);
        let mut names: Vec<_> = keys.iter().map(|key| variable_of(&key.dotted())).collect();
        names.extend(options.map(|(option, _)| variable_of(option)));
        names.extend([CONFIG, CONTEXT, TOKEN].map(str::to_owned));
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn a_key_of_every_kind_can_be_said() {
        let said = settings(&[
            ("BROKER_LISTEN", "127.0.0.1:1 [::1]:2"),
            ("BROKER_PEER", "a:1,b:2 c:3"),
            ("BROKER_FORWARD", "['/a b', '/c']"),
            ("BROKER_RETRY", "2"),
            ("BROKER_NAME", "7"),
            ("BROKER_EVENTS", "1"),
            ("BROKER_NAMES", "{ '10.0.0.1' = 'one' }"),
            ("BROKER_LIMITS_BYE", "0.5"),
            ("BROKER_LIMITS_FRAME", "1_000"),
            ("BROKER_PEER_BUFFER_SIZE", "9"),
            ("BROKER_DISABLE_FORWARDING", "true"),
            ("BROKER_NO_RELAY", "0"),
            ("BROKER_LOG_LEVEL", ""),
        ]);
        let said = said.unwrap();
        assert_eq!(said.listen.len(), 2);
        assert_eq!((said.choices.len(), said.peers.len()), (1, 1));
        assert_eq!(said.forward, ["/a b", "/c"]);
        assert_eq!(said.retry, Some(std::time::Duration::from_secs(2)));
        assert_eq!((said.name.as_deref(), said.events), (Some("7"), true));
        assert_eq!(said.names["10.0.0.1"], "one");
        assert_eq!(said.config.limits.bye, std::time::Duration::from_millis(500));
        assert_eq!(said.config.limits.frame.get(), 1000);
        assert_eq!(said.config.limits.outbox_messages.get(), 9);
        assert!(!said.config.forwarding && said.config.relay);
        assert_eq!(said.config.log_level, Severity::Warning);
    }

    #[test]
    fn a_preset_yields_to_variables_and_goes_before_the_default() {
        let zeek = settings(&[("BROKER_PRESET", "zeek"), ("BROKER_FORWARDING", "1")]).unwrap();
        assert_eq!(zeek.config.overflow_policy, OverflowPolicy::DropOldest);
        assert!(zeek.config.forwarding);
    }

    #[test]
    fn what_is_wrong_is_told_with_the_name_of_the_variable() {
        for (name, value, reason) in [
            ("BROKER_EVENTS", "yes", "it is none of true, 1, false and 0"),
            ("BROKER_LISTEN", "here", "the port is missing"),
            ("BROKER_LIMITS_FRAME", "many", "it is no whole number"),
            ("BROKER_LIMITS_FRAME", "0", "expected a nonzero"),
            ("BROKER_LIMITS_BYE", "-1", "-1 is not a number of seconds"),
            ("BROKER_LOG_LEVEL", "loud", "unknown variant `loud`"),
            ("BROKER_OVERFLOW", "explode", "unknown variant `explode`"),
            ("BROKER_NAMES", "one", "it is no value of TOML"),
            ("BROKER_PEER_RULES", "[{ networc = 'x' }]", "unknown field `networc`"),
            ("BROKER_PRESET", "caf", "unknown variant `caf`"),
            ("BROKER_CONSOLE_VERBOSITY", "loud", "it is none of trace, debug"),
            ("BROKER_FILE_VERBOSITY", "loud", "it is none of trace, debug"),
            ("BROKER_OUTPUT_GENERATOR_FILE_CAP", "x", "it is no whole number"),
            ("ZEEK_DEFAULT_CONNECT_RETRY", "soon", "it is no number"),
            ("ZEEK_DEFAULT_LISTEN_ADDRESS", "a b", "it is no address"),
            #[cfg(feature = "http")]
            ("BROKER_METRICS_PORT", "66000", "it is no port"),
            #[cfg(feature = "ws")]
            ("BROKER_WEB_SOCKET_PORT", "web", "it is no port"),
        ] {
            let error = settings(&[(name, value)]).err().unwrap_or_else(|| panic!("{name}"));
            assert!(error.starts_with(&format!("{name}: ")), "{error}");
            assert!(error.contains(reason), "{error}");
        }
        let twice = [("BROKER_OVERFLOW", "wait"), ("BROKER_OVERFLOW_POLICY", "wait")];
        let error = settings(&twice).unwrap_err();
        assert!(error.contains("BROKER_OVERFLOW_POLICY says the same thing"), "{error}");
    }

    #[test]
    fn variables_of_zeek_and_of_the_library_mean_what_they_mean_there() {
        let said = settings(&[
            ("ZEEK_DEFAULT_CONNECT_RETRY", "5"),
            ("BROKER_CONSOLE_VERBOSITY", "trace"),
            ("BROKER_METRICS_ENDPOINT_NAME", "hub"),
            ("BROKER_RECORDING_DIRECTORY", "/nowhere"),
        ]);
        let said = said.unwrap();
        assert_eq!(said.retry, Some(std::time::Duration::from_secs(5)));
        assert_eq!((said.config.log_level, said.name.as_deref()), (Severity::Debug, Some("hub")));
        let own = [("ZEEK_DEFAULT_CONNECT_RETRY", "5"), ("BROKER_RETRY", "6")];
        assert_eq!(settings(&own).unwrap().retry, Some(std::time::Duration::from_secs(6)));
        let address = ("ZEEK_DEFAULT_LISTEN_ADDRESS", "::1");
        let listeners = [("BROKER_LISTEN", ":1 10.0.0.1:2 unix:///x"), address];
        assert_eq!(listen(&listeners), ["tcp://[::1]:1", "tcp://10.0.0.1:2", "unix:///x"]);
        #[cfg(feature = "http")]
        {
            let http = |variables: &[_]| {
                settings(variables).unwrap().http.listen.unwrap().url().to_string()
            };
            let port = ("BROKER_METRICS_PORT", "4321/tcp");
            assert_eq!(http(&[port]), "http://127.0.0.1:4321");
            assert_eq!(http(&[port, address]), "http://[::1]:4321");
        }
    }

    #[cfg(feature = "ws")]
    #[test]
    fn a_port_for_web_sockets_is_one_listener_more() {
        let port = ("BROKER_WEB_SOCKET_PORT", "9997");
        assert_eq!(listen(&[port]), ["ws://:9997"]);
        let both = [port, ("BROKER_LISTEN", "ws://:9997 :1")];
        assert_eq!(listen(&both), ["ws://:9997", "tcp://:1"]);
        let certificate = ("BROKER_TLS_CERTIFICATE", "x.pem");
        let both = [port, certificate, ("BROKER_LISTEN", ":1")];
        assert_eq!(listen(&both), ["tcp://:1", "wss://:9997"]);
    }

    #[cfg(feature = "ws")]
    #[test]
    fn an_empty_token_opens_nothing() {
        let rules = settings(&[("BROKER_WS_TOKEN", "")]).unwrap().transports.ws.access.rules;
        assert_eq!(rules.first().and_then(|rule| rule.token.as_deref()), Some(""));
    }

    #[test]
    fn who_mistypes_a_name_is_told() {
        let mut layers = Layers::of(None, &|_| None, OverflowPolicy::Wait).unwrap();
        let names = ["BROKER_LISTN", "BROKER_PORT", "BROKER_RETRY", "LISTN"].map(OsString::from);
        layers.note_strangers(names.into_iter());
        let notes = ["BROKER_LISTN means nothing here; did you mean BROKER_LISTEN?"];
        assert_eq!(layers.notes, notes);
    }
}
