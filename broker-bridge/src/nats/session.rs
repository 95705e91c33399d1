//! One connection, from its beginning to its end.

use crate::Carried;
use crate::inbox::InboxSender;
use crate::nats::consumer::receive;
use crate::nats::link::Link;
use crate::nats::options::{NatsOptions, failed};
use crate::nats::parcel::{MESSAGE_ID, Parcel, read};
use crate::nats::side::{Shared, incoming};
use crate::nats::subjects::matches;
use crate::other_side::Incoming;
use async_nats::jetstream::stream::{Config, Stream};
use async_nats::jetstream::{self, context::GetStreamErrorKind};
use async_nats::{Client, ServerInfo, StatusCode, Subscriber};
use broker_core::Reason;
use broker_core::transport::TransportError;
use futures_core::Stream as _;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, interval, timeout};
use tokio_util::sync::CancellationToken;

/// Messages that are sent and not acknowledged, at most.
const WINDOW: usize = 512;
const WINDOW_BYTES: usize = 8 << 20;
/// While the oldest message is not acknowledged for so long, nothing more is sent: the server may
/// have lost it, and those behind it must not overtake it.
const DOUBT: Duration = Duration::from_secs(1);
/// After so long a connection is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is received at once for the subscriptions of a connection, at most.
const SUBSCRIPTION: usize = 8192;

pub(super) struct Session {
    client: Client,
    info: ServerInfo,
    lost: CancellationToken,
    /// With the subjects that it takes, if the rule has one.
    stream: Option<(Stream, Vec<String>)>,
    /// Acknowledgements of what was sent, with its number at the end of their subject.
    answers: Option<(String, Subscriber)>,
    /// Whether the server has acknowledged something on this connection.
    is_proven: bool,
    subscriptions: BTreeMap<String, AbortHandle>,
    tasks: JoinSet<String>,
}

/// What a stream answers.
#[derive(Deserialize)]
struct Answer {
    error: Option<AnswerError>,
}

#[derive(Deserialize)]
struct AnswerError {
    code: u64,
    #[serde(default)]
    description: String,
}

impl Session {
    /// Connects to one of the servers of the address and `others`, and prepares the stream.
    pub(super) async fn connect(
        options: &NatsOptions,
        others: &[String],
        inbox: &InboxSender,
    ) -> Result<Self, TransportError> {
        let mut servers = options.servers.clone();
        servers.extend(others.iter().filter(|one| !options.servers.contains(one)).cloned());
        let servers: Vec<String> =
            servers.iter().map(|server| options.address_of(server)).collect();
        let lost = CancellationToken::new();
        let slow = inbox.clone();
        let client_options = options
            .for_client(servers.len(), lost.clone(), move || slow.note_dropped(1))
            .await?
            .subscription_capacity(SUBSCRIPTION);
        let client = client_options.connect(servers).await.map_err(|error| failed(&error))?;
        // A client keeps what could not be sent and sends it on its next connection, in front of
        // what is sent again here. So it gets none: nobody listens at this address.
        client
            .set_server_pool("nats://127.0.0.1:0")
            .await
            .map_err(|error| TransportError::new(Reason::Io, format!("NATS: {error}")))?;
        let info = client.server_info();
        let mut session = Self {
            client,
            info,
            lost,
            stream: None,
            answers: None,
            is_proven: false,
            subscriptions: BTreeMap::new(),
            tasks: JoinSet::new(),
        };
        if let Some(name) = &options.stream {
            let stream = session.prepare_stream(name, options).await?;
            session.stream = Some(stream);
            let inbox = session.client.new_inbox();
            let subscriber = session
                .client
                .subscribe(format!("{inbox}.*"))
                .await
                .map_err(|error| TransportError::new(Reason::Io, format!("NATS: {error}")))?;
            session.answers = Some((inbox, subscriber));
        }
        Ok(session)
    }

