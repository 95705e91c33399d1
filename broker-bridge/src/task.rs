use crate::delivery::Outbox;
use crate::other_side::{CLOSE_TIME, Connector, OtherSide};
use crate::overlay::IN_THE_OVERLAY;
use crate::passage::Passage;
use crate::stand_in::ConnectedStandIn;
use broker_core::EndpointId;
use broker_core::event::StatusCode;
use bytes::Bytes;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

/// How long the other side may take to read what is left, and then to agree to the end, when the
/// endpoint has gone.
pub(crate) const LAST_MESSAGES: Duration = Duration::from_secs(10);

/// How long the stand-in may take until it tells of a peering that has begun.
const PEERING_TIME: Duration = Duration::from_secs(1);

/// Carries messages between the stand-in and the other side.
///
/// What is to be sent waits in the outbox until there is room, and meanwhile the other side is
/// listened to: one that writes without reading is read from, and so gets to reading.
pub(crate) struct BridgeTask<C: Connector> {
    pub(crate) stand_in: ConnectedStandIn,
    pub(crate) passage: Passage,
    pub(crate) outbox: Outbox<<C::Side as OtherSide>::Parcel>,
    pub(crate) connector: C,
    pub(crate) side: C::Side,
    /// What the endpoint wanted when the other side was subscribed to last.
    pub(crate) wanted: Vec<Bytes>,
}

/// What has ended a bridge.
enum Ended {
    /// The endpoint has ended the peering, or is gone.
    Peering,
    /// The other side is gone, or must not be bridged to any more.
    OtherSide,
}

impl<C: Connector> BridgeTask<C> {
    pub(crate) async fn run(mut self) {
        self.passage.report_left_out(&self.wanted);
        let ended = self.carry().await;
        // Everything that came before the end is in the queue.
        self.take_from_hub();
        let deadline = Instant::now() + LAST_MESSAGES;
        if matches!(ended, Ended::Peering) {
            let _ = timeout_at(deadline, self.settle()).await;
        }
        self.passage.report_lost(&mut self.outbox);
        let Self { side, stand_in, .. } = self;
        match ended {
            Ended::Peering => {
                let left = deadline.saturating_duration_since(Instant::now());
                side.close(left.max(CLOSE_TIME)).await;
            }
            Ended::OtherSide => drop(side),
        }
        // After a loss this tells the peer, which comes back if it wants to.
        stand_in.endpoint.shutdown().await;
    }

    async fn carry(&mut self) -> Ended {
        let own = self.passage.overlay.context();
        let stand_in = self.stand_in.endpoint.service_context();
        let mut peer = None;
        let mut wish_changed = Box::pin(stand_in.peers_changed());
        let peers_of_own = || own.as_ref().map(|own| Box::pin(own.peers_changed()));
        let mut around_changed = peers_of_own();
        let ending = self.stand_in.ending.clone();
        let mut unpeered = std::pin::pin!(never_peered(&ending));
        loop {
            if self.passage.guard.around().contains_other_side {
                self.passage.complain(IN_THE_OVERLAY);
                return Ended::OtherSide;
            }
            if let Some(wanted) = self.new_wish(peer) {
                self.wanted = wanted;
                self.passage.report_left_out(&self.wanted);
                if let Err(ended) = self.subscribe_again().await {
                    return ended;
                }
            }
            tokio::select! {
                () = self.stand_in.gone.cancelled() => return Ended::Peering,
                () = &mut unpeered, if peer.is_none() => return Ended::Peering,
                event = self.stand_in.events.next() => {
                    let Some(event) = event else { return Ended::Peering };
                    match event.status() {
                        Some(StatusCode::PeerAdded) => {
                            peer = event.endpoint().map(|endpoint| endpoint.id);
                        }
                        Some(StatusCode::PeerLost | StatusCode::PeerRemoved) => {
                            return Ended::Peering;
                        }
                        _ => {}
                    }
                }
                () = &mut wish_changed => wish_changed = Box::pin(stand_in.peers_changed()),
                Some(()) = optional(&mut around_changed) => around_changed = peers_of_own(),
                Some(asked_by) = self.stand_in.asked.recv() => {
                    // Everything that came before the question is in the queue.
                    self.take_from_hub();
                    self.outbox.ask(asked_by);
                }
                message = self.stand_in.hub.recv(), if self.outbox.outgoing.is_empty() => {
                    let Some(message) = message else { return Ended::Peering };
                    self.passage.outward(&message, &mut self.side, &mut self.outbox);
                }
                // Before that, what comes would get to nobody.
                incoming = self.side.exchange(&mut self.outbox.outgoing), if peer.is_some() => {
                    let Some(incoming) = incoming else { return Ended::OtherSide };
                    let hub = &self.stand_in.hub;
                    if !self.passage.inward(incoming, hub, &mut self.outbox).await {
                        return Ended::OtherSide;
                    }
                }
            }
        }
    }

    fn take_from_hub(&mut self) {
        while let Ok(message) = self.stand_in.hub.try_recv() {
            self.passage.outward(&message, &mut self.side, &mut self.outbox);
        }
    }

    /// Waits until the other side has confirmed everything or is gone.
    async fn settle(&mut self) {
        while !self.outbox.is_settled() {
            let incoming = self.side.exchange(&mut self.outbox.outgoing).await;
            let Some(incoming) = incoming else { return };
            if !self.passage.inward(incoming, &self.stand_in.hub, &mut self.outbox).await {
                return;
            }
        }
    }

    /// What the endpoint wants, if that is not what the other side has been asked for.
    fn new_wish(&self, peer: Option<EndpointId>) -> Option<Vec<Bytes>> {
        let directions = &self.passage.directions;
        let wanted = self.stand_in.endpoint.peer_filter(peer?)?;
        let differs = directions.subscriptions(&wanted) != directions.subscriptions(&self.wanted);
        differs.then_some(wanted)
    }

    /// Subscribes to what the endpoint wants now. Where subscriptions hold as long as a connection
    /// does, that makes another one; the old one is used until the new one works.
    async fn subscribe_again(&mut self) -> Result<(), Ended> {
        let topics = self.passage.directions.subscriptions(&self.wanted);
        if self.side.subscribe(&topics) {
            return Ok(());
        }
        let mut connecting = Box::pin(self.connector.connect(topics));
        let side = loop {
            tokio::select! {
                biased;
                () = self.stand_in.gone.cancelled() => return Err(Ended::Peering),
                connected = &mut connecting => match connected {
                    Ok((side, _)) => break side,
                    Err(_) => return Err(Ended::OtherSide),
                },
                incoming = self.side.exchange(&mut self.outbox.outgoing) => {
                    let Some(incoming) = incoming else { return Err(Ended::OtherSide) };
                    let hub = &self.stand_in.hub;
                    if !self.passage.inward(incoming, hub, &mut self.outbox).await {
                        return Err(Ended::OtherSide);
                    }
                }
            }
        };
        drop(connecting);
        let _ = timeout(LAST_MESSAGES, self.settle()).await;
        self.passage.report_lost(&mut self.outbox);
        let old = std::mem::replace(&mut self.side, side);
        self.passage.overlay.spawn(old.close(LAST_MESSAGES));
        Ok(())
    }
}

/// What a future gives, if there is one.
async fn optional<F: Future + Unpin>(future: &mut Option<F>) -> Option<F::Output> {
    match future {
        Some(future) => Some(future.await),
        None => None,
    }
}

/// Waits until a handshake has ended without a peering, of which no event tells.
async fn never_peered(ending: &CancellationToken) {
    ending.cancelled().await;
    sleep(PEERING_TIME).await;
}
