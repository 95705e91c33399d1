//! What operators see of encryption: what protects a link, what is wrong with a certificate, and
//! how one is replaced.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../../../broker-tls/tests/pki/mod.rs"]
mod pki;

mod anonymous;
mod protection;
mod refusals;
mod renewal;

use common::Cli;
use pki::{Authority, Files, Issued};

/// A CA, and files with what it issued.
struct Setting {
    files: Files,
    ca: Authority,
}

impl Setting {
    fn new() -> Self {
        Self { files: Files::new(), ca: Authority::new("the CA") }
    }

    /// Options for an endpoint with a certificate in this name.
    fn node(&self, name: &str) -> Vec<String> {
        self.presenting(name, &self.ca.issue(name))
    }

    /// Options for an endpoint with this certificate, in files that are called by this name.
    fn presenting(&self, name: &str, issued: &Issued) -> Vec<String> {
        self.files.options(name, issued, &self.ca.pem);
        self.options(&format!("{name}.pem"), &format!("{name}.key"))
    }

    /// Options that name these files.
    fn options(&self, certificate: &str, key: &str) -> Vec<String> {
        self.files.write("ca.pem", &self.ca.pem);
        let named = [("certificate", certificate), ("key", key), ("ca-file", "ca.pem")];
        named.iter().flat_map(|(option, file)| self.option(option, file)).collect()
    }

    /// One option with the path of a file.
    fn option(&self, name: &str, file: &str) -> [String; 2] {
        [format!("--tls-{name}"), self.files.path().join(file).to_str().unwrap().to_owned()]
    }
}

fn with<'a>(args: &[&'a str], options: &'a [String]) -> Vec<&'a str> {
    args.iter().copied().chain(options.iter().map(String::as_str)).collect()
}

/// A node that listens with this scheme, and the line that says so.
async fn listener(scheme: &str, options: &[String]) -> (Cli, serde_json::Value) {
    let at = format!("{scheme}://127.0.0.1:0");
    let mut node = Cli::start(&with(&["node", "--listen", &at], options));
    let listening = node.json().await;
    assert_eq!(listening["type"], "listening", "{listening}");
    (node, listening)
}

/// The next diagnosis with these words.
async fn said(node: &mut Cli, words: &str) -> String {
    loop {
        let line = node.diagnosis().await;
        assert!(!line.is_empty(), "the node has ended and not said {words:?}");
        if line.contains(words) {
            return line;
        }
    }
}
