//! The endpoint.

use crate::events::{Events, Wanted};
use crate::fault::Fault;
use crate::operation::{Operation, Outcome};
use crate::runtime::{Unforked, limit, refuse_forked, runtime, wait_in_slices};
use crate::subscriber::{Subscriber, refused};
use crate::values;
use broker::data::Encode;
use broker::event::Event;
use broker::{
    Config, EndpointId, OverflowPolicy, PeerError, PublishError, Reason, Retry, SubscriberOptions,
    SubscriberPolicy, TransportOptions, Address,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde::Deserialize;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// How long to wait for answers that come at once or not at all.
const SOON: Duration = Duration::from_secs(10);

/// What an endpoint is made from, as JSON with the names of the configuration file.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    endpoint: Config,
    transports: TransportOptions,
}

/// An endpoint.
#[pyclass(frozen, module = "zeek_broker._zeek_broker")]
pub(crate) struct Endpoint {
    endpoint: Unforked<broker::Endpoint>,
}

/// What is known of a peer: id, host, port, URL, status, whether this side dialled, the last error.
type Peer = (Option<String>, String, u16, String, String, bool, Option<String>);

impl Endpoint {
    /// The endpoint, unless this process cannot use it.
    fn get(&self) -> PyResult<&broker::Endpoint> {
        refuse_forked()?;
        Ok(&self.endpoint)
    }
}

#[pymethods]
impl Endpoint {
    #[new]
    fn new(py: Python<'_>, settings: &str) -> PyResult<Self> {
        let Settings { endpoint, transports } = serde_json::from_str(settings)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        let runtime = runtime()?;
        let built = py.detach(|| {
            let _context = runtime.enter();
            let builder = broker::builder_with(&endpoint.limits, transports)
                .map_err(|error| Fault::new("tls", error))?;
            builder.config(endpoint).build().map_err(|error| Fault::new("config", error))
        });
        let endpoint = built.map_err(|fault| fault.raise(py))?;
        Ok(Self { endpoint: Unforked::new(endpoint) })
    }

    /// The id.
    #[getter]
    fn id(&self) -> PyResult<String> {
        Ok(self.get()?.id().to_string())
    }

    /// Accepts peers; brings the URL with the port.
    fn listen(&self, url: &str) -> PyResult<Operation> {
        let (endpoint, url) = (self.get()?.clone(), parse(url)?);
        Operation::start(async move {
            let bound = endpoint.listen(&url).await?;
            Ok(Outcome::Text(bound.to_string_with_secrets()))
        })
    }

    /// Asks for a peering, and brings the id of the peer once both sides know what the other wants.
    /// Without a time between retries, or with zero, it is tried once. With `give_up` a failure
    /// that time does not mend ends it.
    #[pyo3(signature = (url, retry, give_up=false))]
    fn peer(&self, url: &str, retry: Option<f64>, give_up: bool) -> PyResult<Operation> {
        let (endpoint, url) = (self.get()?.clone(), parse(url)?);
        let retry = limit(Some(retry.unwrap_or(0.0))).unwrap_or(Duration::MAX);
        let mut events = endpoint.events();
        let handle = endpoint.peer(&url, Retry::every(retry));
        Operation::start(async move {
            let hopeless = async {
                while let Some(event) = events.next().await {
                    if give_up && is_hopeless(&event, &url) {
                        return;
                    }
                }
                std::future::pending().await
            };
            let mut settled = pin!(handle.settled());
            let outcome: Result<EndpointId, PeerError> = tokio::select! {
                outcome = &mut settled => outcome,
                () = hopeless => {
                    endpoint.unpeer(&url);
                    settled.await
                }
            };
            Ok(Outcome::Text(outcome?.to_string()))
        })
    }

    /// Ends the peering with an address, or gives up asking for it.
    fn unpeer(&self, url: &str) -> PyResult<bool> {
        Ok(self.get()?.unpeer(&parse(url)?))
    }

