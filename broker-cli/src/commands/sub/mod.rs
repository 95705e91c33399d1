mod printer;

use crate::failure::{Exit, Failure};
use crate::options::{EndpointOptions, positive, seconds};
use crate::output::{Format, Need, Output, Reader, diagnose};
use crate::session::{Persistence, Session, Stop, elapsed, not_connected};
use crate::signals::Signal;
use crate::zeek::{LogForm, Pattern, Rows};
use broker::{Message, OverflowPolicy, Subscriber, SubscriberOptions, SubscriberPolicy};
use clap::Args;
use printer::Printer;
use std::pin::pin;
use std::time::Duration;

/// The time after which a lost peering is tried again, as in Zeek.
const COME_BACK: Duration = Duration::from_secs(1);

/// Receive messages and print them, one line each
///
/// A data message of the JSON form, or as text "TOPIC: NAME(ARGUMENTS)" for events of Zeek and
/// "TOPIC: VALUE" for others. If standard output is read slowly,
/// the peers are read slowly as well; nothing is dropped at this end.
///
/// The first attempt to peer has to succeed (3 and 4 if not), after a loss it comes back every
/// second; --retry sets one time for both. Ends with 0 after --count messages, with 5 if --wait is
/// over before. Without --count it ends with 0 when --wait is over (5 if it never was peered) or on
/// SIGTERM.
#[derive(Args)]
pub(crate) struct Sub {
    /// Topics that begin with one of these; '' is every topic
    #[arg(required = true, value_name = "PREFIX")]
    prefixes: Vec<String>,

    /// End after this many messages [default: no end]
    #[arg(long, value_name = "N", value_parser = positive::<u64>)]
    count: Option<u64>,

    /// End after this time, counted from the start [default: no end]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    wait: Option<Duration>,

    /// Print only events of Zeek with this name, or a pattern as in 'Notice::*'; may be repeated.
    /// --count counts these [default: everything]
    #[arg(long, value_name = "NAME")]
    event: Vec<Pattern>,

    /// Print only the records of log streams, as rows with the names of their fields: json, or tsv
    /// as in Zeek's own files [default form: json]
    #[arg(long, value_name = "FORM", value_enum, num_args = 0..=1, default_missing_value = "json")]
    #[arg(conflicts_with = "event", require_equals = true, hide_possible_values = true)]
    logs: Option<LogForm>,

    /// Say of each message when it was received: a member ts, which `pub - --speed` goes by, or a
    /// time in front of the text
    #[arg(long)]
    timestamps: bool,

    #[command(flatten)]
    endpoint: EndpointOptions,
}