    async fn prepare_stream(
        &self,
        name: &str,
        options: &NatsOptions,
    ) -> Result<(Stream, Vec<String>), TransportError> {
        let context = jetstream::new(self.client.clone());
        let refused = |error: &dyn std::fmt::Display| {
            TransportError::new(Reason::Io, format!("the stream {name} of NATS: {error}"))
        };
        let stream = match context.get_stream(name).await {
            Ok(stream) => stream,
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(error) if error.code() == 404 => {
                    let config = Config {
                        name: name.to_owned(),
                        subjects: options.stream_subjects(),
                        num_replicas: options.replicas,
                        description: Some("made by a bridge of Broker".to_owned()),
                        ..Config::default()
                    };
                    context.create_stream(config).await.map_err(|error| refused(&error))?;
                    context.get_stream(name).await.map_err(|error| refused(&error))?
                }
                _ => return Err(refused(&error)),
            },
        };
        let has = stream.cached_info().config.subjects.clone();
        let lacks = |one: &&String| !has.iter().any(|pattern| matches(pattern, one));
        if let Some(lacking) = options.needed_subjects().iter().find(lacks) {
            let text = format!(
                "the stream {name} of NATS has no subject {lacking}; add it there, or use another \
                 stream"
            );
            return Err(TransportError::new(Reason::InvalidAddress, text));
        }
        Ok((stream, has))
    }

    pub(super) fn version(&self) -> String {
        format!("nats-server {}", self.info.version)
    }

    pub(super) fn server_id(&self) -> String {
        self.info.server_id.clone()
    }

    pub(super) fn server_name(&self) -> String {
        self.info.server_name.clone()
    }

    /// The other servers that this one tells of, each as `host:port`.
    pub(super) fn others(&self) -> Vec<String> {
        self.info.connect_urls.clone()
    }

    /// Serves until the connection is of no more use, and says why it is not.
    pub(super) async fn run(&mut self, link: &mut Link) -> String {
        let shared = Arc::clone(&link.shared);
        if let (Some((stream, _)), Some(durable)) = (&self.stream, &shared.options.durable) {
            let options = Arc::clone(&shared.options);
            let deliveries = link.deliveries.clone();
            self.tasks.spawn(receive(stream.clone(), durable.clone(), options, deliveries));
        }
        if let Err(reason) = self.subscribe(link).await {
            return reason;
        }
        let lost = self.lost.clone();
        let mut tick = interval(DOUBT / 4);
        loop {
            let sent = tokio::select! {
                sent = self.send(link) => sent,
                () = lost.cancelled() => return "the connection is lost".to_owned(),
            };
            if let Err(reason) = sent {
                return reason;
            }
            link.report_progress();
            let filled = shared.filled.notified();
            if self.may_take(link) && !shared.spool.lock().is_empty() {
                continue;
            }
            let step = tokio::select! {
                () = lost.cancelled() => Err("the connection is lost".to_owned()),
                () = filled => Ok(()),
                answer = next_answer(&mut self.answers) => self.settle(link, answer),
                Some(reply) = link.acknowledged.recv() => self.acknowledge(link, reply).await,
                Ok(()) = link.wish.changed() => self.subscribe(link).await,
                Some(ended) = self.tasks.join_next() => match ended {
                    Ok(reason) if reason.is_empty() => Ok(()),
                    Ok(reason) => Err(reason),
                    Err(_) => Ok(()),
                },
                _ = tick.tick() => self.check_patience(link),
            };
            if let Err(reason) = step {
                return reason;
            }
        }
    }

    /// Sends what is left to be said at the end of a bridge.
    pub(super) async fn finish(&mut self, link: &mut Link) {
        while let Ok(reply) = link.acknowledged.try_recv() {
            let _ = self.client.publish(reply, "+ACK".into()).await;
        }
        let _ = timeout(DOUBT, self.client.flush()).await;
    }

    fn may_take(&self, link: &Link) -> bool {
        let flying = &link.flying;
        if flying.sent < flying.messages.len() {
            return false;
        }
        flying.messages.len() < WINDOW && flying.bytes < WINDOW_BYTES && self.may_send(link)
    }

    /// Until the server has proven that it stores, one message at a time is sent: of several it
    /// could take only the last ones.
    fn may_send(&self, link: &Link) -> bool {
        let flying = &link.flying;
        let in_doubt = || flying.messages.front().is_some_and(|first| first.at.elapsed() > DOUBT);
        flying.sent == 0 || self.stream.is_none() || (self.is_proven && !in_doubt())
    }

    /// Sends what there is, as far as that is allowed now.
    async fn send(&mut self, link: &mut Link) -> Result<(), String> {
        let shared = Arc::clone(&link.shared);
        loop {
            while link.flying.sent < link.flying.messages.len() {
                if !self.may_send(link) {
                    return Ok(());
                }
                self.send_next(link, &shared).await?;
            }
            if !self.may_take(link) {
                break;
            }
            let taken = shared.spool.lock().take();
            match taken {
                Ok(Some((number, parcel))) => link.flying.push(number, parcel),
                Ok(None) => break,
                Err(error) => {
                    let text = format!("the spool: {error}");
                    let left = Incoming::Left { why: Carried::Lost, count: 1, text };
                    shared.inbox.push(left);
                }
            }
        }
        if self.stream.is_none() && !link.flying.messages.is_empty() {
            // Without acknowledgements, what the system has taken counts as sent.
            self.client.flush().await.map_err(|error| error.to_string())?;
            while !link.flying.messages.is_empty() {
                link.flying.pop();
            }
        }
        Ok(())
    }

    /// Sends the first message that was not sent on this connection.
    async fn send_next(&mut self, link: &mut Link, shared: &Shared) -> Result<(), String> {
        let flying = &mut link.flying;
        let Some(sent) = flying.messages.get_mut(flying.sent) else { return Ok(()) };
        let (number, parcel) = (sent.number, sent.parcel.clone());
        sent.at = Instant::now();
        if sent.is_stored {
            flying.sent += 1;
            return Ok(());
        }
        if let Some(left) = self.unacceptable(&parcel) {
            shared.inbox.push(left);
            flying.sent += 1;
            flying.settle(number);
            return Ok(());
        }
        let mut headers = parcel.headers();
        let published = match &self.answers {
            Some((inbox, _)) => {
                let writer = shared.spool.lock().writer().to_owned();
                headers.insert(MESSAGE_ID, format!("{writer}-{number}"));
                let reply = format!("{inbox}.{number}");
                let Parcel { subject, payload, .. } = parcel;
                self.client.publish_with_reply_and_headers(subject, reply, headers, payload).await
            }
            None => {
                let Parcel { subject, payload, .. } = parcel;
                self.client.publish_with_headers(subject, headers, payload).await
            }
        };
        link.flying.sent += 1;
        published.map_err(|error| error.to_string())
    }

    /// Why a server would not take a message, or would end the connection for it.
    fn unacceptable(&self, parcel: &Parcel) -> Option<Incoming> {
        let Parcel { subject, .. } = parcel;
        let (length, most) = (parcel.length(), self.info.max_payload);
        if length > most {
            let text = format!(
                "a message of {length} bytes with its headers on the subject {subject:?} is larger \
                 than the server takes, {most} bytes (max_payload of its configuration)"
            );
            return Some(Incoming::Left { why: Carried::TooLarge, count: 1, text });
        }
        let (_, subjects) = self.stream.as_ref()?;
        if subjects.iter().any(|pattern| matches(pattern, subject)) {
            return None;
        }
        let text = format!(
            "the stream has no subject {subject:?}; a prefix in to= that ends in the middle of a \
             part of topics has more than the stream"
        );
        Some(Incoming::Left { why: Carried::Refused, count: 1, text })
    }

    fn settle(
        &mut self,
        link: &mut Link,
        answer: Option<async_nats::Message>,
    ) -> Result<(), String> {
        let Some(answer) = answer else { return Err("the connection is lost".to_owned()) };
        let number = answer.subject.rsplit('.').next().and_then(|number| number.parse().ok());
        let Some(number) = number else { return Ok(()) };
        if answer.status == Some(StatusCode::NO_RESPONDERS) {
            return Err("no server has the stream now".to_owned());
        }
        match serde_json::from_slice(&answer.payload) {
            Ok(Answer { error: None }) => self.is_proven = true,
            Ok(Answer { error: Some(AnswerError { code, description }) }) if code < 500 => {
                // It will not take this one, however often it is sent.
                let text = format!("the stream of NATS: {description}");
                let left = Incoming::Left { why: Carried::Refused, count: 1, text };
                link.shared.inbox.push(left);
            }
            Ok(Answer { error: Some(AnswerError { description, .. }) }) => {
                return Err(format!("the stream: {description}"));
            }
            Err(error) => return Err(format!("an answer of the stream: {error}")),
        }
        link.flying.settle(number);
        Ok(())
    }

    fn check_patience(&self, link: &Link) -> Result<(), String> {
        let first = link.flying.messages.front().filter(|_| link.flying.sent > 0);
        match first.is_some_and(|first| first.at.elapsed() > PATIENCE) {
            true => Err("the server acknowledges nothing".to_owned()),
            false => Ok(()),
        }
    }

    async fn acknowledge(
        &mut self,
        link: &mut Link,
        mut reply: async_nats::Subject,
    ) -> Result<(), String> {
        loop {
            let published = self.client.publish(reply, "+ACK".into()).await;
            published.map_err(|error| error.to_string())?;
            match link.acknowledged.try_recv() {
                Ok(next) => reply = next,
                Err(_) => return Ok(()),
            }
        }
    }

    /// Subscribes to what is wanted now, and to nothing else. With a durable consumer, that
    /// receives.
    async fn subscribe(&mut self, link: &mut Link) -> Result<(), String> {
        let shared = &link.shared;
        let topics = Arc::clone(&link.wish.borrow_and_update());
        if shared.options.durable.is_some() {
            return Ok(());
        }
        let wanted = shared.options.subjects.covering(&topics);
        self.subscriptions.retain(|subject, task| {
            let stays = wanted.contains(subject);
            if !stays {
                task.abort();
            }
            stays
        });
        for subject in wanted {
            if !self.subscriptions.contains_key(&subject) {
                let subscriber = self.client.subscribe(subject.clone()).await;
                let subscriber = subscriber.map_err(|error| error.to_string())?;
                let task =
                    self.tasks.spawn(take(subscriber, Arc::clone(shared), link.wish.clone()));
                self.subscriptions.insert(subject, task);
            }
        }
        Ok(())
    }
}

async fn next_message(subscriber: &mut Subscriber) -> Option<async_nats::Message> {
    poll_fn(|context| Pin::new(&mut *subscriber).poll_next(context)).await
}

async fn next_answer(answers: &mut Option<(String, Subscriber)>) -> Option<async_nats::Message> {
    match answers {
        Some((_, subscriber)) => next_message(subscriber).await,
        None => pending().await,
    }
}

/// Hands what comes on a subscription to the bridge, and never waits for it.
async fn take(
    mut subscriber: Subscriber,
    shared: Arc<Shared>,
    wish: watch::Receiver<Arc<Vec<String>>>,
) -> String {
    let NatsOptions { subjects, format, .. } = &*shared.options;
    while let Some(message) = next_message(&mut subscriber).await {
        let topics = Arc::clone(&wish.borrow());
        let read = read(subjects, *format, &topics, shared.overlay.id(), &message);
        if let Some(incoming) = incoming(read) {
            shared.inbox.push(incoming);
        }
    }
    // The client tells of its end.
    String::new()
}
