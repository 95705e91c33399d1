use super::members::{Member, Members};
use super::queue::Outgoing;
use broker_core::data::View;
use broker_core::endpoint::{Hub, HubSender, Message, ServiceContext, SubscriberOptions};
use broker_core::{EndpointId, SubscribeError, SubscriberPolicy};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

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
    Add(Vec<Bytes>, oneshot::Sender<Result<(), SubscribeError>>),
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
        let context = context.clone();
        let pump =
            Pump { context: context.clone(), hub, members, requests, wanted: BTreeMap::new() };
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
    ///
    /// # Errors
    ///
    /// The overlay would not accept what the clients want together.
    pub(crate) async fn subscribe(
        self: &Arc<Self>,
        topics: Vec<Bytes>,
    ) -> Result<Subscriptions, SubscribeError> {
        let (done, subscribed) = oneshot::channel();
        if self.commands.send(Command::Add(topics.clone(), done)).is_ok() {
            // It is answered unless the endpoint stops, and then nothing matters any more.
            subscribed.await.unwrap_or(Ok(()))?;
        }
        Ok(Subscriptions { exchange: Arc::clone(self), topics })
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

/// Takes what the overlay has for the clients.
struct Pump {
    context: ServiceContext,
    hub: Hub,
    members: Arc<Members>,
    requests: mpsc::UnboundedReceiver<Command>,
    /// How many clients want each prefix.
    wanted: BTreeMap<Bytes, usize>,
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
                    Some(request) => self.change(request),
                    None => return,
                },
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

    fn change(&mut self, request: Command) {
        match request {
            Command::Add(topics, done) => {
                let added = self.add(topics);
                // The client may have gone.
                let _ = done.send(added);
            }
            Command::Remove(topics) => self.remove(&topics),
        }
    }

    fn add(&mut self, topics: Vec<Bytes>) -> Result<(), SubscribeError> {
        let new: Vec<_> = topics.iter().filter(|topic| !self.wanted.contains_key(*topic)).collect();
        self.hub.add(new)?;
        for topic in topics {
            *self.wanted.entry(topic).or_default() += 1;
        }
        Ok(())
    }

    fn remove(&mut self, topics: &[Bytes]) {
        let mut ended = Vec::new();
        for topic in topics {
            if let Some(count) = self.wanted.get_mut(topic) {
                *count -= 1;
                if *count == 0 {
                    self.wanted.remove(topic);
                    ended.push(topic);
                }
            }
        }
        self.hub.remove(ended);
    }
}
