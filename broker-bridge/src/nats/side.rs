//! The bridge's end of a link: what it puts in and takes out.

use crate::Carried;
use crate::inbox::{Inbox, InboxLimits, InboxSender};
use crate::nats::consumer::{Delivery, Seen};
use crate::nats::link::{Flying, Link};
use crate::nats::options::NatsOptions;
use crate::nats::parcel::{NoArrival, Parcel, read};
use crate::nats::session::Session;
use crate::nats::spool::Spool;
use crate::other_side::{Connector, Incoming, Introduction, OtherSide, Outgoing, Parcels};
use crate::overlay::Overlay;
use broker_core::Reason;
use broker_core::data::View;
use broker_core::transport::{Protection, TransportError};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

/// What may wait for the overlay.
const INBOX: InboxLimits = InboxLimits { messages: 65_536, bytes: 64 << 20 };
/// Messages of a durable consumer that wait for the overlay; what is behind them stays in NATS.
const DELIVERIES: usize = 256;

/// Makes links to one cluster of servers.
pub(super) struct NatsConnector {
    options: Arc<NatsOptions>,
    overlay: Arc<Overlay>,
}

/// What a link and its bridge share.
pub(super) struct Shared {
    pub(super) options: Arc<NatsOptions>,
    pub(super) overlay: Arc<Overlay>,
    pub(super) spool: Mutex<Spool>,
    /// Something was put into the spool.
    pub(super) filled: Notify,
    pub(super) inbox: InboxSender,
}

/// A link, as the bridge has it.
pub(super) struct NatsSide {
    shared: Arc<Shared>,
    inbox: Inbox,
    deliveries: mpsc::Receiver<Delivery>,
    acknowledge: mpsc::UnboundedSender<async_nats::Subject>,
    /// What the last delivery is answered at, as soon as the overlay has it.
    taken: Option<async_nats::Subject>,
    seen: Seen,
    wishes: watch::Sender<Arc<Vec<String>>>,
    /// NATS has, or the files have, every message with a number below this one.
    confirmed: watch::Receiver<u64>,
    /// Pings, and the number of the message that the next one got.
    asked: VecDeque<(u64, u64)>,
    /// Its end ends the link.
    guard: DropGuard,
    link: JoinHandle<()>,
}

impl NatsConnector {
    pub(super) fn new(options: NatsOptions, overlay: Arc<Overlay>) -> Self {
        Self { options: Arc::new(options), overlay }
    }
}

impl Connector for NatsConnector {
    type Side = NatsSide;

    async fn connect(
        &self,
        topics: Vec<String>,
    ) -> Result<(NatsSide, Introduction), TransportError> {
        let (sender, inbox) = Inbox::new(INBOX);
        let session = Session::connect(&self.options, &[], &sender).await?;
        let NatsOptions { spool, spool_dir, .. } = &*self.options;
        let spool = match spool_dir {
            None => Spool::in_memory(*spool),
            Some(directory) => Spool::in_files(directory, *spool).map_err(|error| {
                let text = format!("spool-dir={}: {error}", directory.display());
                TransportError::new(Reason::Io, text)
            })?,
        };
        let introduction = Introduction {
            version: session.version(),
            endpoint: None,
            protection: match self.options.is_encrypted {
                true => Protection::Authenticated(session.server_name()),
                false => Protection::Plain,
            },
        };
        let shared = Arc::new(Shared {
            options: Arc::clone(&self.options),
            overlay: Arc::clone(&self.overlay),
            spool: Mutex::new(spool),
            filled: Notify::new(),
            inbox: sender,
        });
        let (wishes, wish) = watch::channel(Arc::new(topics));
        let (confirmed_sender, confirmed) = watch::channel(0);
        let (delivery_sender, deliveries) = mpsc::channel(DELIVERIES);
        let (acknowledge, acknowledged) = mpsc::unbounded_channel();
        let ended = CancellationToken::new();
        let link = Link {
            shared: Arc::clone(&shared),
            wish,
            confirmed: confirmed_sender,
            deliveries: delivery_sender,
            acknowledged,
            flying: Flying::default(),
            servers: Vec::new(),
            ended: ended.clone(),
        };
        let side = NatsSide {
            shared,
            inbox,
            deliveries,
            acknowledge,
            taken: None,
            seen: Seen::default(),
            wishes,
            confirmed,
            asked: VecDeque::new(),
            guard: ended.drop_guard(),
            link: tokio::spawn(link.run(session)),
        };
        Ok((side, introduction))
    }
}

