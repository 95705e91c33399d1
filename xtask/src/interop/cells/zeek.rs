//! Zeek with its own Broker: a script calls the functions and prints the events that it has for
//! peerings.

use super::{ENCRYPTED_OR_NOT, ZEEK, order, zeek_values};
use crate::interop::cell::{Cell, Check, Context, Dials, Mode, ensure, same};
use crate::interop::child::{Child, free_port};
use crate::interop::needs::Need;
use crate::interop::ours::{Id, Mortal, Ours, next};
use broker::data::Value;
use broker::data::zeek::{ZeekEvent, ZeekMessage};
use broker::event::StatusCode;
use broker::{EndpointId, Subscriber};
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

const SCRIPT: &str = include_str!("../scripts/peer.zeek");
const THERE: &str = "/zeek/there";
const BACK: &str = "/zeek/back";

/// Zeek takes its time to start.
const PATIENCE: Duration = Duration::from_secs(40);
const LIMIT: Duration = Duration::from_secs(150);

pub(super) fn cells() -> Vec<Cell> {
    const NEEDS: &[Need] = &[Need::Tool(ZEEK)];
    let mut cells = Vec::new();
    let mut add = |cell: Cell, dials: &[Dials]| {
        cells.extend(cell.within(LIMIT).variants(ENCRYPTED_OR_NOT, dials));
    };
    let either = &[Dials::They, Dials::We];
    for id in [Id::Lowest, Id::Highest] {
        let what = format!("handshake, events both ways, what it says of us, {}", order(id));
        add(Cell::new(ZEEK, what, NEEDS, move |context| handshake(context, id)), either);
        let what = format!("it is killed and comes back, {}", order(id));
        add(Cell::new(ZEEK, what, NEEDS, move |context| it_is_killed(context, id)), either);
        let what = format!("we are killed and come back, {}", order(id));
        add(
            Cell::new(ZEEK, what, NEEDS, move |context| we_are_killed(context, id)),
            &[Dials::They],
        );
    }
    add(Cell::new(ZEEK, "we unpeer, and peer again", NEEDS, we_unpeer), &[Dials::We]);
    add(Cell::new(ZEEK, "it unpeers, and peers again", NEEDS, it_unpeers), &[Dials::They]);
    add(Cell::new(ZEEK, "it ends", NEEDS, it_ends), either);
    add(Cell::new(ZEEK, "values of every type come back equal", NEEDS, values), either);
    add(Cell::new(ZEEK, "a cluster's hello", NEEDS, hello), &[Dials::We]);
    cells
}

/// A Zeek in a directory of its own.
struct Zeek {
    child: Child,
    _directory: TempDir,
}

impl Zeek {
    /// Starts it with the script of this file and this one.
    fn start(context: &Context, port: u16, more: &str) -> Check<Self> {
        let listens = if context.dials == Dials::We { 'T' } else { 'F' };
        let constants = format!("const listens = {listens};\nconst at = {port}/tcp;\n");
        Self::run(context, &format!("{constants}{SCRIPT}{more}"), &[], &[])
    }

    fn run(
        context: &Context,
        script: &str,
        files: &[(&str, &str)],
        env: &[(&str, &str)],
    ) -> Check<Self> {
        let directory = TempDir::new().map_err(|error| error.to_string())?;
        let plain = match context.mode {
            Mode::Plain => "redef Broker::disable_ssl = T;\n",
            _ => "",
        };
        let script = format!("{plain}{script}");
        for (name, text) in files.iter().chain([&("peer.zeek", script.as_str())]) {
            let written = std::fs::write(directory.path().join(name), text);
            written.map_err(|error| error.to_string())?;
        }
        let zeek = context.places.tool(ZEEK).ok_or("there is no zeek")?;
        let mut command = Command::new(zeek);
        command.current_dir(directory.path()).args(["peer.zeek"]);
        // The directory of a node is not where Zeek looks for scripts by itself.
        let rest = std::env::var("ZEEKPATH").unwrap_or_default();
        if !rest.is_empty() {
            command.env("ZEEKPATH", format!("{}:{rest}", directory.path().display()));
        }
        command.envs(env.iter().copied());
        Ok(Self { child: Child::start(&context.log, ZEEK, command)?, _directory: directory })
    }

    /// Waits until it prints a line that begins like this; returns the rest.
    async fn prints(&mut self, beginning: &str) -> Check<String> {
        let line = async {
            while let Some(line) = self.child.next_line().await {
                let line = String::from_utf8_lossy(&line).into_owned();
                if let Some(rest) = line.strip_prefix(beginning) {
                    return Ok(rest.trim().to_owned());
                }
            }
            Err(format!("zeek ended and did not print {beginning:?}"))
        };
        timeout(PATIENCE, line).await.map_err(|_| format!("zeek does not print {beginning:?}"))?
    }
}

