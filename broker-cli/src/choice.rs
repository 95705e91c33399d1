//! A peer out of several: the first one in a list that can be reached, and back to it.

use crate::failure::Failure;
use crate::options::retry;
use broker::event::StatusCode;
use broker::{Address, Endpoint, EndpointId, EventStream};
use std::str::FromStr;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::sleep;

/// Addresses in the order in which they are preferred. With one alone there is no choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PeerList(pub(crate) Vec<Address>);

impl FromStr for PeerList {
    type Err = String;

    /// Addresses with commas between them; behind a question mark a comma is part of the last one.
    fn from_str(text: &str) -> Result<Self, String> {
        let (list, query) = text.split_at(text.find('?').unwrap_or(text.len()));
        let mut addresses: Vec<String> = list.split(',').map(str::to_owned).collect();
        if let Some(last) = addresses.last_mut() {
            last.push_str(query);
        }
        let addresses = addresses.iter().map(|address| address.trim().parse::<Address>());
        addresses.collect::<Result<_, _>>().map(Self).map_err(|error| error.to_string())
    }
}

/// Where the first outcome goes.
type First = oneshot::Sender<Result<EndpointId, Failure>>;

/// Keeps a peering with one of the addresses, the first one that can be reached. While it is not
/// the first of all, those in front of it are tried again every `every`; after a loss all are. The
/// first outcome goes to `first`; without `insist` a failure of it is the end.
pub(crate) async fn keep_one(
    endpoint: Endpoint,
    addresses: Vec<Address>,
    every: Duration,
    insist: bool,
    first: First,
) {
    let mut first = Some(first);
    let mut events = endpoint.events();
    loop {
        let (mut at, mut peer) = match connect(&endpoint, &addresses).await {
            Ok(found) => found,
            Err(failure) => match first.take() {
                // Nobody waits for it any more if that fails.
                Some(first) if !insist => return drop(first.send(Err(failure))),
                open => {
                    first = open;
                    sleep(every).await;
                    continue;
                }
            },
        };
        if let Some(first) = first.take() {
            let _ = first.send(Ok(peer));
        }
        loop {
            tokio::select! {
                biased;
                () = lost(&endpoint, &mut events, peer) => break,
                () = sleep(every), if at > 0 => {
                    let better = addresses.get(..at).unwrap_or_default();
                    if let Ok((found, id)) = connect(&endpoint, better).await {
                        // Two addresses may be those of one endpoint.
                        if let Some(worse) = addresses.get(at).filter(|_| id != peer) {
                            endpoint.unpeer(worse);
                        }
                        (at, peer) = (found, id);
                    }
                }
            }
        }
    }
}

/// Peers with the first address where that is possible.
async fn connect(
    endpoint: &Endpoint,
    addresses: &[Address],
) -> Result<(usize, EndpointId), Failure> {
    let mut last = Failure::usage("a list without addresses");
    for (at, address) in addresses.iter().enumerate() {
        match endpoint.peer(address, retry(None)).await {
            Ok(id) => return Ok((at, id)),
            Err(error) => last = Failure::peering(address, &error),
        }
    }
    Err(last)
}

/// Waits until there is no peering with this endpoint. Cancel safe.
async fn lost(endpoint: &Endpoint, events: &mut EventStream, peer: EndpointId) {
    while endpoint.peer_filter(peer).is_some() {
        loop {
            let Some(event) = events.next().await else { return };
            let is_end =
                matches!(event.status(), Some(StatusCode::PeerLost | StatusCode::PeerRemoved));
            if is_end && event.endpoint().is_some_and(|endpoint| endpoint.id == peer) {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use broker::core::transport::MemTransport;
    use broker::event::Event;

    #[test]
    fn a_list_has_commas_and_a_query_belongs_to_the_last_address() {
        let list = |text: &str| {
            let list = text.parse::<PeerList>()?;
            Ok::<_, String>(list.0.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(list("a:1").unwrap(), ["tcp://a:1"]);
        assert_eq!(list("a:1, tls://b:2").unwrap(), ["tcp://a:1", "tls://b:2"]);
        assert_eq!(list("ws://a:1/p?to=/x,/y").unwrap(), ["ws://a:1/p?to=/x,/y"]);
        assert_eq!(list("a:1,ws://b:2/p?to=/x,y").unwrap().len(), 2);
        assert!(list("a:1,,b:2").is_err());
    }

    /// Endpoints with listeners in one process.
    struct Hubs(MemTransport);

    impl Hubs {
        fn endpoint(&self) -> Endpoint {
            Endpoint::builder().transport(self.0.clone()).build().unwrap()
        }

        async fn start(&self, name: &str) -> Endpoint {
            let hub = self.endpoint();
            hub.listen(format!("mem://{name}:1").as_str()).await.unwrap();
            hub
        }
    }

    async fn peered(events: &mut EventStream, hub: &Endpoint) {
        loop {
            let event: Event = events.next().await.unwrap();
            let id = event.endpoint().map(|endpoint| endpoint.id);
            if event.status() == Some(StatusCode::PeerAdded) && id == Some(hub.id()) {
                return;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_one_takes_over_and_the_first_one_is_gone_back_to() {
        let hubs = Hubs(MemTransport::new());
        let (one, two) = (hubs.start("one").await, hubs.start("two").await);
        let leaf = hubs.endpoint();
        let (mut events, mut at_two) = (leaf.events(), two.events());
        let (first, outcome) = oneshot::channel();
        let addresses = ["mem://one:1", "mem://two:1"].map(|url| url.parse().unwrap()).to_vec();
        let every = Duration::from_secs(1);
        tokio::spawn(keep_one(leaf.clone(), addresses, every, false, first));
        assert_eq!(outcome.await.unwrap().unwrap(), one.id());
        peered(&mut events, &one).await;
        one.shutdown().await;
        peered(&mut events, &two).await;
        let back = hubs.start("one").await;
        peered(&mut events, &back).await;
        lost(&two, &mut at_two, leaf.id()).await;
        assert!(leaf.peer_filter(back.id()).is_some() && leaf.peer_filter(two.id()).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_of_which_nobody_is_there_fails_unless_it_is_insisted_on() {
        let hubs = Hubs(MemTransport::new());
        let leaf = hubs.endpoint();
        let addresses = ["mem://one:1", "mem://two:1"].map(|url| url.parse().unwrap()).to_vec();
        let every = Duration::from_secs(1);
        let (first, outcome) = oneshot::channel();
        keep_one(leaf.clone(), addresses.clone(), every, false, first).await;
        assert!(outcome.await.unwrap().is_err());
        let (first, outcome) = oneshot::channel();
        tokio::spawn(keep_one(leaf.clone(), addresses, every, true, first));
        let two = hubs.start("two").await;
        assert_eq!(outcome.await.unwrap().unwrap(), two.id());
    }
}