    /// All peers, and all addresses that are still tried.
    fn peers(&self) -> PyResult<Vec<Peer>> {
        let peers = self.get()?.peers().into_iter().map(|peer| {
            let url = &peer.network.url;
            (
                peer.id.map(|id| id.to_string()),
                url.host().to_owned(),
                url.port(),
                url.to_string(),
                peer.status.name().to_owned(),
                peer.is_outbound(),
                peer.last_error.clone(),
            )
        });
        Ok(peers.collect())
    }

    /// What the peers want, all of them together.
    fn peer_subscriptions(&self) -> PyResult<Vec<Vec<u8>>> {
        let endpoint = self.get()?;
        let ids = endpoint.peers().into_iter().filter_map(|peer| peer.id);
        let filters = ids.filter_map(|id| endpoint.peer_filter(id)).flatten();
        let topics: std::collections::BTreeSet<Vec<u8>> = filters.map(Into::into).collect();
        Ok(topics.into_iter().collect())
    }

    /// Asks peers for these topics on behalf of other peers.
    fn forward(&self, topics: Vec<Vec<u8>>) -> PyResult<()> {
        self.get()?.forward(topics).map_err(refused)
    }

    /// Receives messages on topics with these prefixes.
    #[pyo3(signature = (topics, messages=None, bytes=None, policy="drop_oldest"))]
    fn subscribe(
        &self,
        topics: Vec<Vec<u8>>,
        messages: Option<usize>,
        bytes: Option<usize>,
        policy: &str,
    ) -> PyResult<Subscriber> {
        let policy = match policy.parse() {
            Ok(OverflowPolicy::DropNewest) => SubscriberPolicy::DropNewest,
            Ok(OverflowPolicy::DropOldest) => SubscriberPolicy::DropOldest,
            Ok(OverflowPolicy::Wait) => SubscriberPolicy::Wait,
            _ => return Err(PyValueError::new_err(format!("no such policy: {policy:?}"))),
        };
        let options = SubscriberOptions { messages, bytes, policy };
        Subscriber::new(self.get()?.try_subscribe(topics, options).map_err(refused)?)
    }

    /// What happens from now on.
    #[pyo3(signature = (statuses=true, errors=true, logs=false, reachability=true))]
    fn events(
        &self,
        statuses: bool,
        errors: bool,
        logs: bool,
        reachability: bool,
    ) -> PyResult<Events> {
        Events::new(self.get()?.events(), Wanted { statuses, reachability, errors, logs })
    }

    /// Brings whether the endpoint with this id is a peer within the time.
    #[pyo3(signature = (id, timeout=None))]
    fn await_peer(&self, id: &str, timeout: Option<f64>) -> PyResult<Operation> {
        let (endpoint, id) = (self.get()?.clone(), parse_id(id)?);
        let limit = limit(timeout).unwrap_or(Duration::MAX);
        Operation::start(async move {
            let peered = tokio::time::timeout(limit, endpoint.await_peer(id)).await;
            Ok(Outcome::Bool(peered.unwrap_or(false)))
        })
    }

    /// Brings the seconds to a peer and back.
    #[pyo3(signature = (id, timeout=None))]
    fn ping(&self, id: &str, timeout: Option<f64>) -> PyResult<Operation> {
        let (endpoint, id) = (self.get()?.clone(), parse_id(id)?);
        let limit = limit(timeout).unwrap_or(SOON);
        Operation::start(async move {
            let time = tokio::time::timeout(limit, endpoint.ping(id)).await;
            let time = time.map_err(|_| Fault::new("timeout", "no answer in time"))?;
            let time = time.map_err(|error| Fault::new("timeout", error))?;
            Ok(Outcome::Seconds(time.as_secs_f64()))
        })
    }

    /// Brings whether all peers have taken everything that was meant for them before.
    #[pyo3(signature = (timeout=None))]
    fn flush(&self, timeout: Option<f64>) -> PyResult<Operation> {
        let endpoint = self.get()?.clone();
        let limit = limit(timeout).unwrap_or(SOON);
        Operation::start(async move {
            let flushed = tokio::time::timeout(limit, endpoint.flush()).await;
            Ok(Outcome::Bool(flushed.is_ok()))
        })
    }

