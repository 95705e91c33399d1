//! An endpoint as a command uses it: its events are shown while the command does its work, and
//! signals end it in an orderly way.

mod peerings;
mod reconfigure;

pub(crate) use reconfigure::{Drain, Order, Orders};

pub(crate) use peerings::{Peerings, Persistence, not_connected};

use crate::failure::Failure;
use crate::names::Names;
use crate::output::{EventRecord, Format, Listening, Need, Output, diagnose};
use crate::reporter::{Repeats, Reporter, Style};
use crate::settings::Settings;
use crate::signals::{Hangups, Signal, Signals};
use crate::systemd::Supervisor;
use broker::core::transport::ListenerProtection;
use broker::event::{LogId, Severity};
use broker::{Address, Config, Endpoint, Event, EventStream};
use std::io::IsTerminal;
use std::net::IpAddr;
use std::pin::pin;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

/// How long a command that has been told to end tries to get rid of its last lines of output.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The same for lines that peers believe to be received.
const OWED_LINES: Duration = Duration::from_secs(10);

type Reload = JoinHandle<&'static str>;

const NOTHING_TO_RELOAD: &str = "SIGHUP: there are no certificates to read again";

/// Waits until the reading of certificates is done, and takes what is to be said of it; forever if
/// there is none. Cancel safe.
async fn done(reload: &mut Option<Reload>) -> &'static str {
    let Some(reading) = reload else { return std::future::pending().await };
    let said = reading.await;
    *reload = None;
    said.unwrap_or("SIGHUP: reading certificates and keys has failed")
}

/// Why a command stops what it is doing.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It was told to.
    Signal(Signal),
    /// The same, without haste.
    Drain(Drain),
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
            Stop::Signal(_) | Stop::Drain(_) => Self::interrupted(),
            Stop::Failure(failure) => failure,
        }
    }
}

/// An endpoint, and where what happens to it is shown.
pub(crate) struct Session {
    pub(crate) endpoint: Endpoint,
    pub(crate) out: Output,
    need: Need,
    /// Whether a signal has come.
    told_to_end: bool,
    events: EventStream,
    /// The least grave log events that are shown.
    level: Severity,
    pub(crate) names: Names,
    repeats: Repeats,
    reporter: Option<Reporter>,
    signals: Signals,
    hangups: Hangups,
    /// The reading of certificates that the last SIGHUP asked for, until it is done.
    reload: Option<Reload>,
    #[cfg(any(feature = "tls", feature = "quic"))]
    tls: broker::tls::Tls,
    settings: Settings,
    /// Makes the settings anew, for a command that can change them while it runs.
    resettle: Option<reconfigure::Resettle>,
    /// What others tell this command to do.
    orders: Option<Orders>,
    supervisor: Supervisor,
    pub(crate) peerings: Peerings,
    /// What is listened at beside the endpoint's own addresses; nothing protects it.
    also_listening: Vec<Address>,
}

impl Session {
    /// Starts an endpoint that does not listen yet.
    pub(crate) fn new(settings: Settings, need: Need) -> Result<Self, Failure> {
        let signals = Signals::new()
            .map_err(|error| Failure::other(format!("cannot wait for signals: {error}")))?;
        let names = Names::default();
        names.configure(settings.names.clone());
        let style = match need {
            Need::Service => Style::service(settings.log_format),
            Need::Output => Style::Command,
        };
        let level = settings.config.log_level;
        let reporter = (!settings.events).then(|| Reporter::new(level, style, names.clone()));
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
            // A service can be told another level while it runs, so it hears of everything.
            .config(match need {
                Need::Service => Config { log_level: Severity::Debug, ..settings.config.clone() },
                Need::Output => settings.config.clone(),
            })
            .build()
            .map_err(|error| Failure::usage(error.to_string()))?;
        for url in settings.listen.iter().chain(settings.all_peers()) {
            check_scheme(&endpoint, url)?;
        }
        #[cfg(feature = "bridge")]
        for url in settings.all_peers() {
            crate::bridge_options::check(url).map_err(Failure::usage)?;
        }
        let events = endpoint.events();
        #[cfg(any(feature = "tls", feature = "quic"))]
        for warning in tls.warnings() {
            let context = endpoint.service_context();
            context.log(Severity::Warning, LogId::CertificatesOdd, warning, None);
        }
        #[cfg(any(feature = "tls", feature = "quic"))]
        for warning in tls.expiring(std::time::SystemTime::now()) {
            let context = endpoint.service_context();
            context.log(Severity::Warning, LogId::CertificatesExpire, warning, None);
        }
        Ok(Self {
            events,
            out: Output::new(settings.output.unwrap_or_else(Format::detect), need)?,
            level,
            names,
            repeats: Repeats::default(),
            need,
            told_to_end: false,
            reporter,
            signals,
            hangups: Hangups::default(),
            reload: None,
            #[cfg(any(feature = "tls", feature = "quic"))]
            tls,
            settings,
            resettle: None,
            orders: None,
            supervisor: match need {
                Need::Service => Supervisor::from_env(),
                Need::Output => Supervisor::default(),
            },
            also_listening: Vec::new(),
            endpoint,
            peerings: Peerings::default(),
        })
    }

