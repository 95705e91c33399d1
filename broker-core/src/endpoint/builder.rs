use super::shared::Shared;
use super::tasks::run_timer;
use super::{Endpoint, ServiceContext};
use crate::config::{COUNT_PREFIXES, Config};
use crate::transport::Transport;
use crate::{EndpointId, Limits, OverflowPolicy};
use broker_proto::limits::InvalidLimit;
use broker_proto::peering::{PeeringMachine, Settings};
use broker_proto::wire::handshake::Role;
use broker_proto::wire::{PROTOCOL_VERSION, PROTOCOL_VERSION_MAX};
use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

type StartHook = Box<dyn FnOnce(&ServiceContext) + Send>;
type SetUp = Box<dyn FnOnce(&Limits) -> Result<EndpointBuilder, BuildError> + Send>;

/// Describes an endpoint before it starts.
#[derive(Default)]
pub struct EndpointBuilder {
    config: Config,
    transports: HashMap<&'static str, Arc<dyn Transport>>,
    set_up: Option<SetUp>,
    on_start: Vec<StartHook>,
}

impl fmt::Debug for EndpointBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Why an endpoint cannot be started.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The nil id means "no endpoint".
    #[error("the nil id cannot be an endpoint's own id")]
    NilId,
    /// The id would break the events of other implementations.
    #[error("endpoint id {0} has version {1}; other implementations read only versions 1 to 5")]
    IdVersion(EndpointId, u8),
    /// A fraction is no fraction.
    #[error("retry-jitter is {0}, it has to be from 0 to 1")]
    Jitter(f64),
    /// More prefixes of topics than can be counted.
    #[error("count-prefixes has {0} prefixes, at most {COUNT_PREFIXES} can be counted")]
    CountPrefixes(usize),
    /// A limit would stop everything.
    #[error(transparent)]
    Limit(#[from] InvalidLimit),
    /// A transport cannot be set up.
    #[error("{0}")]
    Transport(Arc<dyn Error + Send + Sync>),
    /// Endpoints live on a runtime.
    #[error("an endpoint can only be started from within a tokio runtime")]
    NoRuntime,
}

impl EndpointBuilder {
    /// Uses this configuration.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Uses this id.
    #[must_use]
    pub fn id(mut self, id: EndpointId) -> Self {
        self.config.endpoint_id = Some(id);
        self
    }

    /// Passes messages of peers on to other peers, or does not.
    #[must_use]
    pub fn forwarding(mut self, forwarding: bool) -> Self {
        self.config.forwarding = forwarding;
        self
    }

    /// What happens to messages for a peer whose queue is full.
    #[must_use]
    pub fn overflow_policy(mut self, policy: OverflowPolicy) -> Self {
        self.config.overflow_policy = policy;
        self
    }

    /// Adds a transport. A later one replaces an earlier one for the same scheme.
    #[must_use]
    pub fn transport(mut self, transport: impl Transport) -> Self {
        let transport: Arc<dyn Transport> = Arc::new(transport);
        for scheme in transport.schemes() {
            self.transports.insert(scheme, Arc::clone(&transport));
        }
        self
    }

    /// Adds the transports, and what is to be started with the endpoint, of the builder that
    /// `set_up` returns. It is called when the endpoint is built, with the limits of the
    /// configuration. A transport that is added by [`Self::transport`] replaces one of these for
    /// the same scheme.
    #[must_use]
    pub fn transports_from<E: Error + Send + Sync + 'static>(
        mut self,
        set_up: impl FnOnce(&Limits) -> Result<Self, E> + Send + 'static,
    ) -> Self {
        self.set_up = Some(Box::new(|limits| {
            set_up(limits).map_err(|error| BuildError::Transport(Arc::new(error)))
        }));
        self
    }

    /// The transport for a scheme, for those who want a connection without an endpoint. Those of
    /// [`Self::transports_from`] do not exist yet.
    #[must_use]
    pub fn transport_for(&self, scheme: &str) -> Option<Arc<dyn Transport>> {
        self.transports.get(scheme).map(Arc::clone)
    }

    /// Calls `start` as soon as the endpoint runs. For services that belong to the endpoint, like a
    /// gateway for clients that speak another protocol.
    #[must_use]
    pub fn on_start(mut self, start: impl FnOnce(&ServiceContext) + Send + 'static) -> Self {
        self.on_start.push(Box::new(start));
        self
    }

    /// Starts the endpoint on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// Something in the configuration cannot work, or a transport cannot be set up.
    pub fn build(self) -> Result<Endpoint, BuildError> {
        let Self { config, mut transports, set_up, mut on_start } = self;
        check(&config)?;
        let config = config.clamp_durations();
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return Err(BuildError::NoRuntime);
        };
        if let Some(set_up) = set_up {
            let mut built = set_up(&config.limits)?;
            built.transports.extend(transports);
            transports = built.transports;
            on_start.append(&mut built.on_start);
        }
        let id = config.endpoint_id.unwrap_or_else(EndpointId::random);
        let settings = Settings {
            id,
            handshake_time: config.limits.handshake_time,
            bye: config.limits.bye,
            liveness: config.limits.liveness,
            version: if config.relay { PROTOCOL_VERSION_MAX } else { PROTOCOL_VERSION },
            role: if config.forwarding { Role::Relay } else { Role::Leaf },
            life: life(),
            overlay: config.limits.overlay(),
            peers: config.limits.peers.get(),
            filter: config.limits.filter(),
            remembered_peers: config.limits.remembered_peers,
            retry_jitter: config.retry_jitter,
            retry_max: config.retry_max,
            rules: config.peer_rules.clone(),
            seed: fastrand::u64(..),
        };
        let control = PeeringMachine::new(settings);
        let shared = Arc::new(Shared::new(runtime, id, config, transports, control));
        shared.tasks.spawn(run_timer(Arc::clone(&shared)));
        let endpoint = Endpoint::new(shared);
        let context = endpoint.service_context();
        on_start.into_iter().for_each(|start| start(&context));
        Ok(endpoint)
    }
}

/// A number for this life of the endpoint that is larger than those of earlier ones, if the clock
/// is right.
fn life() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

fn check(config: &Config) -> Result<(), BuildError> {
    if let Some(id) = config.endpoint_id {
        let version = id.as_bytes()[6] >> 4;
        if id.is_nil() {
            return Err(BuildError::NilId);
        }
        if !(1..=5).contains(&version) {
            return Err(BuildError::IdVersion(id, version));
        }
    }
    if !(0.0..=1.0).contains(&config.retry_jitter) {
        return Err(BuildError::Jitter(config.retry_jitter));
    }
    if config.count_prefixes.len() > COUNT_PREFIXES {
        return Err(BuildError::CountPrefixes(config.count_prefixes.len()));
    }
    Ok(config.limits.check()?)
}
