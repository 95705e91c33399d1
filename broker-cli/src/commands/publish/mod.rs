mod publisher;
mod source;

use crate::failure::Failure;
use crate::options::{EndpointOptions, positive, seconds};
use crate::output::{Need, diagnose};
use crate::session::{Persistence, Session, Stop};
use crate::settings::Settings;
use broker::OverflowPolicy;
use clap::Args;
use publisher::Publisher;
use source::Source;
use std::time::Duration;

/// How long to wait for peers.
const WAIT: Duration = Duration::from_secs(10);

/// Publish values, and make sure that the peers got them
///
/// Waits for all peerings; with --listen alone, for a peer that has subscribed. The first attempt
/// to peer has to succeed (3 and 4 if not) unless --retry says otherwise. Then publishes, waits
/// until every peer has confirmed that it has read everything, and ends the peerings. If nobody had
/// subscribed, it says so and ends with 0; if a peer was lost before it had confirmed, or a server
/// of the JSON API refused something, with 1.
///
/// A publisher that is faster than a peer waits for it, unless --overflow says otherwise: forever
/// if the peer takes nothing any more, unless the configuration sets the limit stalled-write.
#[derive(Args)]
pub(crate) struct Pub {
    /// What the values are about; - to read data messages from standard input, one per line, that
    /// say themselves what they are about
    topic: String,

    /// JSON: a value with @data-type and data, a data message (whose topic then counts), or plain
    /// JSON: a number is a count, with a minus sign an integer, with a fraction a real; an array is
    /// a vector and an object a table. - to read one per line of standard input; a wrong line ends
    /// the command with 1, when those before it have been published [default: none, the empty
    /// value]
    #[arg(allow_negative_numbers = true)]
    value: Option<String>,

    /// Publish VALUE this many times; of standard input, this many lines at most [default: once;
    /// all lines]
    #[arg(long, value_name = "N", value_parser = positive::<u64>)]
    count: Option<u64>,

    /// How long to wait for the peerings, and for the confirmation that everything was read; ends
    /// with 5 if that is too short [default: 10 for the peerings, without end for the rest]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    wait: Option<Duration>,

    #[command(flatten)]
    endpoint: EndpointOptions,
}

impl Pub {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        #[cfg_attr(not(feature = "ws"), allow(unused_mut))]
        let mut settings = patient(self.endpoint.settle(OverflowPolicy::Wait)?).as_leaf();
        if settings.listen.is_empty() && settings.peers.is_empty() {
            return Err(Failure::usage("nobody to publish to; give --peer or --listen"));
        }
        let source = self.source()?;
        #[cfg(feature = "ws")]
        for url in &mut settings.peers {
            let topic =
                source.topic().map(|topic| String::from_utf8_lossy(topic)).unwrap_or_default();
            *url = crate::ws_options::for_publishing(url.clone(), &topic);
        }
        let persistence = Persistence::always(settings.retry);
        let mut session = Session::new(&self.endpoint, settings, Need::Output)?;
        let outcome = self.work(&mut session, source, persistence).await;
        session.finish(outcome.map_err(Failure::from)).await
    }

    fn source(&self) -> Result<Source, Failure> {
        match (self.topic.as_str(), self.value.as_deref()) {
            ("-", None | Some("-")) => Source::standard_input(None, self.count),
            ("-", Some(_)) => {
                Err(Failure::usage("with - for the topic, values come from standard input"))
            }
            ("", _) => Err(Failure::usage("the topic is empty")),
            (topic, Some("-")) => Source::standard_input(Some(topic), self.count),
            (topic, value) => Source::argument(topic, value, self.count.unwrap_or(1)),
        }
    }

    async fn work(
        &self,
        session: &mut Session,
        mut source: Source,
        persistence: Persistence,
    ) -> Result<(), Stop> {
        session.listen().await?;
        session.dial(persistence);
        let mut publisher = Publisher::new(session);
        publisher.meet(self.wait.unwrap_or(WAIT), source.topic()).await?;
        let published = publisher.publish_all(&mut source).await;
        publisher.report();
        let Err(failure) = published? else { return publisher.confirm(self.wait).await };
        if !publisher.has_published() {
            return Err(failure.into());
        }
        // What was published before a wrong line has to arrive all the same, which may take long.
        diagnose(&failure);
        publisher.confirm(self.wait).await?;
        Err(Failure::new(failure.exit(), "").into())
    }
}

/// With the policy `wait`, slow readers are not cut for being slow, unless the file says so.
fn patient(mut settings: Settings) -> Settings {
    let waits = settings.config.overflow_policy == OverflowPolicy::Wait;
    if waits && !settings.names_stalled_write {
        settings.config.limits.stalled_write = Duration::ZERO;
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;
    use broker::Config;

    #[test]
    fn waiting_for_slow_readers_does_not_cut_them_unless_the_file_says_so() {
        let limit = |overflow_policy, names_stalled_write| {
            let config = Config { overflow_policy, ..Config::default() };
            let settings = Settings { config, names_stalled_write, ..Settings::default() };
            patient(settings).config.limits.stalled_write
        };
        let default = Config::default().limits.stalled_write;
        assert!(!default.is_zero());
        assert_eq!(limit(OverflowPolicy::Wait, false), Duration::ZERO);
        assert_eq!(limit(OverflowPolicy::Wait, true), default);
        assert_eq!(limit(OverflowPolicy::DropOldest, false), default);
    }
}
