use super::budget::{charge_budget, is_over_budget, yield_if_over_budget};
use super::clients::Clients;
use super::publisher::TryPublishError;
use super::registry::PeerRegistry;
use super::reporting::{DialWaiter, Notice, Reporting};
use super::table::ListenerInfo;
use super::tasks::Tasks;
use crate::config::Config;
use crate::event::Event;
use crate::transport::{Admission, Transport, TransportError, connections_max};
use crate::{Address, EndpointId, Reason};
use broker_proto::data::Encode;
use broker_proto::memory::MemoryBudget;
use broker_proto::peering::{ConnectionId, DialId, PeeringMachine, Time};
use broker_proto::queue::Bounds;
use broker_proto::routing::{FixedTopic, Frames, Origin, PublishError, Published, Router, Targets};
use broker_proto::session::ConnectionTable;
use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

/// What all tasks of an endpoint have in common: its parts, each of which knows only what it says
/// it needs, and the machine under the control lock. Here they are brought together.
pub(super) struct Shared {
    pub(super) id: EndpointId,
    pub(super) config: Config,
    pub(super) transports: HashMap<&'static str, Arc<dyn Transport>>,
    /// Who gets which messages.
    pub(super) router: Router,
    /// What is known about peers and requests, for readers.
    pub(super) registry: PeerRegistry,
    pub(super) clients: Clients,
    /// Where it listens, in the order in which that began.
    pub(super) listeners: Mutex<Vec<ListenerInfo>>,
    /// Which connections may stay.
    pub(super) admission: Arc<Admission>,
    /// What connections and consumers hold in all.
    pub(super) memory: Arc<MemoryBudget>,
    /// What is told about all this.
    pub(super) reporting: Reporting,
    /// Where the tasks run, on which clock, and until when.
    pub(super) tasks: Tasks,
    state: Mutex<State>,
}

