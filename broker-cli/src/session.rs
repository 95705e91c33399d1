//! An endpoint as a command uses it: its events are shown while the command does its work, and
//! signals end it in an orderly way.

use crate::failure::{Exit, Failure};
use crate::options::{EndpointOptions, Settings, retry};
use crate::output::{EventRecord, Listening, Output};
use crate::reporter::Reporter;
use crate::signals::{Signal, Signals};
use broker::event::StatusCode;
use broker::{Endpoint, EndpointId, Event, EventStream, PeerHandle, Url};
use std::collections::BTreeSet;
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};

/// How long an interrupted command tries to get rid of its last lines of output.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Why a command stops what it is doing.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It was told to.
    Signal(Signal),
    /// There is no point in going on.
    Failure(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<Stop> for Failure {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Signal(_) => Self::interrupted(),
            Stop::Failure(failure) => failure,
        }
    }
}

/// An endpoint, and where what happens to it is shown.
pub(crate) struct Session {
    pub(crate) endpoint: Endpoint,
    pub(crate) out: Output,
    events: EventStream,
    reporter: Option<Reporter>,
    signals: Signals,
    settings: Settings,
    /// The requests for peerings that have not been fulfilled yet.
    dialling: Option<Dialling>,
    /// The peers that fulfilled them, in the order of the addresses.
    dialled: Vec<EndpointId>,
    /// Whether peerings that are lost come back.
    comes_back: bool,
    peers: BTreeSet<EndpointId>,
    ended: u64,
}

/// Ends with the first failure, or when all requests have been fulfilled, with the peers.
type Dialling = Pin<Box<dyn Future<Output = Result<Vec<EndpointId>, Failure>> + Send>>;

/// How often peerings are tried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Persistence {
    /// The time between the first attempts; `None` is one attempt, which has to succeed.
    pub(crate) at_first: Option<Duration>,
    /// The time between attempts after a loss.
    pub(crate) after_loss: Option<Duration>,
}

impl Persistence {
    /// The same time for everything.
    pub(crate) fn always(time: Option<Duration>) -> Self {
        let time = time.filter(|time| !time.is_zero());
        Self { at_first: time, after_loss: time }
    }
}

impl Session {
    /// Starts an endpoint that nobody can reach yet.
    pub(crate) fn new(options: &EndpointOptions, settings: Settings) -> Result<Self, Failure> {
        let signals = Signals::new()
            .map_err(|error| Failure::other(format!("cannot wait for signals: {error}")))?;
        let reporter = (!options.events).then(|| Reporter::new(settings.config.log_level));
        let transports = settings.transports.clone();
        let endpoint = broker::builder_with(&settings.config.limits, transports)
            .map_err(|error| Failure::usage(error.to_string()))?
            .config(settings.config.clone())
            .build()
            .map_err(|error| Failure::usage(error.to_string()))?;
        for url in settings.listen.iter().chain(&settings.peers) {
            check_scheme(&endpoint, url)?;
        }
        Ok(Self {
            events: endpoint.events(),
            out: Output::new(options.output.format()),
            reporter,
            signals,
            settings,
            endpoint,
            dialling: None,
            dialled: Vec::new(),
            comes_back: false,
            peers: BTreeSet::new(),
            ended: 0,
        })
    }

    /// The endpoints it is peered with, as far as its events have been looked at.
    pub(crate) fn peers(&self) -> &BTreeSet<EndpointId> {
        &self.peers
    }

    /// How many peerings have ended, as far as its events have been looked at.
    pub(crate) fn ended(&self) -> u64 {
        self.ended
    }

    /// The peers at the addresses that were dialled, in their order, when all are connected.
    pub(crate) fn dialled(&self) -> &[EndpointId] {
        &self.dialled
    }

