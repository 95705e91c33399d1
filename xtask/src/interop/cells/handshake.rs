//! Becoming peers: whoever dials, and whichever side leads the handshake.

use super::{NODE, PIPE, THROUGHPUT};
use crate::interop::cell::{Cell, Check, Context, ensure, same};
use crate::interop::child::{Child, free_port};
use crate::interop::ours::{Id, Ours};
use broker::event::StatusCode;
use broker::{Direction, EndpointId, PeerStatus};

const TOPIC: &str = "/interop";

pub(super) fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for tool in [NODE, PIPE, THROUGHPUT] {
        for id in [Id::Lowest, Id::Highest] {
            let order = match id {
                Id::Lowest => "our id lower",
                Id::Highest => "our id higher",
            };
            let tools: &[&str] = match tool {
                NODE => &[NODE],
                PIPE => &[PIPE],
                _ => &[THROUGHPUT],
            };
            let they = move |context| they_dial(context, tool, id);
            cells.push(Cell::new(format!("handshake: {tool} dials, {order}"), tools, they));
            let we = move |context| we_dial(context, tool, id);
            cells.push(Cell::new(format!("handshake: we dial {tool}, {order}"), tools, we));
        }
    }
    cells
}

async fn they_dial(context: Context, tool: &'static str, id: Id) -> Check<String> {
    let mut ours = Ours::start(&context, id)?;
    let port = ours.listen(0).await?.port();
    let child = start(&context, tool, Dials::They, port)?;
    let peer = ours.added().await?;
    check_peer(&ours, tool, id, peer, Direction::Inbound).await?;
    child.kill().await?;
    ours.ended(StatusCode::PeerLost, peer).await?;
    ours.quiet()?;
    Ok("discovered, added, ping answered, lost, unreachable".to_owned())
}

async fn we_dial(context: Context, tool: &'static str, id: Id) -> Check<String> {
    let mut ours = Ours::start(&context, id)?;
    let port = free_port()?;
    let _child = start(&context, tool, Dials::We, port)?;
    let url = ours.dial(port);
    let peer = ours.added().await?;
    check_peer(&ours, tool, id, peer, Direction::Outbound).await?;
    ensure(ours.endpoint.is_outbound_peering(&url), "the peering is not outbound")?;
    ensure(ours.endpoint.unpeer(&url), "there is nothing to unpeer")?;
    ours.ended(StatusCode::PeerRemoved, peer).await?;
    ours.quiet()?;
    Ok("discovered, added, ping answered, removed, unreachable".to_owned())
}

#[derive(PartialEq, Eq)]
enum Dials {
    They,
    We,
}

fn start(context: &Context, tool: &'static str, who: Dials, port: u16) -> Check<Child> {
    let topics = format!("\"{TOPIC}\"");
    let args: Vec<String> = match (tool, who) {
        (NODE, Dials::They) => {
            vec!["-t".into(), topics, format!("--peers=<tcp://127.0.0.1:{port}>")]
        }
        (NODE, Dials::We) => vec!["-t".into(), topics, "-p".into(), port.to_string()],
        (PIPE, Dials::They) => vec![
            "-t".into(),
            TOPIC.into(),
            "-m".into(),
            "subscribe".into(),
            format!("--peers=[\"127.0.0.1:{port}\"]"),
        ],
        (PIPE, Dials::We) => vec![
            "-t".into(),
            TOPIC.into(),
            "-m".into(),
            "subscribe".into(),
            "-l".into(),
            port.to_string(),
        ],
        (_, Dials::They) => vec!["--verbose".into(), format!("127.0.0.1:{port}")],
        (_, Dials::We) => {
            vec!["--verbose".into(), "--server".into(), format!("127.0.0.1:{port}")]
        }
    };
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    Child::tool(context, tool, &args)
}

async fn check_peer(
    ours: &Ours,
    tool: &str,
    id: Id,
    peer: EndpointId,
    direction: Direction,
) -> Check {
    same("our id being the lower one", &(ours.endpoint.id() < peer), &(id == Id::Lowest))?;
    let peers = ours.endpoint.peers();
    let [info] = peers.as_slice() else { return Err(format!("the peers are {peers:?}")) };
    same("the peer", &(info.id, info.status), &(Some(peer), PeerStatus::Peered))?;
    same("the direction", &info.direction, &direction)?;
    if tool != THROUGHPUT {
        ours.filter(peer, &[TOPIC]).await?;
    }
    ours.settled(peer).await
}
