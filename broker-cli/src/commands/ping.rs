use super::times::{Times, nanoseconds};
use crate::failure::{Exit, Failure};
use crate::options::{EndpointOptions, UrlParser, dialable, positive, seconds};
use crate::output::Need;
use crate::session::{Persistence, Session, Stop};
use broker::PingError;
use broker::{Address, OverflowPolicy};
use clap::Args;
use serde::Serialize;
use std::fmt;
use std::time::Duration;
use tokio::time::error::Elapsed;
use tokio::time::{sleep, timeout};

/// Measure the time to a peer and back
///
/// Peers with the address and sends pings of the protocol, which every implementation answers; each
/// waits behind what is queued for the peer. Prints each round trip and a summary. Ends with 5 if a
/// ping is not answered in time.
#[derive(Args)]
pub(crate) struct Ping {
    /// The peer
    #[arg(value_parser = UrlParser::default())]
    url: Address,

    /// How many pings [default: 5]
    #[arg(long, value_name = "N", value_parser = positive::<u32>)]
    count: Option<u32>,

    /// The time from an answer to the next ping [default: 0.2]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    interval: Option<Duration>,

    /// How long to wait for the peering, and for each answer [default: 5]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    wait: Option<Duration>,

    #[command(flatten)]
    endpoint: EndpointOptions,
}

/// The round trips so far.
#[derive(Default)]
struct Trips {
    sent: u32,
    times: Vec<Duration>,
}

impl Ping {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let mut settings = self.endpoint.settle(OverflowPolicy::default())?.into_leaf();
        settings.peers.insert(0, dialable(self.url.clone()));
        let persistence = Persistence::always(settings.retry);
        let mut session = Session::new(settings, Need::Output)?;
        let mut trips = Trips::default();
        let outcome = self.measure(&mut session, persistence, &mut trips).await;
        if trips.sent > 0 {
            session.out.record(&Summary::new(&mut trips));
        }
        let outcome = outcome.map_err(Failure::from).and_then(|()| trips.judge());
        session.finish(outcome).await
    }

    async fn measure(
        &self,
        session: &mut Session,
        persistence: Persistence,
        trips: &mut Trips,
    ) -> Result<(), Stop> {
        let limit = self.wait.unwrap_or(Duration::from_secs(5));
        let interval = self.interval.unwrap_or(Duration::from_millis(200));
        session.listen().await?;
        session.dial(persistence);
        session.connected(limit).await?;
        let Some(&peer) = session.peerings.dialled().first() else { return Ok(()) };
        let endpoint = session.endpoint.clone();
        for seq in 1..=self.count.unwrap_or(5) {
            if seq > 1 {
                session.during(sleep(interval)).await?;
            }
            trips.sent = seq;
            let answer = session.during(timeout(limit, endpoint.ping(peer))).await?;
            session.out.record(&Trip::new(seq, &answer, limit));
            session.room().await?;
            match answer {
                Ok(Ok(time)) => trips.times.push(time),
                Ok(Err(error)) => return Err(Failure::other(error.to_string()).into()),
                Err(_) => {}
            }
        }
        Ok(())
    }
}

impl Trips {
    fn judge(&self) -> Result<(), Failure> {
        let answered = self.times.len();
        if answered == self.sent as usize {
            return Ok(());
        }
        let text = format!("{answered} of {} pings were answered in time", self.sent);
        Err(Failure::new(Exit::TimedOut, text))
    }
}

/// One round trip, or what became of it.
#[derive(Serialize)]
#[serde(tag = "type", rename = "ping")]
struct Trip {
    seq: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    rtt_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Trip {
    fn new(
        seq: u32,
        answer: &Result<Result<Duration, PingError>, Elapsed>,
        limit: Duration,
    ) -> Self {
        let (rtt_ns, error) = match answer {
            Ok(Ok(time)) => (Some(nanoseconds(time)), None),
            Ok(Err(error)) => (None, Some(error.to_string())),
            Err(_) => (None, Some(format!("no answer within {} s", limit.as_secs_f64()))),
        };
        Self { seq, rtt_ns, error }
    }
}

impl fmt::Display for Trip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.rtt_ns, &self.error) {
            (Some(time), _) => write!(f, "ping {}: {:?}", self.seq, Duration::from_nanos(time)),
            (None, error) => write!(f, "ping {}: {}", self.seq, error.as_deref().unwrap_or("?")),
        }
    }
}

/// What the round trips come to.
#[derive(Serialize, Debug)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    sent: u32,
    received: usize,
    #[serde(flatten)]
    times: Option<Times>,
}

impl Summary {
    fn new(trips: &mut Trips) -> Self {
        trips.times.sort_unstable();
        Self { sent: trips.sent, received: trips.times.len(), times: Times::of(&trips.times) }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} pings answered", self.received, self.sent)?;
        self.times.iter().try_for_each(|times| write!(f, ": {times}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unanswered_pings_are_a_timeout() {
        let time = Duration::from_nanos(1);
        assert_eq!(Trips { sent: 2, times: vec![time; 2] }.judge(), Ok(()));
        let failure = Trips { sent: 2, times: vec![time] }.judge().unwrap_err();
        assert_eq!(failure.exit(), Exit::TimedOut);
        assert_eq!(failure.to_string(), "1 of 2 pings were answered in time");
    }

    #[test]
    fn a_summary_without_answers_has_no_times() {
        let summary = Summary::new(&mut Trips { sent: 2, times: Vec::new() });
        let json = serde_json::to_string(&summary).unwrap();
        assert_eq!(json, r#"{"type":"summary","sent":2,"received":0}"#);
        assert_eq!(summary.to_string(), "0 of 2 pings answered");
    }
}