    /// Publishes a value. Waits for room in the queues of peers where their policy says so, without
    /// the interpreter's lock.
    #[pyo3(signature = (topic, value, strict=false))]
    fn publish(
        &self,
        py: Python<'_>,
        topic: Topic,
        value: &Bound<'_, PyAny>,
        strict: bool,
    ) -> PyResult<()> {
        let (endpoint, mut encoded) = (self.get()?, Vec::new());
        values::encode(value, strict, &mut encoded)?;
        let value = Encoded(encoded);
        let mut publishing = pin!(endpoint.publish(topic.0, &value));
        let now = publishing.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let outcome = match now {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => {
                let runtime = runtime()?;
                let waited = wait_in_slices(py, None, |slice| {
                    let step = async { tokio::time::timeout(slice, publishing.as_mut()).await };
                    runtime.block_on(step).ok()
                })?;
                waited.unwrap_or(Err(PublishError::ShutDown))
            }
        };
        outcome.map(drop).map_err(|error| Fault::from(error).raise(py))
    }

    /// Publishes a value now, if it does not have to wait for that; else what there is to wait for.
    fn publish_or_start(
        &self,
        py: Python<'_>,
        topic: Topic,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<Option<Operation>> {
        let (endpoint, mut encoded) = (self.get()?, Vec::new());
        values::encode(value, false, &mut encoded)?;
        let value = Encoded(encoded);
        {
            let mut publishing = pin!(endpoint.publish(&topic.0, &value));
            let mut context = Context::from_waker(Waker::noop());
            // The first time it may only want to let others have their turn.
            for _ in 0..2 {
                if let Poll::Ready(outcome) = publishing.as_mut().poll(&mut context) {
                    return match outcome {
                        Ok(_) => Ok(None),
                        Err(error) => Err(Fault::from(error).raise(py)),
                    };
                }
            }
        }
        let endpoint = endpoint.clone();
        let start = Operation::start(async move {
            endpoint.publish(topic.0, &value).await?;
            Ok(Outcome::Nothing)
        });
        start.map(Some)
    }

    /// Ends all peerings in an orderly way.
    fn shutdown(&self) -> PyResult<Operation> {
        let endpoint = self.get()?.clone();
        Operation::start(async move {
            endpoint.shutdown().await;
            Ok(Outcome::Nothing)
        })
    }
}

/// A topic from Python: `str` or `bytes`.
struct Topic(Vec<u8>);

impl<'a, 'py> FromPyObject<'a, 'py> for Topic {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        values::text_bytes(&object).map(Self)
    }
}

/// A value that is encoded already.
struct Encoded(Vec<u8>);

impl Encode for Encoded {
    fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

/// Whether this tells that an address will never be peered with as it is.
fn is_hopeless(event: &Event, url: &Address) -> bool {
    let Event::Error(error) = event else { return false };
    let network = error.endpoint.as_ref().and_then(|endpoint| endpoint.network.as_ref());
    network.is_some_and(|network| network.url == *url)
        && matches!(
            error.reason,
            Some(
                Reason::NotBroker
                    | Reason::PeerWantsTls
                    | Reason::PeerIsPlain
                    | Reason::PeerCertificate
                    | Reason::OwnCertificate
                    | Reason::Tls
                    | Reason::WrongMagic
                    | Reason::NoCommonVersion
                    | Reason::ConnectedToItself
                    | Reason::InvalidAddress
                    | Reason::UnsupportedScheme
            )
        )
}

fn parse(url: &str) -> PyResult<Address> {
    url.parse().map_err(|error: broker::InvalidAddress| PyValueError::new_err(error.to_string()))
}

/// The URL in full, as it is shown: without a token that may be in it.
#[pyfunction]
pub(crate) fn shown_url(url: &str) -> PyResult<String> {
    Ok(parse(url)?.to_string())
}

fn parse_id(id: &str) -> PyResult<EndpointId> {
    id.parse().map_err(|_| PyValueError::new_err(format!("{id:?} is not the id of an endpoint")))
}
