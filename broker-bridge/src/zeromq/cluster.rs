//! The connections to the proxy of a cluster, and what goes over them.
//!
//! One task reads both at once, whatever the overlay does: with Zeek's settings a single subscriber
//! that stops reading stops the proxy for everybody.

use super::interest::Interest;
use super::line::Line;
use super::members::{Members, Own, ToSend};
use super::parts::{BINARY, Received, probe, probe_number, probe_topic, probe_topics, read};
use super::topics::Wanted;
use crate::inbox::InboxSender;
use crate::other_side::Incoming;
use broker_core::transport::TransportError;
use broker_zmtp::{Event, Message};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Bytes that may wait for the proxy before no more is taken from the overlay.
const WAITING: usize = 256 * 1024;

/// How often is looked for silence and for what has not been answered.
const TICK: Duration = Duration::from_secs(1);

/// How long what waits is sent at the end.
const LINGER: Duration = Duration::from_millis(500);

/// What the overlay wants to be done.
#[derive(Debug)]
pub(super) enum Command {
    /// Send an event.
    Publish { topic: Vec<u8>, payload: Vec<u8> },
    /// Say [`Incoming::Confirmed`] with this number when everything before has got to the proxy.
    Confirm(u64),
}

/// What the task hears from the rest of the bridge. It ends when the first of these is dropped.
#[derive(Debug)]
pub(super) struct Orders {
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) wishes: watch::Receiver<Wanted>,
}

/// The connections and what is known of the cluster.
#[derive(Debug)]
pub(super) struct Cluster {
    subscriber: Line,
    publisher: Line,
    own: Own,
    members: Members,
    interest: Interest,
    wanted: Wanted,
    /// What has been subscribed to; publishers count, so each once.
    subscribed: BTreeSet<Vec<u8>>,
    /// Whether the cluster has shown a subscription of this process to it.
    is_ready: bool,
    /// The last number to confirm, and when it was asked for last.
    to_confirm: Option<(u64, Instant)>,
    inbox: InboxSender,
}

impl Cluster {
    /// With connections that are open. Subscribes to what this process needs for itself.
    pub(super) fn new(
        subscriber: Line,
        publisher: Line,
        own: Own,
        wanted: Wanted,
        inbox: InboxSender,
    ) -> Self {
        let members = Members::new(own.clone());
        let (interest, subscribed, to_confirm) = Default::default();
        let mut cluster = Self {
            subscriber,
            publisher,
            own,
            members,
            interest,
            wanted: Wanted::default(),
            subscribed,
            is_ready: false,
            to_confirm,
            inbox,
        };
        cluster.subscribe(wanted);
        cluster
    }

    /// Waits until what is published arrives: subscriptions of others come before one's own.
    ///
    /// # Errors
    ///
    /// A connection is lost.
    pub(super) async fn ready(&mut self) -> Result<(), TransportError> {
        while !self.is_ready {
            self.step().await?;
        }
        Ok(())
    }

    async fn step(&mut self) -> Result<(), TransportError> {
        tokio::select! {
            stepped = self.subscriber.step() => stepped?,
            stepped = self.publisher.step() => stepped?,
        }
        self.take_what_came()
    }

    fn take_what_came(&mut self) -> Result<(), TransportError> {
        while let Some(event) = self.publisher.next()? {
            self.note_subscription(event);
        }
        while let Some(event) = self.subscriber.next()? {
            if let Event::Message(message) = event {
                self.message(&message);
            }
        }
        Ok(())
    }

    /// Subscribes to exactly this, and to what this process needs for itself.
    fn subscribe(&mut self, wanted: Wanted) {
        let own = self.own.topics().into_iter().chain([probe_topics(&self.own.id)]);
        let topics: BTreeSet<Vec<u8>> =
            wanted.subscriptions().chain(own.map(String::into_bytes)).collect();
        let line = self.subscriber.connection();
        topics.difference(&self.subscribed).for_each(|topic| line.subscribe(topic));
        self.subscribed.difference(&topics).for_each(|topic| line.cancel(topic));
        self.subscribed = topics;
        self.wanted = wanted;
    }

