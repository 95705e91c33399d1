//! Half-open connections: the peer has vanished without a word, so its end of the peering is gone
//! and this one is not. If it comes back with the same id it would be refused as redundant until
//! the operating system gives the old connection up, which can take hours.

use super::{Action, Close, PeeringMachine, Timer};
use crate::EndpointId;
use crate::Failure;
use crate::peering::{ConnectionId, Time};
use crate::wire::envelope::ping_frame;

/// What an installed peer is pinged with when somebody else claims to be that peer.
const TOKEN: &[u8] = b"LIVE";

impl PeeringMachine {
    /// Another connection says that it is this peer. If the peering with it has been silent for
    /// a while it has to show that it is still alive; any byte will do.
    pub(super) fn suspect(&mut self, peer: EndpointId, now: Time) {
        let Some(id) = self.registry.get(peer).map(|record| record.conn) else { return };
        let (own, liveness) = (self.settings.id, self.settings.liveness);
        let deadline = now + self.settings.bye;
        let Some(peering) = self.peering_mut(id) else { return };
        let busy = peering.removal.is_some() || peering.check.is_some();
        if busy || peering.heard.silence(now) < liveness {
            return;
        }
        peering.check = Some((now, deadline));
        self.timers.set(deadline, Timer::Liveness(id));
        self.act(Action::Send { conn: id, frame: ping_frame(own, peer, TOKEN) });
    }

    pub(super) fn liveness_checked(&mut self, id: ConnectionId, now: Time) {
        let Some(peering) = self.peering_mut(id) else { return };
        let Some((began, _)) = peering.check.take() else { return };
        if peering.heard.since(began) {
            return;
        }
        peering.cut = Some(Failure::Silent(peering.heard.silence(now)));
        self.act(Action::Close { conn: id, how: Close::Now });
    }
}
