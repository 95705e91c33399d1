//! `broker-cli` in its default settings, and the C++ Broker in its own: what a newcomer with a Zeek
//! starts with.

use super::CPP;
use crate::interop::cell::{Cell, Check, Context, Dials, Mode, ensure, same};
use crate::interop::child::free_port;
use crate::interop::cli::Cli;
use crate::interop::needs::Need;
use crate::interop::script::Script;
use crate::interop::vectors::{self, Recorded};
use broker::data::Value;
use broker::data::json::{decode_data_message, encode_data_message};
use serde_json::json;
use std::time::Duration;

const THERE: &str = "/cli/there";
const BACK: &str = "/cli/back";

/// Megabytes are slow without optimizations.
const LIMIT: Duration = Duration::from_secs(90);

pub(super) fn cells() -> Vec<Cell> {
    const NEEDS: &[Need] = &[Need::CppModule, Need::Cli];
    let we = [
        Cell::new(CPP, "broker-cli: ping and doctor", NEEDS, ping_and_doctor),
        Cell::new(CPP, "broker-cli: sub and pub, values of all types both ways", NEEDS, values),
        Cell::new(CPP, "broker-cli: sub and pub, 1 MB both ways", NEEDS, megabytes),
        Cell::new(CPP, "broker-cli: node --peer, it is killed and restarted", NEEDS, it_is_killed),
        Cell::new(CPP, "broker-cli: node --peer, killed and restarted", NEEDS, we_are_killed),
    ];
    let they = [
        Cell::new(CPP, "broker-cli: node --listen, values of all types both ways", NEEDS, values),
        Cell::new(CPP, "broker-cli: node --listen, 1 MB both ways", NEEDS, megabytes),
        Cell::new(
            CPP,
            "broker-cli: node --listen, it is killed and restarted",
            NEEDS,
            it_is_killed,
        ),
        Cell::new(CPP, "broker-cli: node --listen, killed and restarted", NEEDS, we_are_killed),
    ];
    let anonymous = |cells: Vec<Cell>, dials| {
        let variants = move |cell: Cell| cell.within(LIMIT).variants(&[Mode::Anonymous], &[dials]);
        cells.into_iter().flat_map(variants)
    };
    anonymous(we.into(), Dials::We).chain(anonymous(they.into(), Dials::They)).collect()
}

async fn ping_and_doctor(context: Context) -> Check<String> {
    let mut theirs = Script::cpp(&context, "listen", 0, &[THERE])?;
    let url = format!("tls://127.0.0.1:{}", theirs.listening().await?);
    let pings = Cli::run(&context, &["ping", &url, "--count", "3"]).await?;
    let answers = pings.iter().filter(|line| line["type"] == "ping").count();
    same("the number of answers", &answers, &3)?;
    let checks = Cli::run(&context, &["doctor", &url]).await?;
    let tls = checks.iter().find(|line| line["layer"] == "tls").ok_or("nothing about TLS")?;
    let message = tls["message"].as_str().unwrap_or_default();
    for words in ["anonymous TLS of a Zeek", "encrypted, not authenticated", "set certificate"] {
        ensure(message.contains(words), format!("doctor does not say {words:?}: {message}"))?;
    }
    Ok(format!("{answers} answers; doctor: {}", tls["cipher"].as_str().unwrap_or_default()))
}

/// What is published with `pub` comes back to `sub` after the other side has read and written it:
/// directly, or through a node that it dials.
struct Circuit {
    theirs: Script,
    _node: Option<Cli>,
    url: String,
    sub: Cli,
}

impl Circuit {
    async fn start(context: &Context) -> Check<Self> {
        let (mut theirs, node, url) = match context.dials {
            Dials::We => {
                let mut theirs = Script::cpp(context, "listen", 0, &[])?;
                let url = format!("tls://127.0.0.1:{}", theirs.listening().await?);
                (theirs, None, url)
            }
            _ => {
                let listen = ["node", "--listen", "tls://127.0.0.1:0", "--events"];
                let args = [&listen[..], &["--forward", "/cli/"]].concat();
                let mut node = Cli::start(context, &args)?;
                let (url, port) = node.listening().await?;
                let theirs = Script::cpp(context, "connect", port, &[])?;
                let added = node.event("peer_added").await?;
                same(
                    "the protection",
                    &added["protection"],
                    &json!("encrypted, not authenticated"),
                )?;
                (theirs, Some(node), url)
            }
        };
        if context.dials == Dials::They {
            // What it subscribes to before it is peered is not announced again after that.
            theirs.status("peer_added").await?;
        }
        theirs.tell("echo", json!({"from": THERE, "to": BACK})).await?;
        theirs.event("subscribed").await?;
        let mut sub = Cli::start(context, &["sub", BACK, "--peer", &url, "--events"])?;
        let added = sub.event("peer_added").await?;
        same("the protection", &added["protection"], &json!("encrypted, not authenticated"))?;
        Ok(Self { theirs, _node: node, url, sub })
    }

