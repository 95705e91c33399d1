use crate::delivery::Outbox;
use crate::guard::Guard;
use crate::other_side::{Connector, Introduction, OtherSide};
use crate::overlay::{IN_THE_OVERLAY, Overlay};
use crate::passage::Passage;
use crate::stand_in::StandIn;
use crate::status::Counters;
use crate::task::BridgeTask;
use crate::{BridgeStatus, Directions};
use broker_core::transport::{Connection, TransportError, TransportErrorKind as Kind};
use broker_core::{Endpoint, EndpointId, Url};
use parking_lot::Mutex;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How long the other side may take to agree to the end, where nothing is left to be said.
pub(crate) const CLOSE_TIME: Duration = Duration::from_millis(300);

/// All bridges of one kind that an endpoint has.
#[derive(Debug, Default)]
pub(crate) struct Bridges {
    overlay: Arc<Overlay>,
    open: Mutex<Vec<Weak<Counters>>>,
}

impl Bridges {
    /// The first endpoint counts: a second one would need a transport of its own.
    pub(crate) fn join(&self, endpoint: &Endpoint) {
        self.overlay.join(endpoint);
    }

    pub(crate) fn status(&self) -> Vec<BridgeStatus> {
        let open = self.open.lock();
        open.iter().filter_map(Weak::upgrade).map(|bridge| bridge.status()).collect()
    }

    /// Connects to the other side, and returns a connection on which it looks like a peer.
    pub(crate) async fn open(
        &self,
        to: &Url,
        directions: Directions,
        connector: impl Connector,
    ) -> Result<Connection, TransportError> {
        if self.overlay.has_ended() {
            return Err(TransportError::closed());
        }
        let wanted = self.overlay.wanted();
        let (side, introduction) = connector.connect(directions.subscriptions(&wanted)).await?;
        let Introduction { version, endpoint: server, protection } = introduction;
        let stand_in = StandIn::new(to).map_err(|error| invalid(to, &error.to_string()))?;
        let id = stand_in.endpoint.id();
        if let Some(reason) = self.circle(&directions, server, id) {
            self.overlay.spawn(side.close(CLOSE_TIME));
            stand_in.endpoint.shutdown().await;
            return Err(invalid(to, &reason));
        }
        let counters = Arc::new(Counters::new(to, &directions, version, server));
        self.add(&counters);
        let (stand_in, connection) = stand_in.connect(to, &directions, protection).await?;
        let overlay = Arc::clone(&self.overlay);
        let guard = Guard::new(Arc::clone(&overlay), &directions, id, server);
        let passage = Passage { overlay, directions, guard, counters };
        let outbox = Outbox::new();
        let task = BridgeTask { stand_in, passage, outbox, connector, side, wanted };
        self.overlay.spawn(task.run());
        Ok(connection)
    }

    fn add(&self, counters: &Arc<Counters>) {
        let mut open = self.open.lock();
        open.retain(|bridge| bridge.strong_count() > 0);
        open.push(Arc::downgrade(counters));
    }

    /// Why messages would go in circles through this bridge, as far as one endpoint can see.
    fn circle(
        &self,
        directions: &Directions,
        server: Option<EndpointId>,
        stand_in: EndpointId,
    ) -> Option<String> {
        if self.overlay.around(stand_in, server).contains_other_side {
            return Some(IN_THE_OVERLAY.to_owned());
        }
        let open = self.open.lock();
        let (other, topic) = open
            .iter()
            .filter_map(Weak::upgrade)
            .find_map(|bridge| bridge.against(server?, directions))?;
        Some(format!(
            "{topic:?} would go both ways: there is a bridge to {other} already, which is the same \
             server"
        ))
    }
}

/// An address that cannot be bridged to.
pub(crate) fn invalid(to: &Url, reason: &str) -> TransportError {
    TransportError::new(Kind::InvalidAddress, format!("connecting to {to}: {reason}"))
}
