//! A configuration in layers: defaults of the command, the file, the environment, options. Of each
//! value it is known where it comes from.

use super::document::{describe, keys, line_of, parse};
use super::environment::{Lookup, file};
use super::schema::{Key, Kind};
use crate::failure::Failure;
use broker::{Address, Config, OverflowPolicy, Preset};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

/// The longest file that is read, in bytes. Without a bound, `/dev/zero` would be read forever.
const LONGEST: u64 = 1024 * 1024;

/// What has been said so far; what is said later stands.
#[derive(Debug)]
pub(crate) struct Layers {
    keys: Vec<Key>,
    table: Table,
    /// Where the value of a key comes from.
    origins: BTreeMap<String, String>,
    /// What its user should know about the environment.
    pub(crate) notes: Vec<String>,
}

impl Layers {
    /// The file and the environment. The file is that at `path`, or that of the context, or the
    /// one that the environment names. If neither says what happens to messages for slow peers,
    /// `default_policy` does.
    pub(crate) fn read(
        path: Option<&Path>,
        context: Option<&str>,
        default_policy: OverflowPolicy,
    ) -> Result<Self, Failure> {
        let lookup: Lookup<'_> = &|name| std::env::var_os(name);
        let path = match path {
            Some(path) => Some(path.to_owned()),
            None => file(lookup, context)?,
        };
        let mut layers = Self::of(path.as_deref(), lookup, default_policy)?;
        layers.note_strangers(std::env::vars_os().map(|(name, _)| name));
        Ok(layers)
    }

    pub(super) fn of(
        path: Option<&Path>,
        lookup: Lookup<'_>,
        default_policy: OverflowPolicy,
    ) -> Result<Self, Failure> {
        let (table, origins, notes) = Default::default();
        let mut layers = Self { keys: keys(), table, origins, notes };
        layers.set("overflow-policy", default_policy.name().into(), super::DEFAULT);
        if let Some(path) = path {
            layers.add_file(path)?;
        }
        layers.add_environment(lookup)?;
        Ok(layers)
    }