    /// Publishes until one comes back: then everybody knows who wants what.
    async fn warm_up(&mut self, context: &Context) -> Check {
        let first = async {
            loop {
                Cli::run(context, &["pub", THERE, "0", "--peer", &self.url]).await?;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            found = self.sub.event("data-message") => found.map(drop),
            failed = first => failed,
        }
    }

    async fn publisher(&self, context: &Context) -> Check<Cli> {
        Cli::start(context, &["pub", "-", "--peer", &self.url])
    }

    /// The next value that has come back and is none of the warm-up.
    async fn back(&mut self) -> Check<Value> {
        loop {
            let line = self.sub.event("data-message").await?.to_string();
            let message =
                decode_data_message(line.as_bytes()).map_err(|error| error.to_string())?;
            same("the topic", &message.topic.to_string().as_str(), &BACK)?;
            if message.value != Value::Count(0) {
                return Ok(message.value);
            }
        }
    }
}

fn line(value: &Value) -> Check<String> {
    let mut line = Vec::new();
    encode_data_message(THERE, value, &mut line);
    String::from_utf8(line).map_err(|error| error.to_string())
}

async fn values(context: Context) -> Check<String> {
    let mut circuit = Circuit::start(&context).await?;
    circuit.warm_up(&context).await?;
    let mut publisher = circuit.publisher(&context).await?;
    let (mut count, mut left_out) = (0, 0);
    for Recorded { name, payload, .. } in vectors::values()? {
        let value = Value::decode(&payload).map_err(|error| format!("{name}: {error}"))?;
        // What JSON cannot express, as text that is no UTF-8, does not get through it.
        let text = line(&value)?;
        let expressed = decode_data_message(text.as_bytes());
        if expressed.is_ok_and(|expressed| expressed.value.encode() == payload)
            && value != Value::Count(0)
        {
            publisher.child.say(&text).await?;
            let back = circuit.back().await.map_err(|error| format!("{name}: {error}"))?;
            ensure(back.encode() == payload, format!("{name} came back as {back}"))?;
            count += 1;
        } else {
            left_out += 1;
        }
    }
    publisher.finish().await?;
    ensure(count > 100, format!("only {count} values"))?;
    Ok(format!("{count} values there and back; {left_out} have no JSON form of their own"))
}

async fn megabytes(context: Context) -> Check<String> {
    const COUNT: usize = 8;
    const SIZE: usize = 1_000_000;
    let mut circuit = Circuit::start(&context).await?;
    circuit.warm_up(&context).await?;
    let mut publisher = circuit.publisher(&context).await?;
    for number in 0..COUNT {
        let text = Value::from(format!("{number} {}", "y".repeat(SIZE)));
        publisher.child.say(&line(&text)?).await?;
        let back = circuit.back().await?;
        ensure(back == text, format!("message {number} came back changed"))?;
    }
    publisher.finish().await?;
    circuit.theirs.tell("burst", json!({"topic": BACK, "count": COUNT, "size": SIZE})).await?;
    for number in 0..COUNT {
        let Value::String(text) = circuit.back().await? else { return Err("no text".to_owned()) };
        same("the size", &text.len(), &SIZE)?;
        let beginning = format!("{number} ");
        ensure(text.starts_with(beginning.as_bytes()), format!("message {number} is another one"))?;
    }
    Ok(format!("{COUNT} there and back, {COUNT} more from there"))
}

async fn it_is_killed(context: Context) -> Check<String> {
    const ROUNDS: usize = 3;
    let port = free_port()?;
    let (mut node, port) = node(&context, port, "--retry=0.2").await?;
    for _ in 0..ROUNDS {
        let theirs = start_theirs(&context, port).await?;
        node.event("peer_added").await?;
        theirs.kill().await?;
        node.event("peer_lost").await?;
    }
    let _theirs = start_theirs(&context, port).await?;
    node.event("peer_added").await?;
    Ok(format!("lost and added again {ROUNDS} times"))
}

/// A node that dials the port, or listens on one.
async fn node(context: &Context, port: u16, retry: &str) -> Check<(Cli, u16)> {
    let url = format!("tls://127.0.0.1:{port}");
    match context.dials {
        Dials::We => {
            let node = Cli::start(context, &["node", "--peer", &url, "--events", retry])?;
            Ok((node, port))
        }
        _ => {
            let mut node = Cli::start(context, &["node", "--listen", &url, "--events"])?;
            let (_, port) = node.listening().await?;
            Ok((node, port))
        }
    }
}

async fn start_theirs(context: &Context, port: u16) -> Check<Script> {
    match context.dials {
        Dials::We => {
            let mut theirs = Script::cpp(context, "listen", port, &[THERE])?;
            theirs.listening().await?;
            Ok(theirs)
        }
        _ => Script::cpp(context, "connect", port, &[THERE]),
    }
}

async fn we_are_killed(context: Context) -> Check<String> {
    const ROUNDS: usize = 3;
    let mut port = free_port()?;
    let mut theirs = match context.dials {
        Dials::We => Some(start_theirs(&context, port).await?),
        _ => None,
    };
    for _ in 0..ROUNDS {
        let (mut node, at) = node(&context, port, "--retry=0.2").await?;
        port = at;
        let theirs = match &mut theirs {
            Some(theirs) => theirs,
            none => none.insert(start_theirs(&context, port).await?),
        };
        node.event("peer_added").await?;
        theirs.status("peer_added").await?;
        node.child.kill().await?;
        theirs.status("peer_lost").await?;
    }
    Ok(format!("added and lost {ROUNDS} times"))
}
