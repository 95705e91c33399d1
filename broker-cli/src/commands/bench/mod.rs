mod ends;
mod report;

use super::publish::{patient, rate};
use crate::failure::{Exit, Failure};
use crate::options::{EndpointOptions, positive, seconds};
use crate::output::{Format, Need};
use crate::session::{Persistence, Session, Stop, not_connected};
use crate::settings::Settings;
use broker::{Address, Endpoint, OverflowPolicy, SubscriberOptions, SubscriberPolicy};
use clap::Args;
use ends::{Plan, Progress, Received, Sent};
use report::{Arrived, Published, Rates, per_second};
use std::io::IsTerminal;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, sleep, timeout};

/// How often it is looked whether a peer has subscribed, of which no event tells.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How long the last messages of a publisher that has left may take.
const LAST_MESSAGES: Duration = Duration::from_secs(5);

/// Measure a path through nodes
///
/// Publishes at the first --peer and receives at the last one (which may be the same), by two
/// endpoints of their own, and tells throughput, latency and losses. With --publish or --subscribe
/// it is one end only, for two machines: start the subscriber first. The nodes between have to
/// pass the topic on (--forward /broker-bench). Latency of two machines is as good as their
/// clocks; as fast as it goes, it is the time in queues.
///
/// A publisher waits for its peer, unless --overflow says otherwise; nodes between drop for slow
/// peers as they were told to. Ends with 5 if nothing arrives within --wait.
#[derive(Args)]
pub(crate) struct Bench {
    /// Publish only
    #[arg(long, conflicts_with = "subscribe")]
    publish: bool,

    /// Receive only
    #[arg(long)]
    subscribe: bool,

    /// What the messages are about
    #[arg(long, value_name = "TOPIC", default_value = "/broker-bench")]
    topic: String,

    /// Bytes of payload in each message, at least about 30
    #[arg(long, value_name = "BYTES", default_value = "100", value_parser = positive::<u32>)]
    size: u32,

    /// So many messages each second [default: as many as the peer reads]
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<Duration>,

    /// Publish for so long [default: 5, or no end with --count]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    duration: Option<Duration>,

    /// Publish so many messages [default: no end]
    #[arg(long, value_name = "N", value_parser = positive::<u64>)]
    count: Option<u64>,

    /// Tell the rates each time so long is over [default: 1 on a terminal, else never]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    interval: Option<Duration>,

    /// How long to wait for peerings and for the first message, and for the next one while the
    /// measurement goes on [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    wait: Option<Duration>,

    #[command(flatten)]
    endpoint: EndpointOptions,
}