    fn add_file(&mut self, path: &Path) -> Result<(), Failure> {
        let refused = |reason: String| Failure::usage(format!("{}{reason}", path.display()));
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text))
            .map_err(|error| refused(format!(": {error}")))?;
        if text.len() as u64 > LONGEST {
            return Err(refused(format!(": it is longer than {LONGEST} bytes")));
        }
        let wrong = |error: toml::de::Error| {
            let line = match error.span() {
                Some(span) => format!(", line {}", line_of(&text, span.start)),
                None => String::new(),
            };
            refused(format!("{line}: {}", describe(&error, &text)))
        };
        parse(&text).map_err(wrong)?;
        let document = DeTable::parse(&text).map_err(wrong)?;
        let values: Table = text.parse().map_err(wrong)?;
        let origin = |offset| format!("{}, line {}", path.display(), line_of(&text, offset));
        if let Some((offset, value)) = find(document.get_ref(), &values, &["preset"])
            && let Ok(preset) = value.clone().try_into()
        {
            self.set_preset(preset, &origin(offset));
        }
        let directory = path.parent().unwrap_or(Path::new(""));
        for key in self.keys.clone() {
            let Some((offset, value)) = find(document.get_ref(), &values, &key.path) else {
                continue;
            };
            let value = match (key.kind, value) {
                // Wherever the program was started.
                (Kind::Path, Value::String(path)) => text_of(&directory.join(path))?.into(),
                _ => value.clone(),
            };
            if key.path != ["preset"] {
                self.set(&key.dotted(), value, &origin(offset));
            }
        }
        Ok(())
    }

    /// Puts what an option of the command line says over all else.
    pub(crate) fn option(&mut self, name: &str, key: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(key, value.into(), name);
        }
    }

    /// The same for an option that is there or not.
    pub(crate) fn switch(&mut self, name: &str, key: &str, is_given: bool, value: bool) {
        self.option(name, key, is_given.then_some(value));
    }

    /// The same for an option that may be repeated; its values replace all that were said before.
    pub(crate) fn list(&mut self, name: &str, key: &str, values: impl Iterator<Item = String>) {
        let values: Vec<_> = values.map(Value::from).collect();
        self.option(name, key, Some(values).filter(|values| !values.is_empty()));
    }

    /// The same for a path.
    pub(crate) fn path(
        &mut self,
        name: &str,
        key: &str,
        path: Option<&PathBuf>,
    ) -> Result<(), Failure> {
        self.option(name, key, path.map(|path| text_of(path)).transpose()?);
        Ok(())
    }

    /// A default of the command.
    pub(crate) fn default(&mut self, key: &str, value: impl Into<Value>) {
        if self.get(key).is_none() {
            self.set(key, value.into(), super::DEFAULT);
        }
    }

    /// Takes the settings of a known implementation over.
    pub(crate) fn set_preset(&mut self, preset: Preset, origin: &str) {
        let mut config = Config::default();
        config.apply(preset);
        self.set("forwarding", config.forwarding.into(), origin);
        self.set("overflow-policy", config.overflow_policy.name().into(), origin);
        let messages = i64::try_from(config.limits.outbox_messages.get()).unwrap_or(i64::MAX);
        self.set("limits.outbox-messages", messages.into(), origin);
    }

    /// Says something that may be wrong.
    pub(super) fn set_checked(
        &mut self,
        key: &str,
        value: Value,
        origin: &str,
    ) -> Result<(), Failure> {
        let mut single = Table::new();
        insert(&mut single, key, value.clone());
        let text = toml::to_string(&single).map_err(|error| Failure::usage(error.to_string()))?;
        parse(&text).map_err(|error| Failure::usage(format!("{origin}: {}", error.message())))?;
        self.set(key, value, origin);
        Ok(())
    }

    fn set(&mut self, key: &str, value: Value, origin: &str) {
        // The id is said in one of two ways.
        match key {
            "endpoint-id" => self.remove("endpoint-id-file"),
            "endpoint-id-file" => self.remove("endpoint-id"),
            _ => {}
        }
        insert(&mut self.table, key, value);
        self.origins.insert(key.to_owned(), origin.replace(char::is_control, "?"));
    }

    pub(super) fn remove(&mut self, key: &str) {
        let mut table = &mut self.table;
        let (tables, last) = key.rsplit_once('.').unwrap_or(("", key));
        for name in tables.split('.').filter(|name| !name.is_empty()) {
            let Some(below) = table.get_mut(name).and_then(Value::as_table_mut) else { return };
            table = below;
        }
        table.remove(last);
        self.origins.remove(key);
    }

    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        let mut path = key.split('.');
        let first = self.table.get(path.next()?)?;
        path.try_fold(first, |value, name| value.get(name))
    }

    pub(super) fn origin(&self, key: &str) -> Option<&str> {
        self.origins.get(key).map(String::as_str)
    }

    pub(super) fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// All of it as one document.
    pub(super) fn into_text(self) -> Result<String, Failure> {
        toml::to_string(&self.table).map_err(|error| Failure::usage(error.to_string()))
    }
}

fn insert(mut table: &mut Table, key: &str, value: Value) {
    let (tables, last) = key.rsplit_once('.').unwrap_or(("", key));
    for name in tables.split('.').filter(|name| !name.is_empty()) {
        let below = table.entry(name).or_insert_with(|| Table::new().into());
        let Some(below) = below.as_table_mut() else { return };
        table = below;
    }
    table.insert(last.to_owned(), value);
}

/// Where a key stands in a document, and its value.
fn find<'a>(at: &DeTable<'_>, values: &'a Table, path: &[&str]) -> Option<(usize, &'a Value)> {
    let (first, rest) = path.split_first()?;
    let (key, below) = at.get_key_value(*first)?;
    let value = values.get(*first)?;
    match (below.get_ref(), value, rest) {
        (_, value, []) => Some((key.span().start, value)),
        (DeValue::Table(at), Value::Table(values), rest) => find(at, values, rest),
        _ => None,
    }
}

fn text_of(path: &Path) -> Result<&str, Failure> {
    path.to_str().ok_or_else(|| Failure::usage(format!("{}: it is not UTF-8", path.display())))
}

/// An address with all that is in it, secrets included.
pub(crate) fn in_full(url: &Address) -> String {
    let bare = url.clone().with_query("").to_string();
    if url.query().is_empty() { bare } else { format!("{bare}?{}", url.query()) }
}
