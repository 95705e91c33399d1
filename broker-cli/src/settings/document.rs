//! The keys of a configuration, wherever they come from, and what is wrong with them.

use super::schema::{Key, keys_of};
use crate::choice::PeerList;
use crate::output::Format;
use crate::reporter::LogFormat;
use broker::core::limits::optional_seconds;
use broker::{Address, Config, Preset, TransportOptions};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use toml::de::DeTable;
use toml::{Spanned, Table};

/// The keys that are not part of the endpoint's configuration but options of the command line.
#[derive(Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Own {
    #[serde(deserialize_with = "parsed", skip_serializing)]
    pub(super) listen: Vec<Address>,
    #[serde(deserialize_with = "parsed", skip_serializing)]
    pub(super) peer: Vec<PeerList>,
    pub(super) forward: Vec<String>,
    pub(super) name: Option<String>,
    pub(super) names: BTreeMap<String, String>,
    pub(super) endpoint_id_file: Option<PathBuf>,
    pub(super) events: bool,
    pub(super) output: Option<Format>,
    pub(super) log_format: LogFormat,
    pub(super) admin: Option<PathBuf>,
    pub(super) announce: bool,
    #[serde(with = "optional_seconds")]
    pub(super) retry: Option<Duration>,
    /// Put into force key by key, before any other.
    preset: Option<Preset>,
    #[cfg(feature = "http")]
    pub(super) http: crate::http::HttpOptions,
}

/// What a document says.
pub(super) struct Document {
    pub(super) config: Config,
    pub(super) own: Own,
    pub(super) transports: TransportOptions,
    /// Whether it says for how long a write may be stalled.
    pub(super) names_stalled_write: bool,
}

/// All keys. Those of the endpoint's configuration come first.
pub(crate) fn keys() -> Vec<Key> {
    let mut keys = keys_of::<Config>();
    keys.extend(keys_of::<Own>());
    keys.extend(keys_of::<TransportOptions>());
    // As in a file: values before tables, and a table before those in it.
    let tables: Vec<_> = keys.iter().map(|key| key.path.first().copied()).collect();
    let place = |key: &Key| tables.iter().position(|table| *table == key.path.first().copied());
    keys.sort_by_key(|key| match key.path.len() {
        1 => (0, None, 0),
        depth => (1, place(key), depth),
    });
    keys
}

/// What is in force where nothing is said. Empty lists may be left out.
pub(super) fn defaults() -> Result<Table, toml::ser::Error> {
    let mut defaults = Table::try_from(Config::default())?;
    defaults.extend(Table::try_from(Own::default())?);
    defaults.extend(Table::try_from(TransportOptions::default())?);
    Ok(defaults)
}

/// The keys of [`Own`].
fn own_keys() -> Vec<&'static str> {
    let mut keys: Vec<_> =
        keys_of::<Own>().iter().filter_map(|key| key.path.first().copied()).collect();
    keys.dedup();
    keys
}

pub(super) fn parse(text: &str) -> Result<Document, toml::de::Error> {
    let document = DeTable::parse(text)?;
    let span = document.span();
    let mut endpoint = document.into_inner();
    let own = take(&mut endpoint, &own_keys());
    let transports = take(&mut endpoint, TransportOptions::TABLES);
    let names_stalled_write =
        endpoint.get("limits").and_then(|limits| limits.get_ref().get("stalled-write")).is_some();
    let read = |table| toml::Deserializer::from(Spanned::new(span.clone(), table));
    Ok(Document {
        config: Config::deserialize(read(endpoint))?,
        own: Own::deserialize(read(own))?,
        transports: TransportOptions::deserialize(read(transports))?,
        names_stalled_write,
    })
}

/// What is wrong. Where a key of the document itself is unknown, this includes the keys that are
/// not part of the endpoint's configuration; and a key like it is suggested.
pub(super) fn describe(error: &toml::de::Error, text: &str) -> String {
    let mut message = error.message().to_owned();
    let is_key_of_document = DeTable::parse(text).is_ok_and(|document| {
        document.get_ref().keys().any(|key| Some(key.span()) == error.span())
    });
    if message.starts_with("unknown field") {
        if is_key_of_document {
            for key in own_keys().iter().chain(TransportOptions::TABLES) {
                message += &format!(", `{key}`");
            }
        }
        if let Some(meant) = suggest(&message) {
            message += &format!("; did you mean `{meant}`?");
        }
    }
    match key_of_value(error, text) {
        Some(key) => format!("{key}: {message}"),
        None => message,
    }
}

/// The key that is meant by the first word between backquotes: one of the others if it is like
/// that, or one of the same name in a table.
fn suggest(message: &str) -> Option<String> {
    let mut words = message.split('`').skip(1).step_by(2);
    let unknown = words.next()?;
    let known: Vec<_> = words.map(str::to_owned).collect();
    nearest(unknown, &known).cloned().or_else(|| {
        let in_table = |key: &Key| key.path.len() > 1 && key.path.last() == Some(&unknown);
        keys().iter().find(|key| in_table(key)).map(Key::dotted)
    })
}

/// The word that is most like this one, if one is like it at all.
pub(super) fn nearest<'a>(word: &str, known: &'a [String]) -> Option<&'a String> {
    let likeness = known.iter().map(|known| (strsim::jaro_winkler(word, known), known));
    let best = likeness.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (best.0 > 0.85).then_some(best.1)
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
pub(super) fn line_of(text: &str, offset: usize) -> usize {
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
    use super::super::schema::Kind;
    use super::*;

    #[test]
    fn every_key_is_known_once_and_paths_are_paths() {
        let keys = keys();
        let dotted: std::collections::BTreeSet<_> = keys.iter().map(Key::dotted).collect();
        assert_eq!(dotted.len(), keys.len());
        let paths: Vec<_> =
            keys.iter().filter(|key| key.kind == Kind::Path).map(Key::dotted).collect();
        let tls = ["certificate", "key", "ca-file", "ca-dir", "self-signed"];
        let tls = tls.map(|key| format!("tls.{key}"));
        let tls = if cfg!(any(feature = "tls", feature = "quic")) { &tls[..] } else { &[] };
        assert_eq!(paths, [&["endpoint-id-file".to_owned(), "admin".to_owned()], tls].concat());
    }
}
