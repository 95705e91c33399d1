use super::members::{Member, Members};
use super::queue::Outgoing;
use broker_core::data::View;
use broker_core::endpoint::{Hub, HubSender, Message, ServiceContext, SubscriberOptions};
use broker_core::{EndpointId, SubscriberPolicy};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

/// The least time between two changes of what the endpoint wants, each of which costs its router a
/// new table and its peers an announcement. Clients that come meanwhile wait.
const SUBSCRIBE_INTERVAL: Duration = Duration::from_millis(50);

/// How long a prefix is still wanted at least when no client wants it any more: often the next one
/// does.
const KEPT_FOR: Duration = Duration::from_secs(1);

/// Prefixes that are still wanted although no client wants them, at most.
const KEPT_MAX: usize = 16 * 1024;

/// Joins the clients of one endpoint: to the overlay they are one hub, and every message is
/// rendered once for all of them that want it.
#[derive(Debug)]
pub(crate) struct Exchange {
    sender: HubSender,
    members: Arc<Members>,
    /// No client has more than one command in here, apart from those who leave.
    commands: mpsc::UnboundedSender<Command>,
}

enum Command {
    Add(Vec<Bytes>, oneshot::Sender<()>),
    Remove(Vec<Bytes>),
}

impl Exchange {
    /// An exchange, which lives until it is dropped or the endpoint stops.
    pub(crate) fn start(context: &ServiceContext) -> Arc<Self> {
        let options = SubscriberOptions::with_policy(SubscriberPolicy::Wait);
        let hub = context.endpoint().hub_with([""; 0], options);
        let members = Arc::<Members>::default();
        let (commands, requests) = mpsc::unbounded_channel();
        let exchange = Self { sender: hub.sender(), members: Arc::clone(&members), commands };
        let pump = Pump {
            context: context.clone(),
            hub,
            members,
            requests,
            wanted: BTreeMap::new(),
            begun: Vec::new(),
            waiting: Vec::new(),
            kept: BTreeMap::new(),
            subscribe_at: None,
            unsubscribe_at: None,
            changed: None,
        };
        context.spawn(pump.run());
        Arc::new(exchange)
    }

    /// Publishes in the name of the exchange, to everybody but its own clients.
    pub(crate) fn sender(&self) -> &HubSender {
        &self.sender
    }

    /// Delivers a message of one client to the others.
    pub(crate) fn deliver(&self, topic: &[u8], value: View<'_>, except: EndpointId) {
        self.members.deliver(topic, value, Some(except));
    }

    /// Subscribes in the name of a client, which gets nothing before it is made a
    /// [member](Subscriptions::join).
    pub(crate) async fn subscribe(self: &Arc<Self>, topics: Vec<Bytes>) -> Subscriptions {
        let (done, subscribed) = oneshot::channel();
        if self.commands.send(Command::Add(topics.clone(), done)).is_ok() {
            // It is answered unless the endpoint stops, and then nothing matters any more.
            let _ = subscribed.await;
        }
        Subscriptions { exchange: Arc::clone(self), topics }
    }
}

/// The subscriptions of one client; they end when this is dropped.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    exchange: Arc<Exchange>,
    topics: Vec<Bytes>,
}

impl Subscriptions {
    /// From now on, messages go into `queue`.
    pub(crate) fn join(self, id: EndpointId, queue: Arc<Outgoing>) -> Membership {
        let member = Member { id, queue, topics: self.topics.clone() };
        self.exchange.members.add(member);
        Membership { subscriptions: self, id }
    }
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        // Fails only if the pump has ended, and its hub with it.
        let _ = self.exchange.commands.send(Command::Remove(std::mem::take(&mut self.topics)));
    }
}

/// A client that receives messages; it no longer does when this is dropped.
#[derive(Debug)]
pub(crate) struct Membership {
    subscriptions: Subscriptions,
    id: EndpointId,
}

impl Membership {
    pub(crate) fn exchange(&self) -> &Arc<Exchange> {
        &self.subscriptions.exchange
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.exchange().members.remove(self.id);
    }
}

/// Takes what the overlay has for the clients, and subscribes to what they want.
struct Pump {
    context: ServiceContext,
    hub: Hub,
    members: Arc<Members>,
    requests: mpsc::UnboundedReceiver<Command>,
    /// How many clients want each prefix.
    wanted: BTreeMap<Bytes, usize>,
    /// Prefixes that are to be subscribed to.
    begun: Vec<Bytes>,
    /// Who waits for that.
    waiting: Vec<oneshot::Sender<()>>,
    /// Prefixes that no client wants any more and that are not given up yet, and since when.
    kept: BTreeMap<Bytes, Instant>,
    subscribe_at: Option<Instant>,
    unsubscribe_at: Option<Instant>,
    /// When the subscriptions were changed last.
    changed: Option<Instant>,
}

impl Pump {
    async fn run(mut self) {
        let context = self.context.clone();
        let mut stopping = std::pin::pin!(context.stopping());
        loop {
            tokio::select! {
                biased;
                () = &mut stopping => break,
                request = self.requests.recv() => match request {
                    Some(request) => self.note_all(request),
                    None => return,
                },
                () = until(self.subscribe_at) => self.subscribe(),
                () = until(self.unsubscribe_at) => self.unsubscribe(),
                message = self.hub.recv() => match message {
                    Some(message) => self.deliver(&message),
                    None => break,
                },
            }
        }
        self.members.stop();
    }

