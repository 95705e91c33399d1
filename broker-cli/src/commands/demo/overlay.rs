use super::transcript::{Participant, Transcript, next};
use super::values::{of_every_kind, zeek_event};
use crate::failure::Failure;
use broker::data::zeek::ZeekMessageView;
use broker::event::Severity;
use broker::{Address, Config};

/// The hub of the overlay, listening with every transport.
pub(super) struct Hub {
    pub(super) participant: Participant,
    pub(super) urls: Vec<Address>,
}

impl Hub {
    pub(super) async fn shut_down(self, transcript: &mut Transcript) -> Result<(), Failure> {
        transcript.step("The hub shuts down");
        self.participant.shut_down(transcript).await
    }
}

/// Starts the hub, which forwards all topics of the demonstration.
pub(super) async fn start_hub(transcript: &mut Transcript) -> Result<Hub, Failure> {
    let config = Config { log_level: Severity::Warning, ..Config::default() };
    let participant = transcript.start("hub", config)?;
    let mut urls = Vec::new();
    for scheme in participant.endpoint.schemes() {
        let host = if scheme == "mem" { "hub" } else { "127.0.0.1" };
        let bound = participant.endpoint.listen(Address::new(scheme, host, 0)).await;
        let bound = bound.map_err(|error| Failure::listening(&error))?;
        transcript.listening(&participant.endpoint, &bound);
        urls.push(bound);
    }
    let forwarding = participant.endpoint.forward(["/demo/", "/zeek/"]);
    forwarding.map_err(|error| Failure::other(error.to_string()))?;
    transcript.flush().await?;
    Ok(Hub { participant, urls })
}

/// A sensor at each transport, and a dashboard at the next one.
pub(super) async fn across_all_transports(
    transcript: &mut Transcript,
    hub: &mut Hub,
) -> Result<(), Failure> {
    let urls = hub.urls.clone();
    for (to, from) in urls.iter().zip(urls.iter().cycle().skip(1)) {
        across(transcript, &mut hub.participant, from, to).await?;
    }
    Ok(())
}

/// Everything that a sensor behind one address of the hub publishes reaches a dashboard behind
/// another one.
async fn across(
    transcript: &mut Transcript,
    hub: &mut Participant,
    from: &Address,
    to: &Address,
) -> Result<(), Failure> {
    transcript.step(format!(
        "A sensor peers with the hub over {}://, a dashboard over {}://",
        from.scheme(),
        to.scheme()
    ));
    let mut sensor = transcript.start(&format!("sensor-{}", from.scheme()), Config::default())?;
    let mut dashboard =
        transcript.start(&format!("dashboard-{}", to.scheme()), Config::default())?;
    let mut subscriber = dashboard.endpoint.subscribe(["/demo/values", "/zeek/event"]);
    for participant in [&mut dashboard, &mut sensor] {
        let url = if participant.name.starts_with("sensor") { from } else { to };
        participant.peer(transcript, url).await?;
        hub.wait_for(transcript, "peer_added").await?;
    }

    transcript.step("The sensor publishes a value of every type and a Zeek event");
    let values = of_every_kind();
    let event = zeek_event();
    let topics =
        values.iter().map(|value| (format!("/demo/values/{}", value.kind().name()), value));
    let messages: Vec<_> = topics.chain([("/zeek/event/demo".to_owned(), &event)]).collect();
    for (topic, value) in &messages {
        let published = sensor.endpoint.publish(topic, *value).await;
        published.map_err(|error| Failure::other(format!("publishing on {topic}: {error}")))?;
    }

    // Each has a topic of its own, and not every transport keeps the order between topics.
    let mut missing = messages.clone();
    for _ in &messages {
        let message = next(&mut subscriber).await?;
        transcript.message(&message);
        missing.retain(|(topic, value)| {
            message.topic() != topic.as_str() || message.view() != **value
        });
        if message.topic().to_string().starts_with("/zeek/") {
            let understood = ZeekMessageView::parse(message.view());
            let ok = matches!(&understood, Ok(ZeekMessageView::Event(event)) if event.name() == "Demo::login");
            transcript.check(ok, "the Zeek event is understood as one");
        }
    }
    let all = messages.len() as u64;
    let same = all - missing.len() as u64;
    transcript.count(all, same, 0);
    transcript.check(same == all, format!("{same} of {all} values arrived as they were sent"));

    transcript.step("The sensor takes its peering back, the dashboard shuts down");
    sensor.endpoint.unpeer(from);
    sensor.wait_for(transcript, "endpoint_unreachable").await?;
    hub.wait_for(transcript, "endpoint_unreachable").await?;
    dashboard.shut_down(transcript).await?;
    hub.wait_for(transcript, "endpoint_unreachable").await?;
    sensor.shut_down(transcript).await
}
