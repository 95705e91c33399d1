//! An endpoint as a command uses it: its events are shown while the command does its work, and
//! signals end it in an orderly way.

mod peerings;

pub(crate) use peerings::{Peerings, Persistence, not_connected};

use crate::failure::{Exit, Failure};
use crate::options::{EndpointOptions, Settings};
use crate::output::{EventRecord, Listening, Output, diagnose};
use crate::reporter::Reporter;
use crate::signals::{Hangups, Signal, Signals};
use broker::transport::ListenerProtection;
use broker::{Endpoint, Event, EventStream, Url};
use std::io::IsTerminal;
use std::pin::pin;
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
    hangups: Hangups,
    #[cfg(any(feature = "tls", feature = "quic"))]
    tls: broker::tls::Tls,
    settings: Settings,
    pub(crate) peerings: Peerings,
    /// What is listened at beside the endpoint's own addresses; nothing protects it.
    also_listening: Vec<Url>,
}

impl Session {
    /// Starts an endpoint that nobody can reach yet.
    pub(crate) fn new(options: &EndpointOptions, settings: Settings) -> Result<Self, Failure> {
        let signals = Signals::new()
            .map_err(|error| Failure::other(format!("cannot wait for signals: {error}")))?;
        let reporter = (!options.events).then(|| Reporter::new(settings.config.log_level));
        let transports = settings.transports.clone();
        let limits = &settings.config.limits;
        #[cfg(any(feature = "tls", feature = "quic"))]
        let tls = broker::tls::Tls::new(transports.tls.clone())
            .map_err(|error| Failure::usage(format!("tls: {error}")))?;
        #[cfg(any(feature = "tls", feature = "quic"))]
        let builder = broker::builder_with_tls(limits, transports, &tls);
        #[cfg(not(any(feature = "tls", feature = "quic")))]
        let builder = broker::builder_with(limits, transports);
        let endpoint = builder
            .map_err(|error| Failure::usage(error.to_string()))?
            .config(settings.config.clone())
            .build()
            .map_err(|error| Failure::usage(error.to_string()))?;
        for url in settings.listen.iter().chain(&settings.peers) {
            check_scheme(&endpoint, url)?;
        }
        #[cfg(feature = "ws")]
        for url in &settings.peers {
            crate::ws_options::check(url).map_err(Failure::usage)?;
        }
        let events = endpoint.events();
        #[cfg(any(feature = "tls", feature = "quic"))]
        for warning in tls.warnings() {
            endpoint.log(broker::event::Severity::Warning, "certificates-odd", warning, None);
        }
        Ok(Self {
            events,
            out: Output::new(options.output.format()),
            reporter,
            signals,
            hangups: Hangups::default(),
            #[cfg(any(feature = "tls", feature = "quic"))]
            tls,
            settings,
            also_listening: Vec::new(),
            endpoint,
            peerings: Peerings::default(),
        })
    }

    /// Lets [`Self::listen`] name an address that something else listens at.
    #[cfg(feature = "http")]
    pub(crate) fn also_listening(&mut self, url: &Url) {
        self.also_listening.push(url.clone());
    }

    /// Lets SIGHUP mean that the certificates are to be read again, as services do; on a terminal
    /// it still means that the terminal has gone.
    pub(crate) fn reload_on_hangup(&mut self) -> Result<(), Failure> {
        if std::io::stdin().is_terminal() || std::io::stderr().is_terminal() {
            return Ok(());
        }
        let listening = self.hangups.listen();
        listening.map_err(|error| Failure::other(format!("cannot wait for signals: {error}")))
    }

    /// Reads certificates and keys again. That they are unusable is said by the endpoint.
    async fn reload(&self) {
        #[cfg(any(feature = "tls", feature = "quic"))]
        if !self.tls.is_anonymous() {
            let tls = self.tls.clone();
            // The log has the reason, which it does not repeat for each signal.
            diagnose(match tokio::task::spawn_blocking(move || tls.reload()).await {
                Ok(Ok(())) => "certificates and keys have been read again, for new connections",
                _ => "SIGHUP: certificates or keys are unusable, those read before stay in use",
            });
            return;
        }
        diagnose("SIGHUP: there are no certificates to read again");
    }

    /// Listens where it should, and says where that is, before anything else is said.
    pub(crate) async fn listen(&mut self) -> Result<(), Stop> {
        let forwarding = self.endpoint.forward(&self.settings.forward);
        forwarding.map_err(|error| Failure::usage(format!("forward: {error}")))?;
        for url in self.settings.listen.clone() {
            let bound = self.endpoint.listen(&url).await;
            let bound = bound.map_err(|error| Failure::listening(&error))?;
            self.out.record(&Listening::of(&self.endpoint, &bound));
            self.peerings.accept();
        }
        for url in &self.also_listening {
            self.out.record(&Listening::new(url, &ListenerProtection::Plain));
        }
        Ok(self.out.flush().await?)
    }

    /// Asks for the peerings of the settings. If one cannot be made, [`Self::step`] fails.
    pub(crate) fn dial(&mut self, persistence: Persistence) {
        self.peerings.dial(&self.endpoint, &self.settings.peers, persistence);
    }

    /// Waits until all peerings that were asked for have been made.
    pub(crate) async fn connected(&mut self, limit: Duration) -> Result<(), Stop> {
        let connected = async {
            while !self.peerings.is_complete() {
                self.step().await?;
            }
            Ok(())
        };
        match timeout(limit, connected).await {
            Ok(connected) => connected,
            Err(_) => Err(not_connected(&self.endpoint, limit).into()),
        }
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
            () = self.hangups.next() => {
                self.reload().await;
                Ok(())
            }
            Some(event) = self.events.next(), if !self.out.is_full() => {
                self.take(&event);
                Ok(self.peerings.check()?)
            }
            progress = self.peerings.progress() => Ok(progress?),
            flushed = self.out.flush(), if self.out.is_pending() => Ok(flushed?),
        }
    }

    /// Writes everything, unless a signal comes first.
    pub(crate) async fn flush(&mut self) -> Result<(), Stop> {
        tokio::select! {
            biased;
            signal = self.signals.next() => Err(Stop::Signal(signal)),
            flushed = self.out.flush() => Ok(flushed?),
        }
    }

    /// Takes note of what has happened so far.
    pub(crate) fn catch_up(&mut self) {
        while let Some(event) = self.events.try_next() {
            self.take(&event);
        }
    }

    /// Takes note of an event and shows it.
    fn take(&mut self, event: &Event) {
        self.peerings.note(event);
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
        self.peerings.give_up();
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
        self.catch_up();
        self.report_missed();
        match last_lines {
            Some(limit) => timeout(limit, self.flush()).await.unwrap_or(Ok(())).and(result),
            None => self.flush().await.and(result),
        }
    }

    fn report_missed(&self) {
        let missed = self.events.missed();
        if missed > 0 {
            diagnose(format_args!(
                "{missed} events are missing here: they came faster than standard output took them; \
                 the limit `events` says how many may wait"
            ));
        }
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

/// Refuses what no transport of this program can do, before anything is tried forever.
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
