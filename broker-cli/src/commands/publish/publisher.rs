use super::source::{Entry, Source};
use crate::failure::{Exit, Failure};
use crate::output::diagnose;
use crate::session::{Session, Stop, not_connected};
use broker::data::BString;
use broker::{EndpointId, PublishError};
use std::pin::pin;
use std::time::Duration;
use tokio::time::timeout;

/// How often to look whether a peer has subscribed, of which no event tells.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// After this time of waiting for the confirmation the user is told.
const PATIENCE: Duration = Duration::from_secs(5);

/// The steps of publishing.
pub(super) struct Publisher<'a> {
    session: &'a mut Session,
    published: u64,
    /// How many messages had no subscriber.
    unwanted: u64,
}

impl<'a> Publisher<'a> {
    pub(super) fn new(session: &'a mut Session) -> Self {
        Self { session, published: 0, unwanted: 0 }
    }

    /// Waits for the peerings that were asked for; if there are none, for a peer that comes by
    /// itself and wants the topic.
    pub(super) async fn meet(
        &mut self,
        limit: Duration,
        topic: Option<&BString>,
    ) -> Result<(), Stop> {
        let met = timeout(limit, async {
            while !self.session.peerings.is_complete() {
                self.session.step().await?;
            }
            while !self.is_wanted(topic) {
                if let Ok(went_on) = timeout(LOOK_AGAIN, self.session.step()).await {
                    went_on?;
                }
            }
            Ok(())
        });
        match met.await {
            Ok(met) => met,
            // There is a peer, even if it has not subscribed to this topic.
            Err(_) if !self.session.peerings.asked() && self.has_peers() => Ok(()),
            Err(_) => Err(not_connected(&self.session.endpoint, limit).into()),
        }
    }

    /// Whether there is reason to publish: peerings that were asked for, or a peer or client that
    /// came and has subscribed.
    fn is_wanted(&self, topic: Option<&BString>) -> bool {
        let wants = |id: &EndpointId| match (topic, self.session.endpoint.peer_filter(*id)) {
            (Some(topic), Some(filter)) => filter.iter().any(|prefix| topic.starts_with(prefix)),
            (None, filter) => filter.is_some(),
            (Some(_), None) => false,
        };
        let peerings = &self.session.peerings;
        peerings.asked() || peerings.current().iter().any(wants) || self.is_wanted_by_client(topic)
    }

    fn is_wanted_by_client(&self, topic: Option<&BString>) -> bool {
        let clients = self.session.endpoint.clients();
        clients.iter().any(|client| match topic {
            Some(topic) => client.info.subscriptions.iter().any(|p| topic.starts_with(p)),
            None => !client.info.subscriptions.is_empty(),
        })
    }

    fn has_peers(&self) -> bool {
        !self.session.peerings.current().is_empty() || self.session.endpoint.client_count() > 0
    }

    /// Publishes everything. The inner error is about a value that cannot be published, and ends
    /// the source.
    pub(super) async fn publish_all(
        &mut self,
        source: &mut Source,
    ) -> Result<Result<(), Failure>, Stop> {
        while let Some(entry) = self.session.during(source.next()).await? {
            let entry = match entry {
                Ok(entry) => entry,
                Err(failure) => return Ok(Err(failure)),
            };
            if let Err(error) = self.publish(&entry).await? {
                return Ok(Err(match entry.line {
                    Some(line) => Failure::other(format!("line {line}: {error}")),
                    None => Failure::usage(error.to_string()),
                }));
            }
        }
        Ok(Ok(()))
    }

    async fn publish(&mut self, entry: &Entry) -> Result<Result<(), PublishError>, Stop> {
        while !self.has_peers() && self.session.peerings.comes_back() {
            self.session.step().await?;
        }
        let endpoint = self.session.endpoint.clone();
        let published = self.session.during(endpoint.publish(&entry.topic, &entry.value)).await?;
        Ok(published.map(|to| {
            self.published += 1;
            self.unwanted += u64::from(to.peers == 0);
        }))
    }

    /// Whether anything has been published.
    pub(super) fn has_published(&self) -> bool {
        self.published > 0
    }

    /// Reports messages without a subscriber.
    pub(super) fn report(&self) {
        match (self.published, self.unwanted) {
            (_, 0) => {}
            (1, 1) => diagnose("nobody had subscribed to the topic"),
            (all, unwanted) => diagnose(format_args!(
                "nobody had subscribed to the topics of {unwanted} of {all} messages"
            )),
        }
    }

    /// Waits until every peer has read everything that was published.
    pub(super) async fn confirm(&mut self, limit: Option<Duration>) -> Result<(), Stop> {
        let ended_before = self.session.peerings.ended();
        for peer in self.session.peerings.current().clone() {
            let endpoint = self.session.endpoint.clone();
            // The answer to a ping comes after everything that was sent before it was read.
            let limit = limit.unwrap_or(Duration::MAX);
            let mut ping = pin!(timeout(limit, endpoint.ping(peer)));
            let answer = match timeout(PATIENCE, self.answer(&mut ping)).await {
                Ok(answer) => answer?,
                Err(_) => {
                    diagnose(format_args!(
                        "waiting for {peer} to read everything; an interrupt gives that up"
                    ));
                    self.answer(&mut ping).await?
                }
            };
            let (exit, why) = match answer {
                Ok(Ok(_)) => continue,
                Ok(Err(error)) => (Exit::Failure, error.to_string()),
                Err(_) => (Exit::TimedOut, format!("no answer within {} s", limit.as_secs_f64())),
            };
            let text = format!("{peer} has not confirmed that it has read everything: {why}");
            return Err(Failure::new(exit, text).into());
        }
        if ended_before > 0 {
            let text = match self.session.peerings.has_overflowed() {
                true => {
                    "a peer did not read fast enough and was cut, as --overflow disconnect asks \
                     for; what was waiting for it is lost"
                }
                false => "a peering ended before all was confirmed; messages may have been lost",
            };
            return Err(Failure::other(text).into());
        }
        // What a server refused of what it read has been told before it confirmed.
        self.session.catch_up();
        match self.session.peerings.refusal() {
            Some(text) => Err(Failure::other(format!("not everything has arrived: {text}")).into()),
            None => Ok(()),
        }
    }

    /// Waits for the answer. If the peer leaves right after it, the answer counts.
    async fn answer<T>(&mut self, mut answer: impl Future<Output = T> + Unpin) -> Result<T, Stop> {
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => return Ok(answer),
                went_on = self.session.step() => went_on?,
            }
        }
    }
}