impl Sub {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let settings = self.endpoint.settle_with_peer(OverflowPolicy::default())?.into_leaf();
        let persistence = match settings.retry {
            None => Persistence { at_first: None, after_loss: Some(COME_BACK) },
            retry => Persistence::always(retry),
        };
        let format = settings.output.unwrap_or_else(Format::detect);
        let mut session = Session::new(settings, Need::Output)?;
        let options = SubscriberOptions::with_policy(SubscriberPolicy::Wait);
        let subscriber = session.endpoint.try_subscribe(&self.prefixes, options);
        let subscriber = subscriber.map_err(|error| Failure::usage(error.to_string()))?;
        let mut receiver = Receiver {
            printer: Printer::new(
                format,
                self.event.clone(),
                self.logs.map(Rows::new),
                self.timestamps,
            ),
            subscriber,
            received: 0,
            count: self.count,
        };
        let outcome = self.receive(&mut session, &mut receiver, persistence).await;
        let outcome = match receiver.is_owed_the_rest(&outcome) {
            true => receiver.print_the_rest(&mut session, &self.prefixes).await.unwrap_or(outcome),
            false => outcome,
        };
        let outcome = self.judge(outcome, receiver.received);
        // Peers that wait for this end to read on have to be heard for the shutdown.
        drop(receiver);
        session.finish(outcome).await
    }

    async fn receive(
        &self,
        session: &mut Session,
        receiver: &mut Receiver,
        persistence: Persistence,
    ) -> Result<End, Stop> {
        let mut end = pin!(elapsed(self.wait));
        let reader = Reader::watch();
        session.listen().await?;
        session.dial(persistence);
        loop {
            if receiver.print_what_fits(&mut session.out) {
                return Ok(End::Counted);
            }
            let has_room = !session.out.is_full();
            tokio::select! {
                biased;
                went_on = session.step() => went_on?,
                () = &mut end => {
                    let limit = self.wait.unwrap_or_default();
                    let peerings = &session.peerings;
                    return match peerings.is_complete() && peerings.has_met_anybody() {
                        true => Ok(End::Elapsed),
                        false => Err(not_connected(&session.endpoint, limit).into()),
                    };
                }
                () = reader.gone() => return Err(Failure::closed_pipe().into()),
                Some(message) = receiver.subscriber.recv(), if has_room => {
                    if receiver.print(&message, &mut session.out) {
                        return Ok(End::Counted);
                    }
                }
            }
        }
    }

    /// How the command ends, after what has happened.
    fn judge(&self, outcome: Result<End, Stop>, received: u64) -> Result<(), Failure> {
        match (outcome, self.count) {
            (Ok(End::Counted), _) | (Ok(End::Elapsed), None) => Ok(()),
            (Err(Stop::Signal(Signal::Terminate)), None) => Ok(()),
            (Ok(End::Elapsed), Some(count)) => Err(Failure::new(
                Exit::TimedOut,
                format!(
                    "received {received} of {count} messages within {} s",
                    self.wait.unwrap_or_default().as_secs_f64()
                ),
            )),
            (Err(stop), _) => Err(stop.into()),
        }
    }
}

/// Why there is nothing left to do.
enum End {
    Counted,
    Elapsed,
}

struct Receiver {
    printer: Printer,
    subscriber: Subscriber,
    received: u64,
    count: Option<u64>,
}

impl Receiver {
    /// Prints a message. Returns whether it was the last one wanted.
    fn print(&mut self, message: &Message, out: &mut Output) -> bool {
        self.received += self.printer.print(message, out);
        self.count.is_some_and(|count| self.received >= count)
    }

    /// Prints what has been received, until the output has to be written. Returns whether the last
    /// one wanted was among it.
    fn print_what_fits(&mut self, out: &mut Output) -> bool {
        while !out.is_full()
            && let Ok(message) = self.subscriber.try_recv()
        {
            if self.print(&message, out) {
                return true;
            }
        }
        false
    }

    /// Whether messages that peers believe to be received still have to be printed.
    fn is_owed_the_rest(&self, outcome: &Result<End, Stop>) -> bool {
        match outcome {
            Ok(End::Counted) | Err(Stop::Signal(Signal::Interrupt)) => false,
            Ok(End::Elapsed) | Err(Stop::Signal(Signal::Terminate) | Stop::Drain(_)) => true,
            Err(Stop::Failure(failure)) => failure.exit() != Exit::Ok,
        }
    }

    /// Prints what has been received before now. Returns what ends the command in place of the
    /// reason there was before, if anything does.
    async fn print_the_rest(
        &mut self,
        session: &mut Session,
        prefixes: &[String],
    ) -> Option<Result<End, Stop>> {
        self.subscriber.remove(prefixes);
        let until = Session::owed_until();
        loop {
            if self.print_what_fits(&mut session.out) {
                return Some(Ok(End::Counted));
            }
            let is_last = !session.out.is_full();
            match session.flush_owed(until).await {
                Err(stop) => return Some(Err(stop)),
                Ok(true) if is_last => return None,
                Ok(true) => {}
                Ok(false) => {
                    let rest = std::iter::from_fn(|| self.subscriber.try_recv().ok()).count();
                    diagnose(format_args!("{rest} messages were received and are not printed"));
                    return None;
                }
            }
        }
    }
}