    /// Lets [`Self::listen`] name an address that something else listens at.
    #[cfg(feature = "http")]
    pub(crate) fn also_listening(&mut self, url: &Address) {
        self.also_listening.push(url.clone());
    }

    /// The bridges of the endpoint.
    #[cfg(feature = "http")]
    pub(crate) fn bridges(&self) -> crate::http::BridgeList {
        crate::http::BridgeList {
            #[cfg(feature = "bridge")]
            bridges: self.settings.transports.bridges.clone(),
        }
    }

    /// The certificates of the endpoint.
    #[cfg(feature = "http")]
    pub(crate) fn certificates(&self) -> crate::http::Certificates {
        crate::http::Certificates {
            #[cfg(any(feature = "tls", feature = "quic"))]
            tls: Some(self.tls.clone()),
        }
    }

    /// Makes SIGHUP read the certificates again, as in other services; with a terminal it still
    /// means that the terminal is closed.
    pub(crate) fn reload_on_hangup(&mut self) -> Result<(), Failure> {
        if std::io::stdin().is_terminal() || std::io::stderr().is_terminal() {
            return Ok(());
        }
        let listening = self.hangups.listen();
        listening.map_err(|error| Failure::other(format!("cannot wait for signals: {error}")))
    }

    /// Starts to read certificates and keys again, and returns what to report when that is done.
    /// Reading a file can block forever (a FIFO, a network file system), so it gets a thread.
    #[cfg(any(feature = "tls", feature = "quic"))]
    fn reload(&self) -> Reload {
        let tls = self.tls.clone();
        tokio::task::spawn_blocking(move || {
            if tls.is_anonymous() {
                return NOTHING_TO_RELOAD;
            }
            // The log has the reason, which it does not repeat for each signal.
            match tls.reload() {
                Ok(()) => "certificates and keys have been read again, for new connections",
                Err(_) => {
                    "SIGHUP: certificates or keys are unusable, those read before stay in use"
                }
            }
        })
    }

    #[cfg(not(any(feature = "tls", feature = "quic")))]
    fn reload(&self) -> Reload {
        tokio::task::spawn_blocking(|| NOTHING_TO_RELOAD)
    }

    /// Listens where it should, and says where that is, before anything else is said.
    pub(crate) async fn listen(&mut self) -> Result<(), Stop> {
        let forwarding = self.endpoint.forward(&self.settings.forward);
        forwarding.map_err(|error| Failure::usage(format!("forward: {error}")))?;
        for url in self.settings.listen.clone() {
            let bound = self.endpoint.listen(&url).await;
            let bound = bound.map_err(|error| Failure::listening(&error))?;
            let listening = Listening::of(&self.endpoint, &bound);
            self.out.record(&listening);
            self.peerings.accept();
            if let Some(warning) = unprotected(&bound, listening.protection()) {
                let context = self.endpoint.service_context();
                context.log(Severity::Warning, LogId::UnprotectedListener, warning, None);
            }
        }
        for url in &self.also_listening {
            self.out.record(&Listening::new(url, ListenerProtection::Plain));
        }
        #[cfg(all(unix, feature = "tcp"))]
        crate::systemd::check_taken()?;
        self.supervisor.ready();
        match self.need {
            Need::Output => self.flush().await,
            // It is written before everything else, but there is no need to wait for that.
            Need::Service => Ok(()),
        }
    }