impl Bench {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let settings = self.endpoint.settle_with_peer(OverflowPolicy::Wait)?;
        let settings = patient(settings).into_leaf();
        match (self.publish, self.subscribe) {
            (true, _) => self.publish_only(settings).await,
            (_, true) => self.subscribe_only(settings).await,
            _ => self.both(settings).await,
        }
    }

    fn wait(&self) -> Duration {
        self.wait.unwrap_or(Duration::from_secs(10))
    }

    fn plan(&self) -> Plan {
        let default = if self.count.is_some() { Duration::MAX } else { Duration::from_secs(5) };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Plan {
            topic: self.topic.clone(),
            padding: Plan::padding(usize::try_from(self.size).unwrap_or(usize::MAX)),
            every: self.rate,
            duration: self.duration.unwrap_or(default),
            count: self.count.unwrap_or(u64::MAX),
            // Different from those of others by the time and the process.
            run: now.as_nanos() as u64 ^ u64::from(std::process::id()).rotate_right(16),
        }
    }

    async fn publish_only(&self, settings: Settings) -> Result<(), Failure> {
        let (plan, progress) = (self.plan(), Arc::new(Progress::default()));
        let persistence = Persistence::always(settings.retry);
        let mut session = Session::new(settings, Need::Output)?;
        let outcome = async {
            self.meet(&mut session, persistence).await?;
            self.until_wanted(&mut session, &plan).await?;
            let endpoint = session.endpoint.clone();
            let counted = Arc::clone(&progress);
            let publishing =
                tokio::spawn(async move { ends::publish(endpoint, plan, &counted).await });
            let sent = self.telling(&mut session, &progress, publishing).await?;
            let sent = sent.map_err(|error| Failure::other(error.to_string()))?;
            let sent = sent.map_err(|error| Failure::usage(error.to_string()))?;
            let published = self.confirm(&mut session, &sent).await?;
            session.out.record(&published);
            Ok::<(), Stop>(())
        };
        let outcome = outcome.await;
        session.finish(outcome.map_err(Failure::from)).await
    }

    async fn subscribe_only(&self, settings: Settings) -> Result<(), Failure> {
        let progress = Arc::new(Progress::default());
        let persistence = Persistence::always(settings.retry);
        let mut session = Session::new(settings, Need::Output)?;
        let mut receiving = self.receiving(&session.endpoint, None, &progress)?;
        let outcome = async {
            self.meet(&mut session, persistence).await?;
            let received = match self.telling(&mut session, &progress, &mut receiving).await {
                Ok(received) => received,
                // A publisher that has left said before that it was all.
                Err(Stop::Failure(failure)) => match timeout(LAST_MESSAGES, &mut receiving).await {
                    Ok(received) => received,
                    Err(_) => return Err(failure.into()),
                },
                Err(stop) => return Err(stop),
            };
            let received = received.map_err(|error| Failure::other(error.to_string()))?;
            session.out.record(&Arrived::of(received));
            Ok::<(), Stop>(())
        };
        let outcome = outcome.await;
        session.finish(outcome.map_err(Failure::from)).await
    }

    async fn both(&self, settings: Settings) -> Result<(), Failure> {
        if !settings.listen.is_empty() {
            return Err(Failure::usage("--listen is for one end: --publish or --subscribe"));
        }
        let peers: Vec<Address> = settings.all_peers().cloned().collect();
        let at = |peer: Option<&Address>| {
            let peers = peer.into_iter().cloned().collect();
            Settings { peers, choices: Vec::new(), ..settings.clone() }
        };
        let mut there = at(peers.last());
        // No two endpoints have one id.
        there.config.endpoint_id = None;
        let persistence = Persistence::always(settings.retry);
        let mut publisher = Session::new(at(peers.first()), Need::Output)?;
        let mut session = Session::new(there, Need::Output)?;
        let outcome = self.through(&mut publisher, &mut session, persistence).await;
        let outcome = outcome.map_err(Failure::from);
        let outcome = publisher.finish(outcome).await;
        session.finish(outcome).await
    }

    /// Measures from one end to the other.
    async fn through(
        &self,
        publisher: &mut Session,
        session: &mut Session,
        persistence: Persistence,
    ) -> Result<(), Stop> {
        let (plan, progress) = (self.plan(), Arc::new(Progress::default()));
        let receiving = self.receiving(&session.endpoint, Some(plan.run), &progress)?;
        self.meet(session, persistence).await?;
        self.meet(publisher, persistence).await?;
        let endpoint = publisher.endpoint.clone();
        let greeting = timeout(self.wait(), ends::greet(&endpoint, &plan, &progress));
        let greeted = session.during(publisher.during(greeting)).await??;
        let Ok(greeted) = greeted else {
            let text = format!(
                "nothing arrives within {} s; do the nodes between have --forward {}?",
                self.wait().as_secs_f64(),
                self.topic
            );
            return Err(Failure::new(Exit::TimedOut, text).into());
        };
        greeted.map_err(|error| Failure::usage(error.to_string()))?;
        let counted = Arc::clone(&progress);
        let publishing = tokio::spawn(async move { ends::publish(endpoint, plan, &counted).await });
        let measuring = async {
            let sent = publisher.during(publishing).await?;
            let sent = sent.map_err(|error| Failure::other(error.to_string()))?;
            let sent = sent.map_err(|error| Failure::usage(error.to_string()))?;
            let published = self.confirm(publisher, &sent).await?;
            let received = publisher.during(receiving).await?;
            let received = received.map_err(|error| Failure::other(error.to_string()))?;
            Ok::<(Published, Received), Stop>((published, received))
        };
        let (published, received) = self.telling(session, &progress, measuring).await??;
        session.out.record(&published);
        session.out.record(&Arrived::of(received));
        Ok(())
    }

    fn receiving(
        &self,
        endpoint: &Endpoint,
        run: Option<u64>,
        progress: &Arc<Progress>,
    ) -> Result<tokio::task::JoinHandle<Received>, Failure> {
        let options = SubscriberOptions::with_policy(SubscriberPolicy::Wait);
        let subscriber = endpoint.try_subscribe([&self.topic], options);
        let subscriber = subscriber.map_err(|error| Failure::usage(error.to_string()))?;
        let (silence, progress) = (self.wait(), Arc::clone(progress));
        Ok(tokio::spawn(async move { ends::receive(subscriber, run, silence, &progress).await }))
    }

    /// Waits for the peerings, or for a peer that comes by itself.
    async fn meet(&self, session: &mut Session, persistence: Persistence) -> Result<(), Stop> {
        session.listen().await?;
        session.dial(persistence);
        match session.peerings.asked() {
            true => session.connected(self.wait()).await,
            false => session.meet_a_peer(self.wait()).await,
        }
    }

    /// Waits until a peer has subscribed.
    async fn until_wanted(&self, session: &mut Session, plan: &Plan) -> Result<(), Stop> {
        let endpoint = session.endpoint.clone();
        let is_wanted = || {
            let filters =
                endpoint.peers().into_iter().filter_map(|peer| endpoint.peer_filter(peer.id?));
            filters.flatten().any(|prefix| plan.topic.as_bytes().starts_with(prefix.as_ref()))
        };
        let wanted = async {
            while !is_wanted() {
                sleep(LOOK_AGAIN).await;
            }
        };
        let limit = self.wait();
        match session.during(timeout(limit, wanted)).await? {
            Ok(()) => Ok(()),
            Err(_) if session.peerings.current().is_empty() => {
                Err(not_connected(&session.endpoint, limit).into())
            }
            Err(_) => {
                let seconds = limit.as_secs_f64();
                let text = format!("no peer has subscribed to {} within {seconds} s", plan.topic);
                Err(Failure::new(Exit::TimedOut, text).into())
            }
        }
    }

    /// Does some work, and tells the rates meanwhile.
    async fn telling<T>(
        &self,
        session: &mut Session,
        progress: &Progress,
        work: impl Future<Output = T>,
    ) -> Result<T, Stop> {
        let is_text = self.endpoint.output.format() == Format::Text;
        let default = (is_text && std::io::stdout().is_terminal()).then(|| Duration::from_secs(1));
        let pause = self.interval.or(default).unwrap_or(Duration::MAX);
        let mut work = pin!(work);
        let (mut before, mut at) = ([0; 2], Instant::now());
        loop {
            if let Ok(done) = session.during(timeout(pause, &mut work)).await? {
                return Ok(done);
            }
            let count = [&progress.published, &progress.received];
            let now = count.map(|count| count.load(Ordering::Relaxed));
            let [published, received] = [0, 1].map(|end: usize| {
                let (now, before) = (now.get(end), before.get(end));
                let more = now.zip(before).map_or(0, |(now, before): (&u64, &u64)| now - before);
                per_second(more, at.elapsed())
            });
            session.out.record(&Rates {
                published_per_second: (!self.subscribe).then_some(published),
                received_per_second: (!self.publish).then_some(received),
            });
            (before, at) = (now, Instant::now());
        }
    }

    /// Waits until the peers have read everything.
    async fn confirm(&self, session: &mut Session, sent: &Sent) -> Result<Published, Stop> {
        let endpoint = session.endpoint.clone();
        for peer in session.peerings.current().clone() {
            // The answer to a ping comes after everything that was sent before it was read.
            let answer = session.during(endpoint.ping(peer)).await?;
            answer.map_err(|error| Failure::other(error.to_string()))?;
        }
        let time = sent.begun.elapsed();
        let dropped = endpoint.peering_stats().values().map(|stats| stats.dropped).sum();
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        let size = size.max(ends::least());
        Ok(Published {
            messages: sent.count,
            size,
            seconds: time.as_secs_f64(),
            messages_per_second: per_second(sent.count, time),
            bytes_per_second: per_second(sent.count.saturating_mul(size as u64), time),
            dropped,
        })
    }
}