/// What a message is published on, and for whom.
#[derive(Debug, Clone, Copy)]
pub(super) enum To<'a> {
    /// A topic, for one endpoint or, if that is nil, for everybody.
    Topic(&'a [u8], EndpointId),
    /// A topic that is known already, for everybody.
    Fixed(&'a FixedTopic),
}

impl<'a> To<'a> {
    /// A topic, for everybody.
    pub(super) fn everybody(topic: &'a [u8]) -> Self {
        Self::Topic(topic, EndpointId::NIL)
    }
}

/// The machine, its connections, and what belongs to its requests.
pub(super) struct State {
    pub(super) table: ConnectionTable,
    pub(super) dials: HashMap<DialId, DialWaiters>,
    /// The deadline that the timer knows of.
    pub(super) armed: Option<Time>,
}

/// Who waits for a request, and the task that dials for it.
#[derive(Default)]
pub(super) struct DialWaiters {
    pub(super) waiters: Vec<DialWaiter>,
    pub(super) task: Option<AbortHandle>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(
        runtime: Handle,
        id: EndpointId,
        config: Config,
        transports: HashMap<&'static str, Arc<dyn Transport>>,
        control: PeeringMachine,
    ) -> Self {
        let limits = &config.limits;
        Self {
            id,
            router: Router::new(
                id,
                config.forwarding,
                limits.data_depth,
                limits.routes_remembered.get(),
            )
            .in_life(fastrand::u32(..), limits.streams_remembered.get())
            .with_loops(config.loops)
            .with_tallies(config.count_prefixes.iter().cloned()),
            registry: PeerRegistry::default(),
            clients: Clients::new(limits.metrics_peers),
            listeners: Mutex::default(),
            admission: Arc::new(Admission::new(limits.half_open.get(), connections_max())),
            memory: Arc::new(MemoryBudget::new(limits.memory)),
            reporting: Reporting::new(limits, config.log_level),
            tasks: Tasks::new(runtime),
            state: Mutex::new(State {
                table: ConnectionTable::new(control),
                dials: HashMap::new(),
                armed: None,
            }),
            transports,
            config,
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    #[cfg(test)]
    pub(super) fn is_locked(&self) -> bool {
        self.state.is_locked()
    }

    /// Tells the machine and its connections something, and does what is decided.
    pub(super) fn with_machine<R>(
        self: &Arc<Self>,
        tell: impl FnOnce(&mut ConnectionTable, Time) -> R,
    ) -> R {
        self.decide(|state, now| tell(&mut state.table, now))
    }

    /// Tells the machine something and does what it decides.
    pub(super) fn control<R>(
        self: &Arc<Self>,
        tell: impl FnOnce(&mut PeeringMachine, Time) -> R,
    ) -> R {
        self.with_machine(|table, now| tell(&mut table.machine, now))
    }

    /// Tells the event streams, and local consumers that subscribed to the internal topics. Not to
    /// be called with the control lock held.
    pub(super) fn emit(&self, event: Event) {
        self.reporting.extend(vec![Notice::Event(event)]);
        self.deliver();
    }

    /// Tells what is waiting to be told. Not to be called with the control lock held.
    pub(super) fn deliver(&self) {
        self.reporting.deliver(&self.router, &self.tasks);
    }

    pub(super) fn transport(&self, url: &Address) -> Result<&Arc<dyn Transport>, TransportError> {
        self.transports.get(url.scheme()).ok_or_else(|| {
            let mut known: Vec<&str> = self.transports.keys().copied().collect();
            known.sort_unstable();
            let detail = format!(
                "{url}: this endpoint has no transport for {}:// (it has {})",
                url.scheme(),
                known.join(", ")
            );
            TransportError::new(Reason::UnsupportedScheme, detail)
        })
    }

    /// The bounds of a peer's queue.
    pub(super) fn outbox_bounds(&self) -> Bounds {
        let limits = &self.config.limits;
        Bounds {
            messages: limits.outbox_messages.get(),
            memory: limits.outbox_bytes.get(),
            control: limits.outbox_control_bytes.get(),
            policy: self.config.overflow_policy,
        }
    }

    /// Publishes a message, unless a destination has no room for it that is waited for.
    #[inline]
    pub(super) fn try_publish(
        self: &Arc<Self>,
        origin: Origin,
        to: To<'_>,
        value: &(impl Encode + ?Sized),
    ) -> Result<Published, TryPublishError> {
        let targets = self.targets(origin, to)?;
        if targets.has_to_wait() {
            return Err(TryPublishError::Full);
        }
        Ok(self.encode_and_send(&targets, to, value)?)
    }

    /// Publishes a message after all destinations have room that are waited for, and after others
    /// have had their turn.
    pub(super) async fn publish(
        self: &Arc<Self>,
        origin: Origin,
        to: To<'_>,
        value: &(impl Encode + ?Sized),
    ) -> Result<Published, PublishError> {
        if !is_over_budget() {
            match self.try_publish(origin, to, value) {
                Err(TryPublishError::Full) => {}
                Err(TryPublishError::Refused(error)) => return Err(error),
                Ok(published) => return Ok(published),
            }
        }
        yield_if_over_budget().await;
        let targets = self.targets(origin, to)?;
        targets.room().await;
        self.encode_and_send(&targets, to, value)
    }

    /// Publishes encoded messages that are for everybody. Cancel safe: those that have not been
    /// published are still in `frames`.
    pub(super) async fn publish_frames(
        self: &Arc<Self>,
        origin: Origin,
        to: To<'_>,
        frames: &mut Frames,
    ) -> Result<Published, PublishError> {
        let mut published = Published::default();
        while !frames.is_empty() {
            yield_if_over_budget().await;
            let targets = self.targets(origin, to)?;
            targets.room().await;
            published = self.send(&targets, frames);
        }
        Ok(published)
    }

    fn targets(&self, origin: Origin, to: To<'_>) -> Result<Targets, PublishError> {
        if self.tasks.refuses() {
            return Err(PublishError::ShutDown);
        }
        Ok(match to {
            To::Fixed(topic) => Targets::of(&self.router, origin, topic),
            To::Topic(topic, receiver) => Targets::find(&self.router, origin, receiver, topic)?,
        })
    }

    #[inline]
    fn encode_and_send(
        self: &Arc<Self>,
        targets: &Targets,
        to: To<'_>,
        value: &(impl Encode + ?Sized),
    ) -> Result<Published, PublishError> {
        let mut frames = Frames::scratch();
        let encoded = self.encode(&mut frames, to, value);
        let published = encoded.map(|()| self.send(targets, &mut frames));
        frames.keep();
        published
    }

    /// Appends a message to those of a batch.
    #[inline]
    pub(super) fn feed(
        &self,
        frames: &mut Frames,
        to: To<'_>,
        value: &(impl Encode + ?Sized),
    ) -> Result<(), PublishError> {
        frames.make_room();
        self.encode(frames, to, value)
    }

    #[inline]
    fn encode(
        &self,
        frames: &mut Frames,
        to: To<'_>,
        value: &(impl Encode + ?Sized),
    ) -> Result<(), PublishError> {
        let limit = self.config.limits.frame.get();
        let payload = |out: &mut Vec<u8>| value.encode_into(out);
        match to {
            To::Fixed(topic) => frames.add(&self.router, topic, limit, payload),
            To::Topic(topic, receiver) => {
                frames.add_on(&self.router, topic, receiver, limit, payload)
            }
        }
    }

    /// Hands over as much as there is room for.
    fn send(self: &Arc<Self>, targets: &Targets, frames: &mut Frames) -> Published {
        let (count, bytes) = (frames.count(), frames.bytes());
        let mut cut = Vec::new();
        let published = targets.send(&self.router, frames, &mut cut);
        let (count, bytes) = (count - frames.count(), bytes - frames.bytes());
        self.router.published.fetch_add(count as u64, Ordering::Relaxed);
        if !cut.is_empty() {
            self.cut(&mut cut);
        }
        // Even if nobody wants them: the tasks that make peerings need their turn as well.
        charge_budget(count, bytes);
        published
    }

    /// Ends the peerings whose queues have overflowed.
    pub(super) fn cut(self: &Arc<Self>, conns: &mut Vec<ConnectionId>) {
        for conn in conns.drain(..) {
            self.control(|control, _| control.overflow(conn));
        }
    }

    /// Starts the end of the endpoint, without waiting for it.
    pub(super) fn begin_shutdown(self: &Arc<Self>) {
        if self.tasks.stop() {
            // In front of the bye.
            self.router.peers().iter().for_each(|peer| peer.tell_drops(self.id));
            self.control(|control, now| control.shut_down(now));
        }
    }

    pub(super) async fn shut_down(self: &Arc<Self>) {
        self.begin_shutdown();
        self.tasks.ended().await;
    }
}