    fn deliver(&self, message: &Message) {
        // What is addressed to another endpoint passes through here like in the C++ Broker, but is
        // none of the clients' business.
        let receiver = message.receiver();
        if receiver.is_nil() || receiver == self.context.endpoint().id() {
            self.members.deliver(message.topic(), message.view(), None);
        }
    }

    /// Takes note of all requests that are waiting, and answers those that change nothing.
    fn note_all(&mut self, first: Command) {
        let mut next = Some(first);
        while let Some(request) = next {
            match request {
                Command::Add(topics, done) => self.note_begin(topics, done),
                Command::Remove(topics) => self.note_end(topics),
            }
            next = self.requests.try_recv().ok();
        }
        let now = Instant::now();
        if self.begun.is_empty() {
            self.answer();
        } else {
            let earliest = self.changed.map_or(now, |changed| changed + SUBSCRIBE_INTERVAL);
            self.subscribe_at.get_or_insert(earliest.max(now));
        }
        if self.kept.len() > KEPT_MAX {
            self.unsubscribe_from(|_| true);
        } else if !self.kept.is_empty() {
            self.unsubscribe_at.get_or_insert(now + KEPT_FOR);
        }
    }

    fn note_begin(&mut self, topics: Vec<Bytes>, done: oneshot::Sender<()>) {
        for topic in topics {
            match self.wanted.get_mut(&topic) {
                Some(count) => {
                    *count += 1;
                    self.kept.remove(&topic);
                }
                None => {
                    self.begun.push(topic.clone());
                    self.wanted.insert(topic, 1);
                }
            }
        }
        self.waiting.push(done);
    }

    fn note_end(&mut self, topics: Vec<Bytes>) {
        let now = Instant::now();
        for topic in topics {
            let Some(count) = self.wanted.get_mut(&topic) else { continue };
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.kept.insert(topic, now);
            }
        }
    }

    fn subscribe(&mut self) {
        self.subscribe_at = None;
        self.changed = Some(Instant::now());
        self.hub.add(std::mem::take(&mut self.begun));
        self.answer();
    }

    fn answer(&mut self) {
        for done in self.waiting.drain(..) {
            // The client may have gone.
            let _ = done.send(());
        }
    }

    fn unsubscribe(&mut self) {
        let now = Instant::now();
        self.unsubscribe_from(|since| since + KEPT_FOR <= now);
        self.unsubscribe_at = (!self.kept.is_empty()).then(|| now + KEPT_FOR);
    }

    fn unsubscribe_from(&mut self, is_due: impl Fn(Instant) -> bool) {
        let mut ended = BTreeSet::new();
        self.kept.retain(|topic, since| {
            let is_kept = !is_due(*since);
            if !is_kept {
                ended.insert(topic.clone());
            }
            is_kept
        });
        for topic in &ended {
            self.wanted.remove(topic);
        }
        // What has come and gone before it was subscribed to.
        self.begun.retain(|topic| !ended.remove(topic));
        if !ended.is_empty() {
            self.changed = Some(Instant::now());
            self.hub.remove(ended);
        }
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use broker_core::Endpoint;
    use tokio::time::sleep;

    #[tokio::test(start_paused = true)]
    async fn a_prefix_that_the_next_client_wants_as_well_stays_wanted() {
        let endpoint = Endpoint::builder().build().unwrap();
        let exchange = Exchange::start(&endpoint.service_context());
        let topic = Bytes::from_static(b"/x");
        let subscribe = || exchange.subscribe(vec![topic.clone()]);
        let first = subscribe().await;
        assert_eq!(endpoint.filter(), ["/x"]);
        for _ in 0..100 {
            drop(subscribe().await);
        }
        drop(first);
        for _ in 0..100 {
            sleep(KEPT_FOR * 9 / 10).await;
            assert_eq!(endpoint.filter(), ["/x"]);
            drop(subscribe().await);
        }
        sleep(3 * KEPT_FOR).await;
        assert!(endpoint.filter().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn clients_that_come_at_once_cost_few_changes_and_get_what_they_want() {
        let endpoint = Endpoint::builder().build().unwrap();
        let exchange = Exchange::start(&endpoint.service_context());
        let began = Instant::now();
        let clients: Vec<_> = (0..1000)
            .map(|number| {
                let exchange = Arc::clone(&exchange);
                let topic = Bytes::from(format!("/{number:04}/"));
                tokio::spawn(async move { exchange.subscribe(vec![topic]).await })
            })
            .collect();
        let mut subscriptions = Vec::new();
        for client in clients {
            subscriptions.push(client.await.unwrap());
        }
        assert_eq!(endpoint.filter().len(), 1000);
        // Time passes only where somebody waits for the next change.
        assert!(began.elapsed() <= 2 * SUBSCRIBE_INTERVAL, "{:?}", began.elapsed());
        drop(subscriptions);
        sleep(3 * KEPT_FOR).await;
        assert!(endpoint.filter().is_empty());
    }
}
