mod content;
mod pace;
mod publisher;
mod source;

use crate::failure::Failure;
use crate::options::{EndpointOptions, positive, seconds};
use crate::output::{self, Format, Need, Output, diagnose};
use crate::session::{Persistence, Session, Stop};
use crate::settings::Settings;
use crate::zeek::{Words, value_text};
use broker::OverflowPolicy;
use broker::data::View;
use broker::data::zeek::ZeekEventView;
use clap::Args;
use content::Content;
use pace::Pace;
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
    /// the command with 1, when those before it have been published. {{count}} and {{time}} stand
    /// for the number of the message and the time [default: none, the empty value]
    #[arg(allow_negative_numbers = true)]
    value: Vec<String>,

    /// Publish an event of Zeek with this name, with the values behind the topic as its arguments:
    /// 10.0.0.7, 10.0.0.0/8, 22/tcp, 5 (count), -3 (int), 1.5, 250ms, T, Notice::LOG (enum),
    /// '"text"', time:now, TYPE:VALUE as in addr:10.0.0.7, '{a=1, b=2}' (record), '{1, 2}' (set),
    /// '{"k" -> 5}' (table), '[1, 2]' (vector), or JSON. --dry-run shows what they are taken for
    #[arg(long, value_name = "NAME")]
    event: Option<String>,

    /// VALUE is text, not JSON, and so is each line of standard input; arguments of an event that
    /// are bare words are strings
    #[arg(long)]
    string: bool,

    /// Show what would be published, and do not connect
    #[arg(long)]
    dry_run: bool,

    /// Publish VALUE this many times; of standard input, this many lines at most [default: once;
    /// all lines]
    #[arg(long, value_name = "N", value_parser = positive::<u64>)]
    count: Option<u64>,

    /// The time from one message to the next [default: none]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    interval: Option<Duration>,

    /// So many messages each second at most [default: as many as the peers read]
    #[arg(long, value_name = "N", value_parser = rate, conflicts_with = "interval")]
    rate: Option<Duration>,

    /// Publish the lines of standard input with the times between them that their ts say (`sub
    /// --timestamps` records it), so many times as fast: 1x, 10x, 0.5x [default: at once]
    #[arg(long, value_name = "FACTOR", value_parser = pace::speed)]
    #[arg(conflicts_with_all = ["interval", "rate"])]
    speed: Option<f64>,

    /// How long to wait for the peerings, and for the confirmation that everything was read; ends
    /// with 5 if that is too short [default: 10 for the peerings, without end for the rest]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    wait: Option<Duration>,

    #[command(flatten)]
    endpoint: EndpointOptions,
}

impl Pub {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let settings = self.endpoint.settle_with_peer(OverflowPolicy::Wait)?;
        #[cfg_attr(not(feature = "bridge"), allow(unused_mut))]
        let mut settings = patient(settings).into_leaf();
        if self.dry_run {
            let format = settings.output.unwrap_or_else(Format::detect);
            return self.show(format).await;
        }
        let source = self.source()?;
        #[cfg(feature = "bridge")]
        for url in settings.all_peers_mut() {
            let topic =
                source.topic().map(|topic| String::from_utf8_lossy(topic)).unwrap_or_default();
            *url = crate::bridge_options::for_publishing(url.clone(), &topic);
        }
        let persistence = Persistence::always(settings.retry);
        let mut session = Session::new(settings, Need::Output)?;
        let outcome = self.work(&mut session, source, persistence).await;
        session.finish(outcome.map_err(Failure::from)).await
    }

    fn source(&self) -> Result<Source, Failure> {
        let pace = match (self.interval.or(self.rate), self.speed) {
            (Some(time), _) => Pace::Every(time),
            (None, Some(speed)) => Pace::Recorded(speed),
            (None, None) => Pace::Unlimited,
        };
        let values: Vec<&str> = self.value.iter().map(String::as_str).collect();
        match (self.topic.as_str(), &*values) {
            (_, ["-"]) | ("-", _) if self.event.is_some() => Err(Failure::usage(
                "an event of the command line does not come from standard input",
            )),
            ("-", [] | ["-"]) if self.string => Err(Failure::usage(
                "with --string lines are text and have no topic; name one on the command line",
            )),
            ("-", [] | ["-"]) => Source::standard_input(None, false, self.count, pace),
            ("-", _) => {
                Err(Failure::usage("with - for the topic, values come from standard input"))
            }
            (topic, ["-"]) if !topic.is_empty() => {
                Source::standard_input(Some(topic), self.string, self.count, pace)
            }
            _ => {
                // Repeating without an end is meant where there is a time between the messages.
                let endless = self.interval.is_some() || self.rate.is_some();
                let times = self.count.unwrap_or(if endless { u64::MAX } else { 1 });
                Source::argument(self.content()?, times, pace)
            }
        }
    }

    fn content(&self) -> Result<Content, Failure> {
        if self.topic.is_empty() {
            return Err(Failure::usage("the topic is empty"));
        }
        if self.event.is_none() && self.value.len() > 1 {
            return Err(Failure::usage(
                "more than one VALUE; with --event NAME they are the arguments of an event",
            ));
        }
        if self.event.as_ref().is_some_and(String::is_empty) {
            return Err(Failure::usage("the name of the event is empty"));
        }
        Ok(Content {
            topic: self.topic.as_str().into(),
            event: self.event.clone(),
            texts: self.value.clone(),
            words: if self.string { Words::Strings } else { Words::Refused },
        })
    }

    /// Shows what the command line says, and what its arguments are taken for.
    async fn show(&self, format: Format) -> Result<(), Failure> {
        if self.topic == "-" || self.value == ["-"] {
            return Err(Failure::usage("--dry-run is for what the command line says"));
        }
        let item = self.content()?.item(1).map_err(Failure::usage)?;
        let mut out = Output::new(format, Need::Output)?;
        let topic = item.topic.unwrap_or_default();
        let payload = item.value.encode();
        let view = View::parse(&payload).map_err(|error| Failure::usage(error.to_string()))?;
        let mut lines = Vec::new();
        output::message(format, topic.as_ref(), view, false, &mut lines);
        if let (Format::Text, Ok(event)) = (format, ZeekEventView::parse(view)) {
            for (number, arg) in event.args().iter().enumerate() {
                lines.extend_from_slice(
                    format!("  {} {} ", number + 1, arg.kind().name()).as_bytes(),
                );
                value_text(&arg.to_value(), &mut lines);
                lines.push(b'\n');
            }
        }
        out.text(&lines);
        out.flush().await
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
        if source.skipped() > 0 {
            diagnose(format_args!("{} lines of other types were left out", source.skipped()));
        }
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

/// The time between messages of which there are so many each second.
pub(super) fn rate(text: &str) -> Result<Duration, String> {
    let number = text.parse().ok().filter(|number: &f64| *number > 0.0);
    let time = number.and_then(|number| Duration::try_from_secs_f64(1.0 / number).ok());
    time.ok_or_else(|| "a number of messages above zero".to_owned())
}

/// With the policy `wait`, slow readers are not cut for being slow, unless the file says so.
pub(super) fn patient(mut settings: Settings) -> Settings {
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
