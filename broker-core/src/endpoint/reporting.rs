//! What an endpoint tells others about itself: events, the log, the metrics, and those who wait.
//!
//! Telling runs what users bring: the recorder of metrics, and the wakers of their tasks. So it is
//! queued under the control lock and told without it, in the order of the decisions behind it, by
//! one thread at a time.

use super::drops::Drops;
use super::events::EventBus;
use super::metrics::Metrics;
use super::ping::Pings;
use super::tasks::Tasks;
use crate::event::{EndpointInfo, Event, Severity};
use crate::{EndpointId, Failure};
use broker_proto::data::{EnumValue, Value};
use broker_proto::limits::Limits;
use broker_proto::routing::{Peer, Router};
use parking_lot::{Mutex, ReentrantMutex};
use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::{Notify, oneshot};

/// The topic of status events.
const STATUSES: &[u8] = b"<$>/local/data/statuses";

/// The topic of error events.
const ERRORS: &[u8] = b"<$>/local/data/errors";

/// Who wants to know what has become of a request.
pub(super) type DialWaiter = oneshot::Sender<Result<EndpointId, Failure>>;

/// What others are told once the control lock is released.
#[derive(Debug)]
pub(super) enum Notice {
    /// For the event streams, the metrics, and local consumers of the internal topics.
    Event(Event),
    /// A peer is no longer installed.
    Ended(Arc<Peer>),
    /// A peer has come or has changed its filter.
    PeersChanged,
    /// What has become of a request, for those who wait for it.
    Resolved(Vec<DialWaiter>, Result<EndpointId, Failure>),
    /// Everything has been wound up.
    Stopped,
}

/// What there is to tell, and to whom.
#[derive(Debug)]
pub(super) struct Reporting {
    pub(super) events: EventBus,
    pub(super) metrics: Metrics,
    pub(super) drops: Drops,
    pub(super) pings: Pings,
    /// Notified whenever a peer comes, goes or changes its filter, or the endpoint stops.
    pub(super) peers_changed: Notify,
    waiting: Mutex<VecDeque<Notice>>,
    /// Held by the thread that tells, which notes that it does: what it calls may have something
    /// to tell as well.
    turn: ReentrantMutex<Cell<bool>>,
}

/// The turn of a thread, until its end, or until what it calls panics.
struct Turn<'a>(&'a Cell<bool>);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl Reporting {
    pub(super) fn new(limits: &Limits, log_level: Severity) -> Self {
        Self {
            events: EventBus::new(limits, log_level),
            metrics: Metrics::new(limits.metrics_peers),
            drops: Drops::default(),
            pings: Pings::default(),
            peers_changed: Notify::new(),
            waiting: Mutex::default(),
            turn: ReentrantMutex::default(),
        }
    }

    /// Queues what is to be told, and returns whether that was anything.
    pub(super) fn extend(&self, notices: Vec<Notice>) -> bool {
        let any = !notices.is_empty();
        if any {
            self.waiting.lock().extend(notices);
        }
        any
    }

    /// Tells everything that is queued. When it returns all of that has been told, whichever
    /// thread did it, except to those who call this while they are being told something: they hear
    /// the rest after they have returned.
    ///
    /// Not to be called with the control lock held.
    pub(super) fn deliver(&self, router: &Router, tasks: &Tasks) {
        let turn = self.turn.lock();
        if turn.replace(true) {
            return;
        }
        let _turn = Turn(&turn);
        loop {
            // Not in the condition of the loop, where the lock would be held throughout its body.
            let next = self.waiting.lock().pop_front();
            let Some(notice) = next else { return };
            self.tell(notice, router, tasks);
        }
    }

    fn tell(&self, notice: Notice, router: &Router, tasks: &Tasks) {
        match notice {
            Notice::Event(event) => {
                self.tell_all(&event, router, tasks);
                // An error is an entry of the log as well.
                if let Event::Error(error) = &event {
                    self.tell_all(&Event::Log(error.log_entry()), router, tasks);
                }
            }
            Notice::Ended(peer) => {
                self.pings.ended(&peer);
                for event in self.drops.ended(&peer) {
                    self.tell_all(&event, router, tasks);
                }
                self.metrics.ended(peer);
                self.peers_changed.notify_waiters();
            }
            Notice::PeersChanged => self.peers_changed.notify_waiters(),
            Notice::Resolved(waiters, outcome) => {
                for waiter in waiters {
                    // Whoever asked may have lost interest.
                    let _ = waiter.send(outcome.clone());
                }
            }
            Notice::Stopped => {
                router.close_sinks();
                self.events.close();
                tasks.stopped.cancel();
                self.peers_changed.notify_waiters();
            }
        }
    }

    fn tell_all(&self, event: &Event, router: &Router, tasks: &Tasks) {
        if let Some((topic, value)) = as_message(event) {
            router.publish_internally(topic, &value.encode());
        }
        self.metrics.count(event);
        if self.events.emit(event, tasks.now()) {
            tasks.rearm();
        }
    }
}

/// A status or error as the message that local consumers of the internal topics get, in the form
/// of the C++ Broker. Log events have none.
fn as_message(event: &Event) -> Option<(&'static [u8], Value)> {
    match event {
        Event::Status(status) => {
            let name = status.code.event_name();
            let value = Value::Vector(vec![
                Value::from("status"),
                Value::Enum(EnumValue(name.into())),
                endpoint_info(&status.endpoint),
                Value::from(status.message.as_str()),
            ]);
            Some((STATUSES, value))
        }
        Event::Error(error) => {
            let mut context = Vec::new();
            context.extend(error.endpoint.as_ref().map(endpoint_info));
            context.push(Value::from(error.message.as_str()));
            let value = Value::Vector(vec![
                Value::from("error"),
                Value::Enum(EnumValue(error.code.name().into())),
                Value::Vector(context),
            ]);
            Some((ERRORS, value))
        }
        Event::Log(_) => None,
    }
}