impl OtherSide for NatsSide {
    type Parcel = Parcel;

    fn encode(&mut self, topic: &[u8], value: View<'_>, parcels: &mut Parcels<Parcel>) {
        let NatsOptions { subjects, format, .. } = &*self.shared.options;
        let origin = self.shared.overlay.id();
        match Parcel::new(subjects, *format, origin, topic, value) {
            Some(parcel) => {
                let length = parcel.payload.len();
                parcels.push(parcel, length);
            }
            None => parcels.leave(Carried::Refused),
        }
    }

    fn subscribe(&mut self, topics: &[String]) -> bool {
        self.wishes.send_replace(Arc::new(topics.to_vec()));
        true
    }

    async fn exchange(&mut self, outgoing: &mut VecDeque<Outgoing<Parcel>>) -> Option<Incoming> {
        // The delivery that was given before is in the overlay now.
        if let Some(reply) = self.taken.take() {
            let _ = self.acknowledge.send(reply);
        }
        loop {
            if let Some(number) = self.answered() {
                return Some(Incoming::Confirmed(number));
            }
            match outgoing.pop_front() {
                Some(Outgoing::Message(parcel)) => return Some(self.send(parcel)),
                Some(Outgoing::Ping(number)) => {
                    self.asked.push_back((number, self.shared.spool.lock().next()));
                    return Some(Incoming::Sent);
                }
                None => {}
            }
            tokio::select! {
                Ok(()) = self.confirmed.changed(), if !self.asked.is_empty() => {}
                incoming = self.inbox.next() => return incoming,
                Some(delivery) = self.deliveries.recv() => {
                    if let Some(incoming) = self.take(delivery) {
                        return Some(incoming);
                    }
                }
            }
        }
    }

    async fn close(self, limit: Duration) {
        let Self { link, guard, taken, acknowledge, .. } = self;
        if let Some(reply) = taken {
            let _ = acknowledge.send(reply);
        }
        drop(guard);
        let abort = link.abort_handle();
        if timeout(limit, link).await.is_err() {
            abort.abort();
        }
    }
}

impl NatsSide {
    /// The number of a ping that is answered now.
    fn answered(&mut self) -> Option<u64> {
        let (number, end) = *self.asked.front()?;
        (*self.confirmed.borrow() >= end).then(|| {
            self.asked.pop_front();
            number
        })
    }

    fn send(&mut self, parcel: Parcel) -> Incoming {
        match self.shared.spool.lock().push(parcel) {
            Ok(()) => self.shared.filled.notify_one(),
            Err(_) => {
                let text = "what waits for NATS has reached its bound, and the newest is dropped; \
                            spool=BYTES in the address sets it";
                return Incoming::Left { why: Carried::Lost, count: 1, text: text.to_owned() };
            }
        }
        Incoming::Sent
    }

    /// What a delivery is for the overlay; nothing if it was there before.
    fn take(&mut self, delivery: Delivery) -> Option<Incoming> {
        let is_new = self.seen.note(&delivery);
        let NatsOptions { subjects, format, from, .. } = &*self.shared.options;
        let from = from.as_deref().unwrap_or_default();
        let own = self.shared.overlay.id();
        let incoming = match is_new {
            true => incoming(read(subjects, *format, from, own, &delivery.message)),
            false => None,
        };
        match incoming {
            Some(incoming) => {
                self.taken = Some(delivery.reply);
                Some(incoming)
            }
            None => {
                let _ = self.acknowledge.send(delivery.reply);
                None
            }
        }
    }
}

/// What was read, for the bridge; nothing if it does not concern it.
pub(super) fn incoming(read: Result<crate::nats::parcel::Arrival, NoArrival>) -> Option<Incoming> {
    match read {
        Ok(arrival) => Some(Incoming::Message { topic: arrival.topic, payload: arrival.payload }),
        Err(NoArrival::Elsewhere) => None,
        Err(NoArrival::Own) => Some(Incoming::Left {
            why: Carried::Crossed,
            count: 1,
            text: "a message comes back to the endpoint that has sent it to NATS, and goes no \
                   further"
                .to_owned(),
        }),
        Err(NoArrival::Unexpected(reason)) => Some(Incoming::Unexpected(reason)),
    }
}