/// Starts it, and peers in the direction of the cell.
async fn peer(context: &Context, ours: &mut Ours, more: &str) -> Check<(Zeek, EndpointId, u16)> {
    let port = match context.dials {
        Dials::We => free_port()?,
        _ => ours.listen(0).await?.port(),
    };
    let mut zeek = Zeek::start(context, port, more)?;
    if context.dials == Dials::We {
        zeek.prints("listening").await?;
        ours.dial(port);
    }
    let id = ours.added_within(PATIENCE).await?;
    zeek.prints("endpoint_discovered").await?;
    zeek.prints("peer_added").await?;
    ours.protected(id)?;
    Ok((zeek, id, port))
}

async fn order_it(ours: &Ours, what: &str) -> Check {
    ours.publish(THERE, &Value::from(ZeekEvent::new("order").arg(what))).await
}

/// Waits until it has subscribed to our orders: then one is answered.
async fn ready(ours: &Ours, received: &mut Subscriber) -> Check {
    for _ in 0..200 {
        let event = Value::from(ZeekEvent::new("order").arg("hello"));
        ours.endpoint.publish(THERE, &event).await.map_err(|error| error.to_string())?;
        tokio::time::sleep(Duration::from_millis(100)).await;
        if received.try_recv().is_ok() {
            return Ok(());
        }
    }
    Err("zeek does not answer".to_owned())
}

async fn handshake(context: Context, id: Id) -> Check<String> {
    let mut ours = Ours::start(&context, id)?;
    let mut received = ours.endpoint.subscribe([BACK]);
    let (mut zeek, peer, _) = peer(&context, &mut ours, "").await?;
    ready(&ours, &mut received).await?;
    ours.settled(peer).await?;
    let own = ours.endpoint.id().to_string();
    order_it(&ours, "peers").await?;
    let line = zeek.prints("peer ").await?;
    let outbound = if context.dials == Dials::They { "T" } else { "F" };
    same("the peer", &line, &format!("{own} Broker::PEERED {outbound}"))?;
    order_it(&ours, "outbound").await?;
    same("the direction", &zeek.prints("outbound").await?.as_str(), &outbound)?;
    order_it(&ours, "stats").await?;
    let line = zeek.prints("stats").await?;
    same("the statistics", &line, &format!("{own} overflows 0"))?;
    ours.quiet()?;
    Ok("discovered, added, an event each, peers, direction, statistics".to_owned())
}

async fn it_is_killed(context: Context, id: Id) -> Check<String> {
    let mut ours = Ours::start(&context, id)?;
    let (zeek, peer, port) = peer(&context, &mut ours, "").await?;
    zeek.child.kill().await?;
    ours.ended(StatusCode::PeerLost, peer).await?;
    let _zeek = Zeek::start(&context, port, "")?;
    let peer = ours.added_within(PATIENCE).await?;
    ours.settled(peer).await?;
    Ok("lost, unreachable, discovered, added".to_owned())
}

async fn we_are_killed(context: Context, id: Id) -> Check<String> {
    let port = free_port()?;
    let mut zeek = Zeek::start(&context, port, "")?;
    for _ in 0..2 {
        let mut mortal = Mortal::start(&context, id)?;
        mortal.listen(port).await?;
        mortal.ours.added_within(PATIENCE).await?;
        zeek.prints("peer_added").await?;
        mortal.kill(&context);
        zeek.prints("peer_lost").await?;
        zeek.prints("endpoint_unreachable").await?;
    }
    Ok("it saw added, lost and unreachable twice".to_owned())
}

async fn we_unpeer(context: Context) -> Check<String> {
    let mut ours = Ours::fresh(&context)?;
    let (mut zeek, id, port) = peer(&context, &mut ours, "").await?;
    ensure(ours.endpoint.unpeer(ours.url(port)), "there is nothing to unpeer")?;
    ours.ended(StatusCode::PeerRemoved, id).await?;
    zeek.prints("peer_lost").await?;
    zeek.prints("endpoint_unreachable").await?;
    ours.dial(port);
    same("the peer", &ours.added().await?, &id)?;
    zeek.prints("peer_added").await?;
    Ok("removed here, lost there, and peered again".to_owned())
}

