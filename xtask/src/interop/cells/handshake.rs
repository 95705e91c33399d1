//! Becoming peers: whoever dials, and whichever side leads the handshake.

use super::{ENCRYPTED_OR_NOT, NODE, PIPE, THROUGHPUT, order};
use crate::interop::cell::{Cell, Check, Context, Dials, ensure, same};
use crate::interop::child::{Child, free_port};
use crate::interop::needs::Need;
use crate::interop::ours::{Id, Ours};
use broker::event::StatusCode;
use broker::{Direction, EndpointId, PeerStatus};

const TOPIC: &str = "/interop";

pub(super) fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for tool in [NODE, PIPE, THROUGHPUT] {
        for id in [Id::Lowest, Id::Highest] {
            let order = order(id);
            let needs: &[Need] = match tool {
                NODE => &[Need::Tool(NODE)],
                PIPE => &[Need::Tool(PIPE)],
                _ => &[Need::Tool(THROUGHPUT)],
            };
            let what = format!("handshake, {order}");
            let cell = Cell::new(tool, what, needs, move |context| peering(context, tool, id));
            cells.extend(cell.variants(ENCRYPTED_OR_NOT, &[Dials::They, Dials::We]));
        }
    }
    cells
}

async fn peering(context: Context, tool: &'static str, id: Id) -> Check<String> {
    match context.dials {
        Dials::We => we_dial(context, tool, id).await,
        _ => they_dial(context, tool, id).await,
    }
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

fn start(context: &Context, tool: &'static str, who: Dials, port: u16) -> Check<Child> {
    let topics = format!("\"{TOPIC}\"");
    let args: Vec<String> = match (tool, who) {
        (NODE, Dials::They) => {
            vec!["-t".into(), topics, format!("--peers=<tcp://127.0.0.1:{port}>")]
        }
        (NODE, _) => vec!["-t".into(), topics, "-p".into(), port.to_string()],
        (PIPE, Dials::They) => vec![
            "-t".into(),
            TOPIC.into(),
            "-m".into(),
            "subscribe".into(),
            format!("--peers=[\"127.0.0.1:{port}\"]"),
        ],
        (PIPE, _) => vec![
            "-t".into(),
            TOPIC.into(),
            "-m".into(),
            "subscribe".into(),
            "-l".into(),
            port.to_string(),
        ],
        (_, Dials::They) => vec!["--verbose".into(), format!("127.0.0.1:{port}")],
        (_, _) => {
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
    ours.protected(peer)?;
    ours.settled(peer).await
}
