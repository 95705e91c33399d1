//! An endpoint that something happens to, and what it says about that.

use crate::stranger::Stranger;
use crate::troubled::Troubled;
use broker::event::{Event, LogId, Severity, StatusCode};
use broker::{Address, Config, Endpoint, ErrorCode, EventStream, Reason, Retry};
use std::time::Duration;
use tokio::time::timeout;

/// How long anything may take on a machine that has other things to do.
const LIMIT: Duration = Duration::from_secs(30);

/// When nothing is tried again while a test runs.
const LATER: Duration = Duration::from_secs(3600);

pub(crate) struct Scene {
    pub(crate) endpoint: Endpoint,
    events: EventStream,
    /// What a request ended with, for what is no event.
    pub(crate) outcome: Option<Reason>,
    strangers: Vec<Stranger>,
    /// Endpoints that stay to the end of the scene.
    #[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "only scenes with TLS have some"))]
    others: Vec<Endpoint>,
}

impl Scene {
    pub(crate) fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config { log_level: Severity::Debug, ..Config::default() };
        change(&mut config);
        Self::of(broker::builder().transport(Troubled).config(config).build().unwrap())
    }

    pub(crate) fn of(endpoint: Endpoint) -> Self {
        let events = endpoint.events();
        Self { endpoint, events, outcome: None, strangers: Vec::new(), others: Vec::new() }
    }

    pub(crate) async fn listen(&mut self) -> Address {
        self.endpoint.listen(Address::new("tcp", "127.0.0.1", 0)).await.unwrap()
    }

    /// Lets somebody stay to the end of the scene.
    pub(crate) fn keep(mut self, stranger: Stranger) -> Self {
        self.strangers.push(stranger);
        self
    }

    #[cfg(feature = "tls")]
    pub(crate) fn beside(mut self, endpoint: Endpoint) -> Self {
        self.others.push(endpoint);
        self
    }

    /// Dials once, and then for good.
    pub(crate) async fn fails_to_peer(&self, url: &Address) {
        let request = self.endpoint.peer(url, Retry::never());
        timeout(LIMIT, request).await.unwrap().unwrap_err();
        drop(self.endpoint.peer(url, Retry::every(LATER)));
    }

    pub(crate) async fn is_peered(&mut self) {
        let added = async {
            while self.events.next().await.unwrap().status() != Some(StatusCode::PeerAdded) {}
        };
        timeout(LIMIT, added).await.unwrap();
    }

    /// Waits until the endpoint gives this reason.
    pub(crate) async fn expect(mut self, reason: Reason) {
        if let Some(outcome) = self.outcome {
            assert_eq!(outcome, reason);
            return;
        }
        let mut seen = Vec::new();
        let given = async {
            loop {
                let event = self.events.next().await.unwrap();
                if check(&event) == Some(reason) {
                    return event;
                }
                seen.push(event);
            }
        };
        let given = timeout(LIMIT, given).await;
        let event = given.unwrap_or_else(|_| panic!("{reason} is not among {seen:#?}"));
        // Where there is still a relation with somebody, it is in the list of peers as well; an
        // error is in the log as well.
        match event {
            Event::Log(log) if matches!(log.id, LogId::PeerLost | LogId::PeerOverflow) => {
                assert!(self.is_listed(reason));
            }
            Event::Error(error) => {
                let Some(Event::Log(log)) = self.events.next().await else { panic!("no log") };
                assert_eq!(log.reason, error.reason);
                assert!(log.description.ends_with(&error.message), "{log:?}");
                if error.code == ErrorCode::PeerUnavailable {
                    self.becomes_listed(reason).await;
                }
            }
            _ => {}
        }
    }

    /// Whether it is the last thing that went wrong with somebody.
    fn is_listed(&self, reason: Reason) -> bool {
        let peers = self.endpoint.peers();
        peers.iter().any(|peer| peer.last_reason == Some(reason) && peer.last_error.is_some())
    }

    async fn becomes_listed(&mut self, reason: Reason) {
        let listed = async {
            while !self.is_listed(reason) {
                self.events.next().await.unwrap();
            }
        };
        let listed = timeout(LIMIT, listed).await;
        listed.unwrap_or_else(|_| panic!("{reason} is not in {:#?}", self.endpoint.peers()));
    }
}

/// The reason that an event gives, after a check of the rest of it.
fn check(event: &Event) -> Option<Reason> {
    let name = match event {
        Event::Error(error) => error.reason?,
        Event::Log(log) => log.reason?,
        _ => return None,
    };
    assert!(!event.message().is_empty());
    Some(name)
}
