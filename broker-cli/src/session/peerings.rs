use crate::choice::keep_one;
use crate::failure::{Exit, Failure};
use crate::options::retry;
#[cfg(feature = "ws")]
use broker::event::LogId;
use broker::event::{RemovalCause, StatusCode};
use broker::{Address, Endpoint, EndpointId, Event, PeerHandle};
use std::collections::BTreeSet;
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// How often peerings are tried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Persistence {
    /// The time between the first attempts; `None` is one attempt, which has to succeed.
    pub(crate) at_first: Option<Duration>,
    /// The time between attempts after a loss.
    pub(crate) after_loss: Option<Duration>,
}

impl Persistence {
    /// The same time for everything.
    pub(crate) fn always(time: Option<Duration>) -> Self {
        let time = time.filter(|time| !time.is_zero());
        Self { at_first: time, after_loss: time }
    }
}

/// The time between attempts of a list of peers, if none is said: one takes over from another, so a
/// list comes back in any case.
const RETRY_CHOICE: Duration = Duration::from_secs(1);

/// Ends with the first failure, or when all requests have been fulfilled, with the peers.
type Dialling = Pin<Box<dyn Future<Output = Result<Vec<EndpointId>, Failure>> + Send>>;

/// The peerings that a command asked for and those that came by themselves, as far as the events
/// have been looked at.
#[derive(Default)]
pub(crate) struct Peerings {
    /// Whether others can ask for peerings.
    accepts: bool,
    asked: bool,
    /// The requests that have not been fulfilled yet.
    dialling: Option<Dialling>,
    dialled: Vec<EndpointId>,
    /// What keeps one peering out of several.
    choices: JoinSet<()>,
    comes_back: bool,
    current: BTreeSet<EndpointId>,
    ended: u64,
    /// Whether there has been a peer or a client.
    met_anybody: bool,
    /// Whether the peering that ended last was cut because its peer did not keep up.
    overflowed: bool,
    /// What a server first did not get or take.
    refusal: Option<String>,
}

impl Peerings {
    /// Notes that others can ask for peerings.
    pub(super) fn accept(&mut self) {
        self.accepts = true;
    }

    /// Asks for peerings.
    pub(super) fn dial(
        &mut self,
        endpoint: &Endpoint,
        urls: &[Address],
        choices: &[Vec<Address>],
        persistence: Persistence,
    ) {
        let Persistence { at_first, after_loss } = persistence;
        let mut chosen = Vec::new();
        for choice in choices {
            let (first, outcome) = oneshot::channel();
            let every = after_loss.or(at_first).unwrap_or(RETRY_CHOICE);
            let insist = at_first.is_some();
            self.choices.spawn(keep_one(endpoint.clone(), choice.clone(), every, insist, first));
            chosen.push(outcome);
        }
        let request = |url: &Address| (url.clone(), endpoint.peer(url, retry(at_first)));
        let requests: Vec<(Address, PeerHandle)> = urls.iter().map(request).collect();
        let endpoint = endpoint.clone();
        self.asked = !requests.is_empty() || !choices.is_empty();
        self.comes_back = after_loss.is_some() || !choices.is_empty();
        self.dialling = Some(Box::pin(async move {
            let mut peers = Vec::new();
            for (url, handle) in requests {
                peers.push(handle.await.map_err(|error| Failure::peering(&url, &error))?);
                if at_first.is_none() && after_loss.is_some() {
                    // Asking again for a peering that exists only changes its retry time.
                    drop(endpoint.peer(&url, retry(after_loss)));
                }
            }
            for outcome in chosen {
                let gone = |_| Failure::other("the peerings were given up");
                peers.push(outcome.await.map_err(gone)??);
            }
            Ok(peers)
        }));
    }

    /// Waits until all requests have been fulfilled, or one cannot be; forever if there are none.
    /// Fails as [`Self::check`] does if by then no peering is left: events may be ahead. Cancel
    /// safe.
    pub(super) async fn progress(&mut self) -> Result<(), Failure> {
        match &mut self.dialling {
            Some(dialling) => {
                let outcome = dialling.await;
                self.dialling = None;
                self.dialled = outcome?;
                self.check()
            }
            None => std::future::pending().await,
        }
    }