    /// Waits until all peerings that were asked for have been made.
    pub(crate) async fn connected(&mut self, limit: Duration) -> Result<(), Stop> {
        let connected = async {
            while !self.is_connected() {
                self.step().await?;
            }
            Ok(())
        };
        match timeout(limit, connected).await {
            Ok(connected) => connected,
            Err(_) => Err(self.not_connected(limit).into()),
        }
    }

    /// Whether peerings are asked for, rather than waited for.
    pub(crate) fn has_dialled(&self) -> bool {
        !self.settings.peers.is_empty()
    }

    /// Whether peerings that are lost come back.
    pub(crate) fn comes_back(&self) -> bool {
        self.comes_back
    }

    /// Whether all peerings that were asked for have been made.
    pub(crate) fn is_connected(&self) -> bool {
        self.dialling.is_none()
    }

    /// Listens where it should, and says where that is, before anything else is said.
    pub(crate) async fn listen(&mut self) -> Result<(), Stop> {
        self.endpoint.forward(&self.settings.forward);
        for url in self.settings.listen.clone() {
            let bound = self.endpoint.listen(&url).await;
            let bound = bound.map_err(|error| Failure::listening(&error))?;
            self.out.record(&Listening::new(&bound));
        }
        Ok(self.out.flush().await?)
    }

    /// Asks for the peerings of the settings. If one cannot be made, the next [`Self::step`] fails.
    pub(crate) fn dial(&mut self, persistence: Persistence) {
        let Persistence { at_first, after_loss } = persistence;
        let request = |url: &Url| (url.clone(), self.endpoint.peer(url, retry(at_first)));
        let requests: Vec<(Url, PeerHandle)> = self.settings.peers.iter().map(request).collect();
        let endpoint = self.endpoint.clone();
        self.comes_back = after_loss.is_some();
        self.dialling = Some(Box::pin(async move {
            let mut peers = Vec::new();
            for (url, handle) in requests {
                peers.push(handle.await.map_err(|error| Failure::peering(&url, &error))?);
                if at_first.is_none() && after_loss.is_some() {
                    // Asking again for a peering that exists only changes its retry time.
                    drop(endpoint.peer(&url, retry(after_loss)));
                }
            }
            Ok(peers)
        }));
    }

    /// The failure of a command whose peerings have not been made in time.
    pub(crate) fn not_connected(&self, limit: Duration) -> Failure {
        let seconds = limit.as_secs_f64();
        let tried = self.endpoint.peers().into_iter().find(|peer| peer.id.is_none());
        let text = match tried {
            None => format!("nobody has connected within {seconds} s"),
            Some(peer) => {
                let last = peer.last_error.map(|error| format!("; {error}")).unwrap_or_default();
                format!("not peered with {} within {seconds} s{last}", peer.network.url)
            }
        };
        Failure::new(Exit::TimedOut, text)
    }

