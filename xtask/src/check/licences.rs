use super::Findings;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Licences that ask for nothing but to be named.
const PERMISSIVE: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Where dependencies come from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Looks at everything that a build for this platform uses. Needs no network: what is looked at has
/// been built before.
pub(super) fn check(root: &Path) -> Findings {
    match packages(root) {
        Ok(packages) => packages.iter().filter_map(judge).collect(),
        Err(error) => vec![error],
    }
}

fn packages(root: &Path) -> Result<Vec<Value>, String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let platform = current_platform(root)?;
    let args = ["metadata", "--format-version=1", "--offline", "--filter-platform", &platform];
    let mut metadata = json(Command::new(cargo).current_dir(root).args(args))?;
    match metadata["packages"].take() {
        Value::Array(packages) => Ok(packages),
        _ => Err("cargo metadata names no packages".to_owned()),
    }
}

fn current_platform(root: &Path) -> Result<String, String> {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let output = Command::new(rustc).current_dir(root).arg("-vV").output();
    let text = output.map_err(|error| error.to_string())?.stdout;
    let text = String::from_utf8_lossy(&text);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc does not say which platform this is".to_owned())
}

fn json(command: &mut Command) -> Result<Value, String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

/// What is wrong with a package, if something is. Those of the project have no source.
fn judge(package: &Value) -> Option<String> {
    let source = package["source"].as_str()?;
    let (name, version) = (package["name"].as_str()?, package["version"].as_str()?);
    if source != REGISTRY {
        return Some(format!("{name} {version} comes from {source}"));
    }
    match package["license"].as_str() {
        Some(licence) if is_permissive(licence) => None,
        Some(licence) => Some(format!("{name} {version} has the licence {licence}")),
        None => Some(format!("{name} {version} names no licence")),
    }
}

/// Whether an SPDX expression can be kept by keeping to permissive licences alone. `/` is an old
/// form of `OR`.
fn is_permissive(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    let words = expression.replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = words.split_whitespace().collect();
    let mut rest = words.as_slice();
    any(&mut rest).is_some_and(|permissive| permissive && rest.is_empty())
}

/// Nothing where the expression is none.
fn any(rest: &mut &[&str]) -> Option<bool> {
    let mut result = all(rest)?;
    while let Some(more) = rest.strip_prefix(&["OR"]) {
        *rest = more;
        result |= all(rest)?;
    }
    Some(result)
}

fn all(rest: &mut &[&str]) -> Option<bool> {
    let mut result = one(rest)?;
    while let Some(more) = rest.strip_prefix(&["AND"]) {
        *rest = more;
        result &= one(rest)?;
    }
    Some(result)
}

fn one(rest: &mut &[&str]) -> Option<bool> {
    let (licence, more) = match **rest {
        ["(", ref inner @ ..] => {
            *rest = inner;
            let result = any(rest)?;
            *rest = rest.strip_prefix(&[")"])?;
            return Some(result);
        }
        [name, "WITH", exception, ref more @ ..] => (format!("{name} WITH {exception}"), more),
        [name, ref more @ ..] => (name.to_owned(), more),
        [] => return None,
    };
    *rest = more;
    Some(PERMISSIVE.contains(&licence.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_expression_is_permissive_if_one_can_keep_to_permissive_licences() {
        for good in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-3.0-only OR MIT",
            "(MIT OR GPL-2.0-only) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR Apache-2.0",
        ] {
            assert!(is_permissive(good), "{good}");
        }
        for bad in
            ["", "MPL-2.0", "MIT AND GPL-3.0-only", "(MIT", "MIT MIT", "MIT OR", "proprietary"]
        {
            assert!(!is_permissive(bad), "{bad}");
        }
    }

    #[test]
    fn packages_come_from_the_registry_and_name_a_licence() {
        let package = |source: &str, license: Value| {
            judge(&json!({ "name": "n", "version": "1", "source": source, "license": license }))
        };
        assert_eq!(package(REGISTRY, json!("MIT")), None);
        assert!(package(REGISTRY, Value::Null).is_some());
        assert!(package(REGISTRY, json!("AGPL-3.0-only")).is_some());
        assert!(package("git+https://example.org/n", json!("MIT")).is_some());
        assert_eq!(judge(&json!({ "name": "own", "version": "1", "source": null })), None);
    }
}