    /// Takes note of an event.
    pub(super) fn note(&mut self, event: &Event) {
        #[cfg(feature = "ws")]
        if let Event::Log(log) = event
            && log.id == LogId::BridgeLoss
        {
            self.refusal.get_or_insert_with(|| log.description.clone());
        }
        self.met_anybody |= event.status() == Some(StatusCode::PeerAdded);
        if matches!(event, Event::Status(status) if status.client.is_some()) {
            return;
        }
        let Some(peer) = event.endpoint().map(|endpoint| endpoint.id) else { return };
        match event.status() {
            Some(StatusCode::PeerAdded) => {
                self.current.insert(peer);
            }
            Some(StatusCode::PeerLost | StatusCode::PeerRemoved) => {
                self.current.remove(&peer);
                self.ended += 1;
                self.overflowed = event.cause() == Some(RemovalCause::Overflow);
            }
            _ => {}
        }
    }

    /// Gives open requests up. Whatever ends from now on is meant to end.
    pub(super) fn give_up(&mut self) {
        self.dialling = None;
        self.choices.abort_all();
        self.accepts = true;
    }

    /// Fails if no peering is left and none can be made: none is retried, and this endpoint does
    /// not listen.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let may_change = self.comes_back || self.accepts || self.dialling.is_some();
        if may_change || self.ended == 0 || !self.current.is_empty() {
            return Ok(());
        }
        Err(Failure::other(match self.overflowed {
            true => {
                "the last peer did not read fast enough and was cut, as --overflow disconnect asks \
                 for; what was waiting for it is lost"
            }
            false => "lost the connection to the last peer, and --retry does not ask for another",
        }))
    }

    /// The peers there are.
    pub(crate) fn current(&self) -> &BTreeSet<EndpointId> {
        &self.current
    }

    /// How many peerings have ended.
    pub(crate) fn ended(&self) -> u64 {
        self.ended
    }

    /// The peers at the addresses that were dialled, in their order, when all are connected.
    pub(crate) fn dialled(&self) -> &[EndpointId] {
        &self.dialled
    }

    /// Whether there is, or was, a peer or a client.
    pub(crate) fn has_met_anybody(&self) -> bool {
        self.met_anybody || !self.dialled.is_empty()
    }

    /// Whether the peering that ended last was cut because its peer did not keep up.
    pub(crate) fn has_overflowed(&self) -> bool {
        self.overflowed
    }

    /// What a server of the JSON API first did not get or take.
    pub(crate) fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    /// Whether peerings were asked for, rather than waited for.
    pub(crate) fn asked(&self) -> bool {
        self.asked
    }

    /// Whether those that were asked for come back when they are lost.
    pub(crate) fn comes_back(&self) -> bool {
        self.comes_back
    }

    /// Whether all that were asked for have been made.
    pub(crate) fn is_complete(&self) -> bool {
        self.dialling.is_none()
    }
}

/// The failure of a command whose peerings have not been made in time.
pub(crate) fn not_connected(endpoint: &Endpoint, limit: Duration) -> Failure {
    let seconds = limit.as_secs_f64();
    let tried = endpoint.peers().into_iter().find(|peer| peer.id.is_none());
    let text = match tried {
        None => format!("nobody has connected within {seconds} s"),
        Some(peer) => {
            let last = peer.last_error.map(|error| format!("; {error}")).unwrap_or_default();
            format!("not peered with {} within {seconds} s{last}", peer.network.url)
        }
    };
    Failure::new(Exit::TimedOut, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use broker::core::transport::MemTransport;

    #[tokio::test]
    async fn a_loss_that_is_seen_before_the_request_is_fulfilled_is_the_end() {
        let network = MemTransport::new();
        let build = || Endpoint::builder().transport(network.clone()).build().unwrap();
        let (hub, leaf) = (build(), build());
        let url = hub.listen("mem://hub:1").await.unwrap();
        let mut events = leaf.events();
        let mut peerings = Peerings::default();
        peerings.dial(&leaf, &[url], &[], Persistence::always(None));
        assert!(hub.await_peer(leaf.id()).await);
        hub.shutdown().await;
        while peerings.ended() == 0 {
            peerings.note(&events.next().await.unwrap());
        }
        assert!(peerings.check().is_ok(), "the request may still be fulfilled");
        assert!(peerings.progress().await.is_err(), "nothing is left of it");
    }
}
