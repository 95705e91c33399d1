//! What is in force, as a file that can be used again.

use super::document::defaults;
use super::layers::Layers;
use super::schema::{Key, Kind};
use crate::failure::Failure;
use std::fmt::Write;
use toml::{Table, Value};

/// Keys with secrets, or with values that may have secrets in them.
const SECRET: &[&str] = &[
    "peer",
    "tls.passphrase",
    "ws.access.rules",
    "zeromq.curve-server-secretkey",
    "zeromq.curve-client-secretkey",
];

const HEAD: &str = "\
# What is in force, as a configuration file: every key with its value, and where that comes from.
";

const WARNING: &str = "\
# Secrets are shown as they are: keep this from others.
";

impl Layers {
    /// Every key with its value and where that comes from, as a file.
    pub(crate) fn dump(mut self) -> Result<String, Failure> {
        self.complete(&|name| std::env::var_os(name))?;
        let defaults = defaults().map_err(|error| Failure::usage(error.to_string()))?;
        let mut text = HEAD.to_owned();
        if SECRET.iter().any(|key| self.get(key).is_some()) {
            text += WARNING;
        }
        text.push('\n');
        let mut table: &[&str] = &[];
        for key in self.keys().iter().filter(|key| key.path != ["preset"]) {
            let Some((last, tables)) = key.path.split_last() else { continue };
            if tables != table {
                let _ = write!(text, "\n[{}]\n", tables.join("."));
                table = tables;
            }
            let dotted = key.dotted();
            let origin = self.origin(&dotted).unwrap_or(super::DEFAULT);
            let _ = match self.get(&dotted).cloned().or_else(|| default(&defaults, key)) {
                Some(value) => writeln!(text, "{last} = {}  # {origin}", absolute(key, value)?),
                None => writeln!(text, "# {last} is not set"),
            };
        }
        Ok(text)
    }
}

fn default(defaults: &Table, key: &Key) -> Option<Value> {
    let mut path = key.path.iter();
    let first = defaults.get(*path.next()?);
    let value = path.try_fold(first?, |value, name| value.get(name)).cloned();
    value.or_else(|| (key.kind == Kind::Texts).then(|| Value::Array(Vec::new())))
}

/// The file may be put anywhere, and its paths are relative to that.
fn absolute(key: &Key, value: Value) -> Result<Value, Failure> {
    match (key.kind, value) {
        (Kind::Path, Value::String(path)) => {
            let absolute = std::path::absolute(&path)
                .map_err(|error| Failure::usage(format!("{}: {path}: {error}", key.dotted())))?;
            Ok(absolute.to_string_lossy().into_owned().into())
        }
        (_, value) => Ok(value),
    }
}

#[cfg(test)]
#[cfg(all(feature = "http", feature = "quic", feature = "ws", feature = "zeromq"))]
mod tests {
    use super::super::document::{keys, parse};
    use broker::OverflowPolicy;
    use std::collections::BTreeSet;
    use toml::{Table, Value};

    const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/broker.example.toml");

    /// The example with the lines that have a key; those with a mere example only if asked for.
    fn example(with_examples: bool) -> String {
        let text = std::fs::read_to_string(EXAMPLE).expect("the example is in the repository");
        let has_key = |line: &str| line.starts_with(|first: char| first.is_ascii_lowercase());
        let lines = text.lines().map(|line| match line.strip_prefix('#') {
            Some(said) if has_key(said) && (with_examples || !said.contains("# not set")) => said,
            _ => line,
        });
        lines.map(|line| format!("{line}\n")).collect()
    }

    fn dotted(table: &Table, prefix: &str, found: &mut BTreeSet<String>) {
        for (key, value) in table {
            match value {
                Value::Table(below) if key != "names" => {
                    dotted(below, &format!("{prefix}{key}."), found);
                }
                _ => assert!(found.insert(format!("{prefix}{key}"))),
            }
        }
    }

    #[test]
    fn the_example_has_every_key() {
        let text = example(true);
        parse(&text).unwrap_or_else(|error| panic!("{error}"));
        let mut shown = BTreeSet::new();
        dotted(&text.parse().unwrap(), "", &mut shown);
        let keys: BTreeSet<_> = keys().iter().map(|key| key.dotted()).collect();
        let missing: Vec<_> = keys.difference(&shown).collect();
        assert_eq!(missing, Vec::<&String>::new(), "not in {EXAMPLE}");
        assert_eq!(shown, keys);
    }

    #[test]
    fn what_the_example_shows_are_the_defaults_of_a_node() {
        let in_force = |text: &str| {
            let read = parse(text).unwrap_or_else(|error| panic!("{error}"));
            let own = toml::to_string(&read.own).unwrap();
            let lists = (read.own.listen, read.own.peer);
            assert_eq!(read.config.overflow_policy, OverflowPolicy::default());
            (format!("{:?}{:?}", read.config, read.transports), own, lists)
        };
        assert_eq!(in_force(&example(false)), in_force("retry = 1"));
    }
}
