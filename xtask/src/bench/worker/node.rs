use super::Running;
use crate::bench::Result;
use crate::bench::protocol::Node;
use crate::bench::shape::TOPIC;
use broker::{Address, Config, Endpoint, OverflowPolicy, PeerHandle, Retry};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// How long peering may take in all before the benchmark is given up.
const PEERING: Duration = Duration::from_secs(30);

/// The endpoints of a worker. The first one may listen.
pub(super) struct Endpoints {
    pub(super) all: Vec<Endpoint>,
    pub(super) url: Option<String>,
}

/// This is the one place where the endpoints of the benchmarks are made, whatever the scheme.
fn endpoint(node: &Node) -> Result<Endpoint> {
    let mut config = Config { overflow_policy: OverflowPolicy::Wait, ..Config::default() };
    if let Some(half_open) = node.half_open.and_then(NonZeroUsize::new) {
        config.limits.half_open = half_open;
    }
    Ok(broker::builder().config(config).build()?)
}

/// The schemes of a compiled-in transport.
pub(in crate::bench) fn schemes() -> Result<Vec<&'static str>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _context = runtime.enter();
    Ok(broker::builder().build()?.schemes())
}

impl Endpoints {
    /// Starts the endpoints, without peering.
    pub(super) fn new(node: &Node, handle: &Handle) -> Result<Self> {
        let _context = handle.enter();
        let all = (0..node.endpoints).map(|_| endpoint(node)).collect::<Result<Vec<_>>>()?;
        let mut url = None;
        if let (Some(at), Some(first)) = (&node.listen, all.first()) {
            url = Some(handle.block_on(first.listen(at))?.to_string());
        }
        Ok(Self { all, url })
    }

    /// Peers all of them with `url`, at once, and waits for the last one.
    pub(super) fn dial(&self, url: &str, handle: &Handle) -> Result<()> {
        let url: Address = url.parse()?;
        let _context = handle.enter();
        let retry = Retry::every(Duration::from_millis(200));
        let handles: Vec<PeerHandle> =
            self.all.iter().map(|endpoint| endpoint.peer(&url, retry)).collect();
        handle.block_on(async {
            for handle in handles {
                tokio::time::timeout(PEERING, handle).await??;
            }
            Ok(())
        })
    }

    /// What [`Node`] says about peering.
    pub(super) fn dial_first(&self, node: &Node, handle: &Handle) -> Result<()> {
        node.dial.as_ref().map_or(Ok(()), |url| self.dial(url, handle))
    }

    /// Waits until each endpoint has this many peers that have subscribed to something.
    pub(super) fn await_peers(&self, peers: usize) -> Result<()> {
        let began = Instant::now();
        let wants = |endpoint: &Endpoint| {
            let stats = endpoint.peering_stats();
            let filters = stats.keys().filter_map(|id| endpoint.peer_filter(*id));
            filters.filter(|filter| !filter.is_empty()).count() >= peers
        };
        while !self.all.iter().all(wants) {
            if began.elapsed() > PEERING {
                return Err(format!("not all of {peers} peers came within {PEERING:?}").into());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Messages that were dropped on their way out.
    pub(super) fn lost(&self) -> u64 {
        let dropped =
            |endpoint: &Endpoint| endpoint.peering_stats().values().map(|s| s.dropped).sum::<u64>();
        self.all.iter().map(dropped).sum()
    }
}

/// An endpoint that passes messages on.
struct Hub {
    endpoints: Endpoints,
}

pub(super) fn hub(node: &Node, handle: &Handle) -> Result<Box<dyn Running>> {
    let endpoints = Endpoints::new(node, handle)?;
    for endpoint in &endpoints.all {
        endpoint.forward([TOPIC, super::subscribe::ACKNOWLEDGE])?;
    }
    endpoints.dial_first(node, handle)?;
    Ok(Box::new(Hub { endpoints }))
}

impl Running for Hub {
    fn url(&self) -> Option<String> {
        self.endpoints.url.clone()
    }

    fn count(&self) -> u64 {
        let received = |endpoint: &Endpoint| {
            endpoint.peering_stats().values().map(|stats| stats.messages_in).sum::<u64>()
        };
        self.endpoints.all.iter().map(received).sum()
    }

    fn lost(&self) -> u64 {
        self.endpoints.lost()
    }
}