fn endpoint_info(endpoint: &EndpointInfo) -> Value {
    let id = match endpoint.id.is_nil() {
        true => Value::None,
        false => Value::from(endpoint.id.to_string()),
    };
    let mut fields = vec![id];
    match &endpoint.network {
        None => fields.extend([Value::None, Value::None, Value::None]),
        Some(network) => fields.extend([
            Value::from(network.place()),
            Value::Port(network.port()),
            Value::Count(network.retry.unwrap_or_default().as_secs()),
        ]),
    }
    Value::Vector(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Address;
    use crate::endpoint::{Endpoint, EventStream, PeerHandle, Retry};
    use crate::transport::MemTransport;
    use metrics::{
        Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    };
    use std::pin::Pin;
    use std::task::{Context, Poll, Wake, Waker};
    use std::time::Duration;
    use tokio::time::timeout;

    const LONG: Duration = Duration::from_secs(60);

    fn endpoint() -> Endpoint {
        Endpoint::builder().transport(MemTransport::new()).build().unwrap()
    }

    fn unknown(number: u16) -> Address {
        Address::new("mem", "nobody", number)
    }

    /// Notes for every call whether the control lock was held, and may use the endpoint itself.
    struct Watch {
        endpoint: Endpoint,
        held: Mutex<Vec<bool>>,
        then: fn(&Endpoint),
    }

    impl Watch {
        fn new(endpoint: &Endpoint, then: fn(&Endpoint)) -> Arc<Self> {
            Arc::new(Self { endpoint: endpoint.clone(), held: Mutex::default(), then })
        }

        fn note(&self) {
            self.held.lock().push(self.endpoint.shared().is_locked());
            (self.then)(&self.endpoint);
        }
    }

    impl Wake for Watch {
        fn wake(self: Arc<Self>) {
            self.note();
        }
    }

    impl Recorder for Watch {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
            self.note();
            Counter::noop()
        }

        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            self.note();
            Gauge::noop()
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            self.note();
            Histogram::noop()
        }
    }

    fn is_pending<F: Future + Unpin>(future: &mut F, watch: &Arc<Watch>) -> bool {
        let waker = Waker::from(Arc::clone(watch));
        Pin::new(future).poll(&mut Context::from_waker(&waker)).is_pending()
    }

    fn wait_for_event(events: &mut EventStream, watch: &Arc<Watch>) {
        let next = std::pin::pin!(events.next());
        let waker = Waker::from(Arc::clone(watch));
        assert!(matches!(next.poll(&mut Context::from_waker(&waker)), Poll::Pending));
    }

    fn addresses(events: &mut EventStream) -> Vec<Address> {
        std::iter::from_fn(|| events.try_next())
            .filter_map(|event| event.endpoint()?.network.clone())
            .map(|network| network.url)
            .collect()
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_and_the_recorder_called_without_the_control_lock() {
        let endpoint = endpoint();
        let watch = Watch::new(&endpoint, |_| {});
        let mut events = endpoint.events();
        wait_for_event(&mut events, &watch);
        let mut handle: PeerHandle = endpoint.peer(unknown(1), Retry::never());
        assert!(is_pending(&mut handle, &watch));
        metrics::with_local_recorder(&*watch, || endpoint.unpeer(unknown(1)));
        endpoint.shutdown().await;
        assert!(watch.held.lock().len() >= 3, "an event, what counts it, and an outcome");
        assert!(watch.held.lock().iter().all(|held| !held), "{:?}", watch.held.lock());
    }

    #[tokio::test]
    async fn whoever_is_woken_may_use_the_endpoint_and_nothing_gets_out_of_order() {
        let endpoint = endpoint();
        let watch = Watch::new(&endpoint, |endpoint| {
            endpoint.unpeer(unknown(2));
            let _ = endpoint.subscribe(["/t"]);
        });
        let (mut sleeping, mut events) = (endpoint.events(), endpoint.events());
        wait_for_event(&mut sleeping, &watch);
        endpoint.unpeer(unknown(1));
        assert_eq!(addresses(&mut events), [unknown(1), unknown(2)]);
    }

    #[tokio::test]
    async fn what_a_call_decides_has_been_said_when_it_returns_whoever_says_it() {
        let endpoint = endpoint();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (endpoint, mut events) = (&endpoint, endpoint.events());
                scope.spawn(move || {
                    for round in 0..100 {
                        let address = unknown(thread * 100 + round + 1);
                        endpoint.unpeer(&address);
                        assert!(addresses(&mut events).contains(&address));
                    }
                });
            }
        });
    }

    #[tokio::test(start_paused = true)]
    async fn services_hear_of_peers_that_come_and_go() {
        let network = MemTransport::new();
        let build = || Endpoint::builder().transport(network.clone()).build().unwrap();
        let (watched, other) = (build(), build());
        let url = other.listen("mem://other:0").await.unwrap();
        let service = watched.service_context();

        let comes = service.peers_changed();
        watched.peer(&url, Retry::never()).await.unwrap();
        timeout(LONG, comes).await.unwrap();

        let goes = service.peers_changed();
        assert!(watched.unpeer(&url));
        timeout(LONG, goes).await.unwrap();
    }
}