    /// Asks for the peerings of the settings. If one cannot be made, [`Self::step`] fails.
    pub(crate) fn dial(&mut self, persistence: Persistence) {
        let Settings { peers, choices, .. } = &self.settings;
        self.peerings.dial(&self.endpoint, peers, choices, persistence);
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

    /// Waits until there is a peer at all, for endpoints that only listen.
    pub(crate) async fn meet_a_peer(&mut self, limit: Duration) -> Result<(), Stop> {
        let met = async {
            while self.peerings.current().is_empty() && self.endpoint.client_count() == 0 {
                self.step().await?;
            }
            Ok(())
        };
        match timeout(limit, met).await {
            Ok(met) => met,
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
            signal = self.signals.next() => Err(self.told(signal)),
            () = self.hangups.next(), if self.reload.is_none() => {
                self.supervisor.reloading();
                self.reload = Some(self.reload());
                // What was done, or why not, has been said.
                let _ = self.reload_settings().await;
                Ok(())
            }
            order = reconfigure::next(&mut self.orders) => self.obey(order).await,
            said = done(&mut self.reload) => {
                self.hide_renewal(true);
                self.catch_up();
                self.hide_renewal(false);
                diagnose(said);
                self.supervisor.ready();
                Ok(())
            }
            () = self.supervisor.progress(&self.endpoint) => {
                self.supervisor.report(&self.endpoint);
                Ok(())
            }
            Some(event) = self.events.next() => {
                self.take(&event);
                Ok(self.peerings.check()?)
            }
            progress = self.peerings.progress() => Ok(progress?),
            flushed = self.out.flush(), if self.out.is_pending() => Ok(flushed?),
        }
    }

    /// Waits until there is room for more lines, and meanwhile shows what happens.
    pub(crate) async fn room(&mut self) -> Result<(), Stop> {
        while self.out.is_full() {
            self.step().await?;
        }
        Ok(())
    }

    /// Writes lines that peers believe to be received, unless a signal comes first or it takes too
    /// long; the rest is lost then. Returns whether there is time for more.
    pub(crate) async fn flush_owed(&mut self, until: Instant) -> Result<bool, Stop> {
        let limit = until.saturating_duration_since(Instant::now());
        tokio::select! {
            biased;
            signal = self.signals.next() => Err(self.told(signal)),
            has_time = self.out.flush_within(limit) => Ok(has_time?),
        }
    }

    /// When lines that are owed have to be written, if that begins now.
    pub(crate) fn owed_until() -> Instant {
        Instant::now() + OWED_LINES
    }

    /// What the answer to a signal says does not have to be said by the log as well.
    fn hide_renewal(&mut self, is_hidden: bool) {
        if let Some(reporter) = &mut self.reporter {
            reporter.hide_renewal(is_hidden);
        }
    }

    fn told(&mut self, signal: Signal) -> Stop {
        self.told_to_end = true;
        Stop::Signal(signal)
    }

    /// Writes everything, unless a signal comes first. Does not wait for long after a signal, and
    /// where output is not what the command is for.
    async fn flush(&mut self) -> Result<(), Stop> {
        let limit = match self.told_to_end || self.need == Need::Service {
            true => LAST_LINES,
            false => Duration::MAX,
        };
        tokio::select! {
            biased;
            signal = self.signals.next() => Err(self.told(signal)),
            flushed = self.out.flush_within(limit) => Ok(flushed.map(drop)?),
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
            Some(reporter) => reporter.report(event, self.peerings.comes_back()),
            None => {
                let is_repeated = |repeats: &mut Repeats, text: &str| {
                    repeats.worth_saying(text.to_owned(), std::time::Instant::now()).is_none()
                };
                match event {
                    Event::Log(log) if log.level > self.level => {}
                    Event::Error(error) if is_repeated(&mut self.repeats, &error.message) => {}
                    event => self.out.record(&EventRecord::new(event)),
                }
            }
        }
    }

    /// Sends the peers elsewhere, and meanwhile shows what happens. A signal cuts that short.
    pub(crate) async fn drain(&mut self, drain: Drain) -> Result<(), Stop> {
        self.supervisor.stopping();
        self.peerings.give_up();
        let endpoint = self.endpoint.clone();
        self.during(endpoint.drain(drain.over, drain.within)).await
    }

    /// Ends the peerings in an orderly way, shows the last events and writes the last lines. A
    /// signal cuts that short.
    pub(crate) async fn finish(mut self, outcome: Result<(), Failure>) -> Result<(), Failure> {
        match self.end().await {
            Err(Stop::Failure(failure)) => outcome.and(Err(failure)),
            Err(stop) => Err(stop.into()),
            Ok(()) => outcome,
        }
    }

    async fn end(&mut self) -> Result<(), Stop> {
        self.supervisor.stopping();
        self.peerings.give_up();
        let endpoint = self.endpoint.clone();
        let mut shutdown = pin!(endpoint.shutdown());
        let mut result = Ok(());
        // If the output fails, the peers are still told.
        loop {
            match self.during(&mut shutdown).await {
                Ok(()) => break,
                Err(Stop::Failure(failure)) => result = Err(Stop::Failure(failure)),
                Err(stop) => return Err(stop),
            }
        }
        self.catch_up();
        self.report_missed();
        self.flush().await.and(result)
    }

    fn report_missed(&self) {
        let missed = self.events.missed();
        if missed > 0 {
            diagnose(format_args!(
                "{missed} events are missing here: they came faster than standard output took them; \
                 the limit `events` says how many may wait"
            ));
        }
        let missed = self.endpoint.missed();
        if missed > 0 && self.need == Need::Output {
            diagnose(format_args!(
                "{missed} messages for this command were dropped by its peers, as it did not read \
                 fast enough"
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

/// What to say about a listener that others than this machine reach, and that protects nothing.
fn unprotected(url: &Address, protection: &ListenerProtection) -> Option<String> {
    let is_local = match url.host().parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => url.host() == "localhost",
    };
    if is_local || *protection != ListenerProtection::Plain {
        return None;
    }
    let protected = if url.scheme() == "ws" { "wss" } else { "tls" };
    Some(format!(
        "{url}: others on the path of a link can read and change what it carries, and everybody \
         who reaches this address can become a peer; use {protected}:// with certificates or pinned keys, \
         or listen on 127.0.0.1"
    ))
}

/// Refuses what no transport of this program can do, before anything is tried forever.
fn check_scheme(endpoint: &Endpoint, url: &Address) -> Result<(), Failure> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unprotected_listener_beyond_this_machine_is_warned_of() {
        let encrypted = ListenerProtection::Authenticated("certificates");
        for (url, protection, advice) in [
            ("tcp://0.0.0.0:1", ListenerProtection::Plain, Some("use tls://")),
            ("tcp://[::]:1", ListenerProtection::Plain, Some("use tls://")),
            ("tcp://192.0.2.1:1", ListenerProtection::Plain, Some("use tls://")),
            ("tcp://sensor.example:1", ListenerProtection::Plain, Some("use tls://")),
            ("ws://0.0.0.0:1", ListenerProtection::Plain, Some("use wss://")),
            ("tcp://127.0.0.2:1", ListenerProtection::Plain, None),
            ("tcp://[::1]:1", ListenerProtection::Plain, None),
            ("tcp://[::ffff:127.0.0.1]:1", ListenerProtection::Plain, None),
            ("tcp://localhost:1", ListenerProtection::Plain, None),
            ("tls://0.0.0.0:1", encrypted, None),
        ] {
            let warning = unprotected(&url.parse().unwrap(), &protection);
            assert_eq!(warning.is_some(), advice.is_some(), "{url}: {warning:?}");
            assert!(warning.unwrap_or_default().contains(advice.unwrap_or_default()), "{url}");
        }
    }
}