    /// Takes what comes on the connection that is published on: who subscribes to what.
    fn note_subscription(&mut self, event: Event) {
        match event {
            Event::Subscribed(topic) => {
                self.is_ready |= topic == probe_topics(&self.own.id).as_bytes();
                self.interest.add(&topic);
                let mut out = Vec::new();
                let news = self.members.subscribed(&topic, Instant::now(), &mut out);
                self.send(out);
                news.into_iter().for_each(|news| self.inbox.push(news));
            }
            Event::Cancelled(topic) => {
                self.interest.remove(&topic);
                let news = self.members.cancelled(&topic);
                news.into_iter().for_each(|news| self.inbox.push(news));
            }
            _ => {}
        }
    }

    fn message(&mut self, message: &Message) {
        // What this process has sent comes back if it has subscribed to it.
        if message.part(1) == Some(self.own.id.as_bytes()) {
            let number = message.part(0).and_then(|topic| probe_number(&self.own.id, topic));
            if let Some(number) = number {
                self.to_confirm = self.to_confirm.filter(|(last, _)| *last > number);
                self.inbox.push(Incoming::Confirmed(number));
            }
            return;
        }
        let Received { topic, sender, payload } = match read(message) {
            Ok(received) => received,
            Err(reason) => return self.inbox.push(Incoming::Unexpected(reason)),
        };
        let _ = sender;
        let mut out = Vec::new();
        let news = self.members.event(&payload, Instant::now(), &mut out);
        self.send(out);
        news.into_iter().for_each(|news| self.inbox.push(news));
        if let Some(topic) = self.wanted.topic(topic) {
            let (topic, payload) = (topic.into_owned(), payload.into_owned());
            self.inbox.push(Incoming::Message { topic, payload });
        }
    }

    fn send(&mut self, messages: Vec<ToSend>) {
        for ToSend { topic, payload } in messages {
            self.publish(topic.as_bytes(), &payload);
        }
    }

    fn publish(&mut self, topic: &[u8], payload: &[u8]) {
        let parts = [topic, self.own.id.as_bytes(), BINARY, payload];
        self.publisher.connection().send(&parts);
    }

    fn confirm(&mut self, number: u64) {
        self.to_confirm = Some((number, Instant::now()));
        self.publish(probe_topic(&self.own.id, number).as_bytes(), &probe());
    }

    fn execute(&mut self, command: Command) {
        match command {
            Command::Publish { topic, payload } if self.interest.includes(&topic) => {
                self.publish(&topic, &payload);
            }
            Command::Publish { .. } => {}
            Command::Confirm(number) => self.confirm(number),
        }
    }

    /// Looks for silence, and asks again for what was not answered: a proxy that drops messages may
    /// have dropped the question.
    fn tick(&mut self) -> Result<(), TransportError> {
        self.subscriber.check()?;
        self.publisher.check()?;
        self.members.expire(Instant::now());
        if let Some((number, asked)) = self.to_confirm
            && asked.elapsed() >= TICK
            && self.publisher.waiting() == 0
        {
            self.confirm(number);
        }
        Ok(())
    }

    /// Reads and sends until it is told to end or a connection is lost.
    pub(super) async fn run(mut self, mut orders: Orders) {
        if let Err(error) = self.carry(&mut orders).await {
            self.inbox.push(Incoming::Lost(error));
            return;
        }
        self.publisher.flush(LINGER).await;
    }

    async fn carry(&mut self, orders: &mut Orders) -> Result<(), TransportError> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let has_room = self.publisher.waiting() < WAITING;
            tokio::select! {
                stepped = self.subscriber.step() => stepped?,
                stepped = self.publisher.step() => stepped?,
                command = orders.commands.recv(), if has_room => match command {
                    Some(command) => self.execute(command),
                    None => return Ok(()),
                },
                Ok(()) = orders.wishes.changed() => {
                    let wanted = orders.wishes.borrow_and_update().clone();
                    self.subscribe(wanted);
                }
                _ = ticks.tick() => self.tick()?,
            }
            self.take_what_came()?;
        }
    }
}
