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

/// What the round trips come to. Percentiles are values that occurred: the smallest one that at
/// least so many percent of all do not exceed.
#[derive(Serialize, Debug)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    sent: u32,
    received: usize,
    #[serde(flatten)]
    times: Option<Times>,
}

#[derive(Serialize, Debug, PartialEq, Eq)]
struct Times {
    min_ns: u64,
    p50_ns: u64,
    p90_ns: u64,
    p99_ns: u64,
    max_ns: u64,
}

impl Summary {
    fn new(trips: &mut Trips) -> Self {
        trips.times.sort_unstable();
        Self { sent: trips.sent, received: trips.times.len(), times: Times::of(&trips.times) }
    }
}

impl Times {
    /// Of times in ascending order.
    fn of(times: &[Duration]) -> Option<Self> {
        let percentile = |percent: usize| {
            let rank = (times.len() * percent).div_ceil(100).max(1);
            times.get(rank - 1).map(nanoseconds)
        };
        Some(Self {
            min_ns: percentile(0)?,
            p50_ns: percentile(50)?,
            p90_ns: percentile(90)?,
            p99_ns: percentile(99)?,
            max_ns: percentile(100)?,
        })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} pings answered", self.received, self.sent)?;
        let Some(times) = &self.times else { return Ok(()) };
        let time = Duration::from_nanos;
        let Times { min_ns, p50_ns, p90_ns, p99_ns, max_ns } = *times;
        write!(
            f,
            ": min {:?}, p50 {:?}, p90 {:?}, p99 {:?}, max {:?}",
            time(min_ns),
            time(p50_ns),
            time(p90_ns),
            time(p99_ns),
            time(max_ns)
        )
    }
}

fn nanoseconds(time: &Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(count: u64) -> Option<Times> {
        let times: Vec<Duration> = (1..=count).map(Duration::from_nanos).collect();
        Times::of(&times)
    }

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let expected = |[min_ns, p50_ns, p90_ns, p99_ns, max_ns]: [u64; 5]| {
            Some(Times { min_ns, p50_ns, p90_ns, p99_ns, max_ns })
        };
        assert_eq!(times(0), None);
        assert_eq!(times(1), expected([1, 1, 1, 1, 1]));
        assert_eq!(times(10), expected([1, 5, 9, 10, 10]));
        assert_eq!(times(200), expected([1, 100, 180, 198, 200]));
    }

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
