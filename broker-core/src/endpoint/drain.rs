//! Leaving an overlay without haste.

use super::shared::Shared;
use crate::EndpointId;
use broker_proto::peering::{Direction, PeerStatus};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

/// See [`Endpoint::drain`](super::Endpoint::drain).
pub(super) async fn drain(shared: &Arc<Shared>, over: Duration, within: Duration) {
    shared.tasks.accepting.cancel();
    give_up_requests(shared);
    // Those who have come by themselves know where else to go. Other relays stay until they have
    // gone: what they still say then gets on from here.
    let movable: Vec<EndpointId> = peered(shared, true);
    let pace = over.checked_div(u32::try_from(movable.len()).unwrap_or(u32::MAX));
    for (number, peer) in movable.into_iter().enumerate() {
        if number > 0 {
            sleep(pace.unwrap_or_default()).await;
        }
        leave(shared, peer, within);
    }
    let until = Instant::now() + within;
    let gone = async {
        loop {
            let changed = shared.reporting.peers_changed.notified();
            if peered(shared, true).is_empty() {
                return;
            }
            changed.await;
        }
    };
    // Who is left over says bye together with the others.
    let _ = timeout_at(until, gone).await;
    let bye = Instant::now() + shared.config.limits.bye;
    let until = until.max(bye);
    loop {
        let changed = shared.reporting.peers_changed.notified();
        let left = peered(shared, false);
        if left.is_empty() {
            break;
        }
        // A peer that was lost is not asked to come back, and one whose handshake is done only now
        // has to go as well.
        give_up_requests(shared);
        left.into_iter().for_each(|peer| leave(shared, peer, until - Instant::now()));
        tokio::select! {
            () = changed => {}
            () = sleep_until(until) => break,
        }
    }
    shared.shut_down().await;
}

fn leave(shared: &Arc<Shared>, peer: EndpointId, within: Duration) {
    if let Some(peer) = shared.router.peer(peer) {
        peer.tell_drops(shared.id);
    }
    shared.control(|control, now| control.unpeer_within(peer, within, now));
}

fn give_up_requests(shared: &Arc<Shared>) {
    for (_, dial) in shared.registry.dials() {
        shared.control(|control, now| control.unpeer(&dial.url, now));
    }
}

/// The peers there are, or those of them that have come by themselves and are no relays.
fn peered(shared: &Shared, is_movable: bool) -> Vec<EndpointId> {
    let is_relay = |id| shared.router.peer(id).is_some_and(|peer| peer.is_relay());
    let peers = shared.registry.peers().into_iter().filter(|(id, record)| {
        record.status == PeerStatus::Peered
            && (!is_movable || record.direction == Direction::Inbound && !is_relay(*id))
    });
    peers.map(|(id, _)| id).collect()
}