async fn it_unpeers(context: Context) -> Check<String> {
    let mut ours = Ours::fresh(&context)?;
    let mut received = ours.endpoint.subscribe([BACK]);
    let (mut zeek, id, _) = peer(&context, &mut ours, "").await?;
    ready(&ours, &mut received).await?;
    order_it(&ours, "unpeer").await?;
    same("what it says", &zeek.prints("unpeered").await?.as_str(), &"T")?;
    zeek.prints("peer_removed").await?;
    ours.ended(StatusCode::PeerLost, id).await?;
    zeek.prints("dialling again").await?;
    same("the peer", &ours.added_within(PATIENCE).await?, &id)?;
    zeek.prints("peer_added").await?;
    Ok("removed there, lost here, and peered again".to_owned())
}

async fn it_ends(context: Context) -> Check<String> {
    let mut ours = Ours::fresh(&context)?;
    let mut received = ours.endpoint.subscribe([BACK]);
    let (mut zeek, id, _) = peer(&context, &mut ours, "").await?;
    ready(&ours, &mut received).await?;
    order_it(&ours, "terminate").await?;
    ours.ended(StatusCode::PeerLost, id).await?;
    ensure(zeek.child.ended().await?.success(), "zeek ended with an error")?;
    Ok("lost here, and it ended without an error".to_owned())
}

async fn values(context: Context) -> Check<String> {
    let publish = "Broker::publish(\"/zeek/back\", matrix";
    let script = zeek_values::SCRIPT.replace("Cluster::publish(\"/test/matrix\", matrix", publish);
    let script = script.replace("print fmt(", "say(fmt(").replace("%s\", same);", "%s\", same));");
    let mut ours = Ours::fresh(&context)?;
    let mut received = ours.endpoint.subscribe([BACK]);
    let (mut zeek, ..) = peer(&context, &mut ours, &script).await?;
    let message = next(&mut received).await?;
    let value = message.data().map_err(|error| error.to_string())?;
    let Ok(ZeekMessage::Event(mut event)) = ZeekMessage::try_from(&value) else {
        return Err("no event".to_owned());
    };
    event.name = "back".into();
    let count = event.args.len();
    ours.publish(THERE, &Value::from(event)).await?;
    same("the answer", &zeek.prints("same").await?.as_str(), &"T")?;
    Ok(format!("{count} values"))
}

/// A manager whose worker is this side.
const MANAGER: &str = r#"
@ifdef ( Cluster::CLUSTER_BACKEND_BROKER )
redef Cluster::backend = Cluster::CLUSTER_BACKEND_BROKER;
@endif
redef exit_only_after_terminate = T;
redef Log::default_rotation_interval = 0sec;
global out = open("/dev/stdout");
function say(text: string) { print out, text; flush_all(); }
event zeek_init() { set_buf(out, F); }
event Cluster::node_up(name: string, id: string) { say(fmt("up %s %s", name, id)); }
event Cluster::node_down(name: string, id: string) { say(fmt("down %s", name)); }
"#;

async fn hello(context: Context) -> Check<String> {
    let (port, spare) = (free_port()?, free_port()?);
    let layout = format!(
        "redef Cluster::manager_is_logger = T;\nredef Cluster::nodes = {{\n\
         [\"manager\"] = [$node_type=Cluster::MANAGER, $ip=127.0.0.1, $p={port}/tcp],\n\
         [\"worker-1\"] = [$node_type=Cluster::WORKER, $ip=127.0.0.1, $p={spare}/tcp, \
         $manager=\"manager\"],\n}};\n"
    );
    let files = [("cluster-layout.zeek", layout.as_str())];
    let mut zeek = Zeek::run(&context, MANAGER, &files, &[("CLUSTER_NODE", "manager")])?;
    zeek.child.accepts(port).await?;
    let mut ours = Ours::fresh(&context)?;
    let mut received = ours.endpoint.subscribe(["zeek/cluster/"]);
    ours.dial(port);
    let peer = ours.added_within(PATIENCE).await?;
    ours.protected(peer)?;
    let message = next(&mut received).await?;
    let event = message.event().map_err(|error| error.to_string())?;
    same("the event", &event.name().to_string().as_str(), &"Cluster::hello")?;
    let own = ours.endpoint.id().to_string();
    let event = ZeekEvent::new("Cluster::hello").arg("worker-1").arg(own.as_str());
    let topic = "zeek/cluster/node/manager/";
    ours.publish(topic, &Value::from(event)).await?;
    same("the node", &zeek.prints("up").await?, &format!("worker-1 {own}"))?;
    ours.shut_down().await?;
    same("the node", &zeek.prints("down").await?.as_str(), &"worker-1")?;
    Ok("a hello each, node_up and node_down".to_owned())
}
