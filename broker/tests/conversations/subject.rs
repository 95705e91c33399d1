//! The endpoint under test, and what its local users see.

use crate::recording::{Action, Check, Scenario};
use crate::stranger::PATIENCE;
use broker::event::StatusCode;
use broker::{
    Address, Config, Endpoint, EndpointId, Event, EventStream, Message, PeerError, PeerStatus,
    Retry, Subscriber,
};
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// The time for the bye where a scenario waits until it is over.
const SHORT_BYE: Duration = Duration::from_millis(500);

pub(crate) struct Subject {
    pub(crate) endpoint: Endpoint,
    pub(crate) address: SocketAddr,
    pub(crate) bye: Duration,
    pub(crate) offers_version_2: bool,
    events: EventStream,
    subscriber: Subscriber,
    others: Vec<(Vec<String>, Subscriber)>,
    requests: VecDeque<JoinHandle<Result<EndpointId, PeerError>>>,
    lives: Lives,
}

/// Scenarios in which one stranger would be told what the other one wants.
const WITHOUT_RELAY: [&str; 2] = ["routing-update-variants", "unicast"];

impl Subject {
    pub(crate) async fn start(scenario: &Scenario, waits_for_bye: bool) -> Self {
        let mut config = Config {
            endpoint_id: Some(scenario.endpoint_id.parse().expect("an id")),
            retry_jitter: 0.0,
            ..Config::default()
        };
        if waits_for_bye {
            config.limits.bye = SHORT_BYE;
        }
        let options = &scenario.options;
        config.relay = !WITHOUT_RELAY.contains(&scenario.name.as_str());
        if let Some(forwarding) = options.forwarding {
            config.forwarding = forwarding;
        }
        if let Some(size) = options.peer_buffer_size {
            config.limits.outbox_messages = NonZeroUsize::new(size).unwrap();
        }
        if let Some(policy) = &options.overflow_policy {
            config.overflow_policy = policy.parse().expect("a policy");
        }
        let (bye, offers_version_2) = (config.limits.bye, config.relay);
        let endpoint = broker::builder().config(config).build().expect("an endpoint");
        let events = endpoint.events();
        let subscriber = endpoint.subscribe(&scenario.subscriptions);
        let url = endpoint.listen(Address::new("tcp", "127.0.0.1", 0)).await.expect("listening");
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], url.port())),
            endpoint,
            bye,
            offers_version_2,
            events,
            subscriber,
            others: Vec::new(),
            requests: VecDeque::new(),
            lives: Lives::default(),
        }
    }

    /// Does what an operator did. `doorway` is where the stranger may listen.
    pub(crate) async fn operate(&mut self, action: &Action, doorway: SocketAddr) {
        match action {
            Action::Peer { retry } => {
                let retry = Retry::every(Duration::from_secs(*retry));
                let request = self.endpoint.peer(url(&doorway.to_string()), retry);
                self.requests.push_back(tokio::spawn(request));
            }
            Action::Unpeer { address } => {
                self.endpoint.unpeer(url(address));
            }
            Action::Publish { topic, text } => {
                self.endpoint.publish(topic, text.as_str()).await.expect("published");
            }
            Action::PublishTo { receiver, topic, text } => {
                let receiver = receiver.parse().expect("an id");
                let published = self.endpoint.publish_to(receiver, topic, text.as_str()).await;
                published.expect("published");
            }
            Action::PublishMany { count, topic } => {
                for number in 0..*count {
                    let text = format!("{number:05}{:4995}", "");
                    self.endpoint.publish(topic, text.as_str()).await.expect("published");
                }
            }
            Action::Subscribe(topics) => {
                let subscriber = self.endpoint.subscribe(topics);
                self.others.push((topics.clone(), subscriber));
            }
            Action::Unsubscribe(topics) => {
                let before = self.others.len();
                self.others.retain(|(subscribed, _)| subscribed != topics);
                assert_eq!(before - 1, self.others.len(), "one subscription to {topics:?}");
            }
            Action::AttachMaster => panic!("this implementation has no stores"),
            Action::Shutdown => {
                let endpoint = self.endpoint.clone();
                tokio::spawn(async move { endpoint.shutdown().await });
            }
        }
    }

    /// The next status or error, in the text form of the C++ Broker.
    pub(crate) async fn event(&mut self) -> Option<String> {
        loop {
            let event = timeout(PATIENCE, self.events.next()).await.ok()??;
            self.lives.note(&event);
            if !matches!(event, Event::Log(_)) {
                return Some(event.to_string());
            }
        }
    }

    /// The next message of the subscriber: topic and text.
    pub(crate) async fn message(&mut self) -> Option<(String, String)> {
        let message = self.raw_message().await?;
        let value = message.data().expect("a valid payload");
        Some((message.topic().to_string(), value.to_string()))
    }

    pub(crate) async fn raw_message(&mut self) -> Option<Message> {
        timeout(PATIENCE, self.subscriber.recv()).await.ok()?
    }

    /// Whether the oldest request that has not been looked at was fulfilled.
    pub(crate) async fn result_of_peer(&mut self) -> Option<bool> {
        let request = self.requests.pop_front().expect("a request");
        let result = timeout(PATIENCE, request).await.ok()?.expect("no panic");
        Some(result.is_ok())
    }

    /// The installed peers in the form of the recordings.
    pub(crate) fn peers(&self) -> String {
        let peers = self.endpoint.peers();
        let installed = peers.iter().filter(|peer| peer.status == PeerStatus::Peered);
        let lines: Vec<String> = installed
            .map(|peer| {
                let id = peer.id.expect("an installed peer has an id");
                let retry = peer.network.retry.unwrap_or_default().as_secs();
                let address = peer.network.url.host_and_port();
                format!("{id} {address} retry {retry} {}", peer.status.name())
            })
            .collect();
        if lines.is_empty() { "(none)".to_owned() } else { lines.join("\n") }
    }

    /// Whether an address is still tried, or will be.
    pub(crate) fn wants(&self, doorway: SocketAddr) -> bool {
        let url = url(&doorway.to_string());
        self.endpoint.peers().iter().any(|peer| {
            peer.network.url == url
                && matches!(peer.status, PeerStatus::Connecting | PeerStatus::Reconnecting)
        })
    }

    pub(crate) fn check(&self, check: &Check, doorway: SocketAddr) -> Result<(), String> {
        match check {
            Check::Counter { peer, name, value } => {
                let stats = self.endpoint.peering_stats();
                let peer: EndpointId = peer.parse().expect("an id");
                let stats = stats.get(&peer).ok_or_else(|| format!("{peer} is no peer"))?;
                let counted = match name.as_str() {
                    "forged" => stats.forged,
                    "internal" => stats.internal,
                    "malformed" => stats.malformed,
                    other => panic!("no counter {other}"),
                };
                same(name, value, &counted)
            }
            Check::Filter { peer, topics } => {
                let filter = self.endpoint.peer_filter(peer.parse().expect("an id"));
                let filter: Option<Vec<String>> = filter.map(|topics| {
                    topics.iter().map(|topic| String::from_utf8_lossy(topic).into()).collect()
                });
                same("filter", &Some(topics.clone()), &filter)
            }
            Check::Wanted => same("wanted", &true, &self.wants(doorway)),
        }
    }

    /// The events and messages that nobody has expected. A scenario without any says nothing
    /// about events.
    pub(crate) fn leftover(&mut self, has_events: bool) -> Vec<String> {
        let mut leftover = Vec::new();
        while let Some(event) = self.events.try_next() {
            self.lives.note(&event);
            if has_events && !matches!(event, Event::Log(_)) {
                leftover.push(format!("event {event}"));
            }
        }
        while let Ok(message) = self.subscriber.try_recv() {
            if has_events {
                leftover.push(format!("message {message:?}"));
            }
        }
        leftover
    }

    /// Ends the endpoint, and returns what was wrong with its events all the while.
    pub(crate) async fn finish(mut self) -> Vec<String> {
        if timeout(PATIENCE, self.endpoint.shutdown()).await.is_err() {
            return vec!["the endpoint does not stop".to_owned()];
        }
        while let Some(event) = self.events.next().await {
            self.lives.note(&event);
        }
        self.lives.unfinished()
    }
}