    /// Does some work, and meanwhile shows what happens.
    pub(crate) async fn during<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Stop> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                went_on = self.step() => went_on?,
                done = &mut work => return Ok(done),
            }
        }
    }

    /// Waits for the next thing that happens apart from the work of the command, and sees to it.
    /// Cancel safe.
    pub(crate) async fn step(&mut self) -> Result<(), Stop> {
        tokio::select! {
            biased;
            signal = self.signals.next() => Err(Stop::Signal(signal)),
            Some(event) = self.events.next(), if !self.out.is_full() => {
                self.take(&event);
                self.check_stranded()
            }
            dialled = outcome(&mut self.dialling) => {
                self.dialling = None;
                self.dialled = dialled?;
                Ok(())
            }
            flushed = self.out.flush(), if self.out.is_pending() => Ok(flushed?),
        }
    }

    /// Nothing can come any more if the last peering is over, none comes back and nobody can
    /// connect.
    fn check_stranded(&self) -> Result<(), Stop> {
        let could_change = self.comes_back || !self.settings.listen.is_empty();
        if could_change || self.ended == 0 || !self.peers.is_empty() || self.dialling.is_some() {
            return Ok(());
        }
        let what = "lost the connection to the last peer, and --retry does not ask for another";
        Err(Failure::other(what).into())
    }

    /// Takes note of an event and shows it.
    fn take(&mut self, event: &Event) {
        match (event.status(), event.endpoint()) {
            (Some(StatusCode::PeerAdded), Some(peer)) => {
                self.peers.insert(peer.id);
            }
            (Some(StatusCode::PeerLost | StatusCode::PeerRemoved), Some(peer)) => {
                self.peers.remove(&peer.id);
                self.ended += 1;
            }
            _ => {}
        }
        match &mut self.reporter {
            Some(reporter) => reporter.report(event),
            None => self.out.record(&EventRecord::new(event)),
        }
    }

    /// Ends the peerings in an orderly way, shows the last events and writes the last lines. A
    /// signal cuts that short.
    pub(crate) async fn finish(mut self, outcome: Result<(), Failure>) -> Result<(), Failure> {
        let interrupted = matches!(&outcome, Err(failure) if failure.exit() == Exit::Interrupted);
        let ended = match interrupted {
            true => self.end(Some(LAST_LINES)).await,
            false => self.end(None).await,
        };
        match ended {
            Err(Stop::Signal(_)) => Err(Failure::interrupted()),
            Err(Stop::Failure(failure)) => outcome.and(Err(failure)),
            Ok(()) => outcome,
        }
    }

    async fn end(&mut self, last_lines: Option<Duration>) -> Result<(), Stop> {
        self.dialling = None;
        self.comes_back = true;
        let endpoint = self.endpoint.clone();
        let mut shutdown = pin!(endpoint.shutdown());
        let mut result = Ok(());
        // If the output fails, the peers are still told.
        loop {
            match self.during(&mut shutdown).await {
                Ok(()) => break,
                Err(Stop::Failure(failure)) => result = Err(Stop::Failure(failure)),
                Err(signal) => return Err(signal),
            }
        }
        while let Some(event) = self.events.try_next() {
            self.take(&event);
        }
        self.report_missed();
        let written = async {
            while self.out.is_pending() {
                self.step().await?;
            }
            Ok(())
        };
        match last_lines {
            Some(limit) => timeout(limit, written).await.unwrap_or(Ok(())).and(result),
            None => written.await.and(result),
        }
    }

    fn report_missed(&self) {
        let missed = self.events.missed();
        if missed > 0 {
            crate::output::diagnose(format_args!(
                "{missed} events are missing here, because standard output was read too slowly"
            ));
        }
    }
}

/// What became of the requests; for ever if there are none.
async fn outcome(dialling: &mut Option<Dialling>) -> Result<Vec<EndpointId>, Failure> {
    match dialling {
        Some(dialling) => dialling.await,
        None => std::future::pending().await,
    }
}

/// Ends when this time, counted from the call, is over; never if there is none.
pub(crate) fn elapsed(time: Option<Duration>) -> impl Future<Output = ()> {
    // A time that no clock can show is as good as none.
    let end = time.and_then(|time| Instant::now().checked_add(time));
    async move {
        match end {
            Some(end) => sleep_until(end).await,
            None => std::future::pending().await,
        }
    }
}

/// Refuses what no transport of this program can do, before anything is tried for ever.
fn check_scheme(endpoint: &Endpoint, url: &Url) -> Result<(), Failure> {
    // What stays inside of one process leads nowhere from here.
    let schemes = endpoint.schemes().into_iter().filter(|scheme| *scheme != "mem");
    let schemes: Vec<&str> = schemes.collect();
    if schemes.contains(&url.scheme()) {
        return Ok(());
    }
    let known: Vec<String> = schemes.iter().map(|scheme| format!("{scheme}://")).collect();
    Err(Failure::usage(format!(
        "{url}: this program does not speak {}://, only {}",
        url.scheme(),
        known.join(", ")
    )))
}
