use crate::failure::{Exit, Failure};
use crate::options::{EndpointOptions, seconds};
use crate::output::Need;
use crate::session::{Persistence, Session, Stop};
use crate::zeek::{Pattern, Words, argument};
use broker::data::Value;
use broker::data::zeek::{ZeekEvent, ZeekEventView};
use broker::{Message, OverflowPolicy, Subscriber, SubscriberOptions, SubscriberPolicy};
use clap::Args;
use std::time::Duration;
use tokio::time::timeout;

/// How long to wait for the peerings and for the answer.
const WAIT: Duration = Duration::from_secs(10);

/// Publish an event and print the first one that answers
///
/// The protocol knows no answers, so --reply says which event is one, and --reply-topic where it
/// comes. Ends with 0 when it has come and with 5 if it has not come in time. Peerings are made as
/// by `pub`.
#[derive(Args)]
pub(crate) struct Call {
    /// The topic of the event
    topic: String,

    /// The name of the event
    #[arg(long, value_name = "NAME")]
    event: String,

    /// Its arguments, as with `pub --event`
    #[arg(value_name = "ARG", allow_negative_numbers = true)]
    args: Vec<String>,

    /// The name of the event that answers, or a pattern [default: any event]
    #[arg(long, value_name = "NAME", default_value = "*", hide_default_value = true)]
    reply: Pattern,

    /// The answer comes on a topic with this prefix [default: TOPIC]
    #[arg(long, value_name = "PREFIX")]
    reply_topic: Option<String>,

    /// Arguments that are bare words are strings
    #[arg(long)]
    string: bool,

    /// How long to wait for the peerings, and then for the answer [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    wait: Option<Duration>,

    #[command(flatten)]
    endpoint: EndpointOptions,
}

impl Call {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let settings = self.endpoint.settle_with_peer(OverflowPolicy::Wait)?;
        if self.topic.is_empty() || self.event.is_empty() {
            return Err(Failure::usage("a topic and the name of an event are not empty"));
        }
        let words = if self.string { Words::Strings } else { Words::Refused };
        let args: Result<Vec<_>, _> = self.args.iter().map(|arg| argument(arg, words)).collect();
        let event =
            ZeekEvent { args: args.map_err(Failure::usage)?, ..ZeekEvent::new(&*self.event) };
        let persistence = Persistence::always(settings.retry);
        let mut session = Session::new(settings, Need::Output)?;
        let prefix = self.reply_topic.as_ref().unwrap_or(&self.topic);
        let options = SubscriberOptions::with_policy(SubscriberPolicy::DropOldest);
        let answers = session.endpoint.try_subscribe([prefix], options);
        let answers = answers.map_err(|error| Failure::usage(error.to_string()))?;
        let outcome = self.ask(&mut session, &Value::from(event), answers, persistence).await;
        session.finish(outcome.map_err(Failure::from)).await
    }

    async fn ask(
        &self,
        session: &mut Session,
        event: &Value,
        mut answers: Subscriber,
        persistence: Persistence,
    ) -> Result<(), Stop> {
        let limit = self.wait.unwrap_or(WAIT);
        session.listen().await?;
        session.dial(persistence);
        session.connected(limit).await?;
        session.meet_a_peer(limit).await?;
        let endpoint = session.endpoint.clone();
        let published = session.during(endpoint.publish(&self.topic, event)).await?;
        published.map_err(|error| Failure::usage(error.to_string()))?;
        let answer = session.during(timeout(limit, self.answer(&mut answers))).await?;
        match answer {
            Ok(Some(answer)) => {
                session.out.message(&answer);
                Ok(())
            }
            Ok(None) => Err(Failure::other("the endpoint has shut down").into()),
            Err(_) => {
                let text = format!("no answer within {} s", limit.as_secs_f64());
                Err(Failure::new(Exit::TimedOut, text).into())
            }
        }
    }

    async fn answer(&self, answers: &mut Subscriber) -> Option<Message> {
        loop {
            let message = answers.recv().await?;
            let event = ZeekEventView::parse(message.view());
            if event.is_ok_and(|event| self.reply.matches(event.name())) {
                return Some(message);
            }
        }
    }
}