/// Checks that two values are the same.
pub(crate) fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    expected: &T,
    found: &T,
) -> Result<(), String> {
    if expected == found {
        return Ok(());
    }
    Err(format!("{what}\n  expected {expected:?}\n  found    {found:?}"))
}

fn url(address: &str) -> Address {
    format!("tcp://{address}").parse().expect("an address")
}

/// Watches that the statuses of each endpoint come in the one order that is right.
#[derive(Default)]
struct Lives {
    last: HashMap<EndpointId, StatusCode>,
    wrong: Vec<String>,
}

impl Lives {
    fn note(&mut self, event: &Event) {
        use StatusCode as S;
        let (Some(code), Some(endpoint)) = (event.status(), event.endpoint()) else { return };
        let last = self.last.insert(endpoint.id, code);
        let right = matches!(
            (last, code),
            (None | Some(S::EndpointUnreachable), S::EndpointDiscovered)
                | (Some(S::EndpointDiscovered), S::PeerAdded)
                | (Some(S::PeerAdded), S::PeerRemoved | S::PeerLost)
                | (Some(S::PeerRemoved | S::PeerLost), S::EndpointUnreachable)
        );
        if !right {
            self.wrong.push(format!("{code:?} of {} after {last:?}", endpoint.id));
        }
    }

    fn unfinished(self) -> Vec<String> {
        let open = |(id, code): (EndpointId, StatusCode)| {
            (code != StatusCode::EndpointUnreachable).then(|| format!("{id} ended with {code:?}"))
        };
        self.wrong.into_iter().chain(self.last.into_iter().filter_map(open)).collect()
    }
}
