use super::client::Clients;
use super::drops::Drops;
use super::events::EventBus;
use super::listener::ListenerInfo;
use super::metrics::Metrics;
use super::outbox::Outbox;
use super::ping::Pings;
use super::publisher::{charge_budget, yield_if_over_budget};
use super::registry::PeerRegistry;
use crate::config::Config;
use crate::transport::{Admission, Transport, TransportError, TransportErrorKind, connections_max};
use crate::{EndpointId, Url};
use broker_proto::Failure;
use broker_proto::data::Encode;
use broker_proto::memory::MemoryBudget;
use broker_proto::peering::{ConnectionId, DialId, PeeringMachine, Time};
use broker_proto::queue::{Bounds, Clock};
use broker_proto::routing::{FixedRoute, Origin, Outbound, PublishError, Published, Router};
use broker_proto::session::ConnectionTable;
use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What all tasks of an endpoint have in common.
pub(super) struct Shared {
    pub(super) id: EndpointId,
    pub(super) config: Config,
    pub(super) transports: HashMap<&'static str, Arc<dyn Transport>>,
    pub(super) router: Router,
    pub(super) registry: PeerRegistry,
    pub(super) events: EventBus,
    pub(super) outbox: Outbox,
    pub(super) pings: Pings,
    pub(super) clients: Clients,
    /// Where it listens, in the order in which that began.
    pub(super) listeners: Mutex<Vec<ListenerInfo>>,
    pub(super) metrics: Metrics,
    pub(super) drops: Drops,
    pub(super) admission: Arc<Admission>,
    /// What connections and consumers hold in all.
    pub(super) memory: Arc<MemoryBudget>,
    /// Notified whenever a peer comes or changes its filter, or the endpoint stops.
    pub(super) peers_changed: Notify,
    /// Wakes the timer when the next deadline has changed.
    pub(super) timer: Notify,
    /// Cancelled when nothing new may begin.
    pub(super) stopping: CancellationToken,
    /// Says the same to publishers, who ask before every message.
    refuses: AtomicBool,
    /// Cancelled when all peerings have ended.
    pub(super) stopped: CancellationToken,
    /// Where the tasks run, whichever thread causes them to be started.
    runtime: Handle,
    tasks: TaskTracker,
    started: Instant,
    next_sink: AtomicU64,
    state: Mutex<State>,
}

/// The machine, its connections, and what belongs to its requests.
pub(super) struct State {
    pub(super) table: ConnectionTable,
    pub(super) dials: HashMap<DialId, DialWaiters>,
    /// The deadline that the timer knows of.
    pub(super) armed: Option<Time>,
}

/// Who wants to know what has become of a request.
pub(super) type DialWaiter = oneshot::Sender<Result<EndpointId, Failure>>;

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
            .in_life(fastrand::u32(..), limits.streams_remembered.get()),
            registry: PeerRegistry::default(),
            events: EventBus::new(limits, config.log_level),
            outbox: Outbox::default(),
            pings: Pings::default(),
            clients: Clients::new(limits.metrics_peers),
            listeners: Mutex::default(),
            drops: Drops::default(),
            metrics: Metrics::new(limits.metrics_peers),
            admission: Arc::new(Admission::new(limits.half_open.get(), connections_max())),
            memory: Arc::new(MemoryBudget::new(limits.memory)),
            peers_changed: Notify::new(),
            timer: Notify::new(),
            stopping: CancellationToken::new(),
            refuses: AtomicBool::new(false),
            stopped: CancellationToken::new(),
            runtime,
            tasks: TaskTracker::new(),
            started: Instant::now(),
            next_sink: AtomicU64::new(1),
            state: Mutex::new(State {
                table: ConnectionTable::new(control),
                dials: HashMap::new(),
                armed: None,
            }),
            transports,
            config,
        }
    }

    /// Starts a task of the endpoint. The caller need not be on a runtime, and if it is on one,
    /// that may be another one.
    pub(super) fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn_on(task, &self.runtime)
    }

    /// The clock of the machines.
    pub(super) fn now(&self) -> Time {
        self.started.elapsed()
    }

    /// The same clock for those who have nothing else of the endpoint.
    pub(super) fn clock(&self) -> Clock {
        let started = self.started;
        Arc::new(move || started.elapsed())
    }

    /// When a time of the machines is for the timers of tasks.
    pub(super) fn instant(&self, time: Time) -> Instant {
        self.started + time
    }

    pub(super) fn next_sink(&self) -> u64 {
        self.next_sink.fetch_add(1, Ordering::Relaxed)
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

    pub(super) fn transport(&self, url: &Url) -> Result<&Arc<dyn Transport>, TransportError> {
        self.transports.get(url.scheme()).ok_or_else(|| {
            let mut known: Vec<&str> = self.transports.keys().copied().collect();
            known.sort_unstable();
            let detail = format!(
                "{url}: this endpoint has no transport for {}:// (it has {})",
                url.scheme(),
                known.join(", ")
            );
            TransportError::new(TransportErrorKind::UnsupportedScheme, detail)
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

    pub(super) async fn publish(
        self: &Arc<Self>,
        origin: Origin,
        receiver: EndpointId,
        topic: &[u8],
        route: Option<&FixedRoute>,
        value: &(impl Encode + ?Sized),
    ) -> Result<Published, PublishError> {
        if self.refuses.load(Ordering::Relaxed) {
            return Err(PublishError::ShutDown);
        }
        yield_if_over_budget().await;
        let limit = self.config.limits.frame.get();
        let encode = |out: &mut Vec<u8>| value.encode_into(out);
        let outbound =
            Outbound::along(route, &self.router, origin, receiver, topic, limit, encode)?;
        if outbound.has_to_wait() {
            outbound.room().await;
        }
        let bytes = outbound.bytes();
        let mut cut = Vec::new();
        let published = outbound.send(&self.router, &mut cut);
        self.router.published.fetch_add(1, Ordering::Relaxed);
        self.cut(&mut cut);
        if published.peers > 0 {
            charge_budget(bytes);
        }
        Ok(published)
    }

    /// Ends the peerings whose queues have overflowed.
    pub(super) fn cut(self: &Arc<Self>, conns: &mut Vec<ConnectionId>) {
        for conn in conns.drain(..) {
            self.control(|control, _| control.overflow(conn));
        }
    }

    /// Starts the end of the endpoint, without waiting for it.
    pub(super) fn begin_shutdown(self: &Arc<Self>) {
        if !self.stopping.is_cancelled() {
            self.refuses.store(true, Ordering::Relaxed);
            self.stopping.cancel();
            self.control(|control, now| control.shut_down(now));
        }
    }

    pub(super) async fn shut_down(self: &Arc<Self>) {
        self.begin_shutdown();
        self.stopped.cancelled().await;
        self.tasks.close();
        self.tasks.wait().await;
    }
}
