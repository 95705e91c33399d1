//! The configuration of a node: the file, the environment, options, and what they come to.
#![cfg(all(unix, feature = "http", feature = "tls", feature = "ws"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Cli, run};
use std::path::Path;

fn write(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// What is in force with these variables, options and file.
async fn dump(variables: &[&str], args: &[&str]) -> String {
    let command = [&["env"], variables].concat();
    let args = [&["node", "--dump-config"], args].concat();
    Cli::start_by(&command, &args).end().await.expect(0).stdout
}

fn without_comments(dump: &str) -> String {
    dump.lines().map(|line| line.split("  # ").next().unwrap().to_owned() + "\n").collect()
}

#[tokio::test]
async fn options_stand_over_the_environment_and_that_over_the_file_and_each_says_where_from() {
    let directory = tempfile::tempdir().unwrap();
    let text = "name = \"file\"\nretry = 7\nlisten = [\":1\"]\n[limits]\nbye = 9\nlinger = 8\n";
    let file = write(directory.path(), "node.toml", text);
    let variables = ["BROKER_NAME=environment", "BROKER_RETRY=6", "BROKER_LIMITS_BYE=5"];
    let dumped = dump(&variables, &["--config", &file, "--name", "option"]).await;
    for line in [
        "name = \"option\"  # --name",
        "retry = 6.0  # BROKER_RETRY",
        "bye = 5.0  # BROKER_LIMITS_BYE",
        &format!("linger = 8  # {file}, line 6"),
        &format!("listen = [\":1\"]  # {file}, line 3"),
        "forwarding = true  # default",
        "# admin is not set",
    ] {
        assert!(dumped.lines().any(|found| found == line), "{line:?} is not in {dumped}");
    }
}

#[tokio::test]
async fn a_dump_is_a_configuration_that_comes_to_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let text = "\
        peer = [\"ws://127.0.0.1:1?to=/a&token=s3cret\", \"a:1,b:2\"]\nforward = [\"a \\\" b\"]\n\
        [[peer-rules]]\nnetwork = \"10.0.0.0/8\"\npublish = [\"x/\"]\n\
        [names]\n\"10.0.0.1:1\" = \"one\"\n\
        [tls]\ncertificate = \"node.pem\"\nkey = \"node.key\"\n\
        [[ws.access.rules]]\ntoken = \"t0ken\"\npublish = []\n";
    let file = write(directory.path(), "node.toml", text);
    let variables = ["BROKER_TLS_PASSPHRASE=passw0rd", "BROKER_WEB_SOCKET_PORT=9997"];
    let args = ["--config", &file, "--preset", "zeek", "--listen", ":0", "--overflow", "wait"];
    let first = dump(&variables, &args).await;
    for what in ["s3cret", "t0ken", "passw0rd", "keep this from others", "--preset zeek"] {
        assert!(first.contains(what), "{what:?} is not in {first}");
    }
    let certificate = directory.path().join("node.pem");
    assert!(first.contains(certificate.to_str().unwrap()), "{first}");
    // Elsewhere, with and without the environment.
    let elsewhere = tempfile::tempdir().unwrap();
    let dumped = write(elsewhere.path(), "dump.toml", &first);
    for variables in [&variables[..], &[]] {
        let second = dump(variables, &["--config", &dumped]).await;
        assert_eq!(without_comments(&first), without_comments(&second));
    }
}

#[tokio::test]
async fn a_node_starts_from_its_own_dump() {
    let directory = tempfile::tempdir().unwrap();
    let dumped = dump(&["BROKER_LISTEN=127.0.0.1:0"], &["--name", "hub"]).await;
    let file = write(directory.path(), "dump.toml", &dumped);
    run(&["node", "--config", &file, "--check-config"]).await.expect(0).says("is in order");
    let mut node = Cli::start_by(&["env", &format!("BROKER_CONFIG={file}")], &["node"]);
    assert!(node.listening().await.starts_with("tcp://127.0.0.1:"));
}

#[tokio::test]
async fn what_is_wrong_in_the_environment_is_named_and_nothing_starts() {
    for (variable, reason) in [
        ("BROKER_RETRY=soon", "BROKER_RETRY: it is no number"),
        ("BROKER_FORWARD=[\"a", "BROKER_FORWARD: it is no list of TOML"),
        ("BROKER_LISTEN=here", "BROKER_LISTEN: "),
        ("ZEEK_BROKER_MAX_THREADS=none", "ZEEK_BROKER_MAX_THREADS: it is no number of threads"),
        ("BROKER_METRICS_PORT=http", "BROKER_METRICS_PORT: it is no port"),
    ] {
        let args = ["node", "--listen", "127.0.0.1:0"];
        Cli::start_by(&["env", variable], &args).end().await.expect(2).says(reason);
    }
    let args = ["node", "--check", "--listen", "127.0.0.1:0"];
    let end = Cli::start_by(&["env", "BROKER_LISTN=1"], &args).end().await.expect(0);
    end.says("BROKER_LISTN means nothing here; did you mean BROKER_LISTEN?");
}

/// Names of long options in a text of help.
fn options(help: &str) -> Vec<&str> {
    let names = help.lines().filter_map(|line| line.trim_start().split_once("--"));
    let names = names.filter(|(before, _)| before.is_empty() || before.ends_with(", "));
    names.map(|(_, rest)| rest.split([' ', '[']).next().unwrap()).collect()
}

#[tokio::test]
async fn every_option_of_a_node_has_its_variable() {
    let help = run(&["node", "--help"]).await.expect(0).stdout;
    // What is done, and not how it is configured.
    let orders = ["help", "wait", "check", "dump-config"];
    // These find the file.
    let files = ["config", "context"];
    for option in options(&help).into_iter().filter(|name| !orders.contains(name)) {
        if files.contains(&option) {
            continue;
        }
        let variable = format!("BROKER_{}", option.to_uppercase().replace('-', "_"));
        let value = "\u{1}";
        let set = format!("{variable}={value}");
        let args = ["node", "--dump-config"];
        let end = Cli::start_by(&["env", &set], &args).end().await;
        let is_used = end.code == Some(2) && end.stderr.contains(&variable)
            || end.stdout.contains(&format!("# {variable}"));
        assert!(is_used, "{variable}: {end:?}");
    }
}
