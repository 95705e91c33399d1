use super::stage::{Actor, Stage, next};
use super::values::{of_every_kind, zeek_event};
use crate::failure::Failure;
use broker::data::zeek::MessageView;
use broker::event::Severity;
use broker::{Config, Url};

/// The hub of the overlay, listening with every transport.
pub(super) struct Hub {
    pub(super) actor: Actor,
    pub(super) urls: Vec<Url>,
}

impl Hub {
    pub(super) async fn leave(self, stage: &mut Stage) -> Result<(), Failure> {
        stage.step("The hub shuts down");
        self.actor.leave(stage).await
    }
}

/// Brings the hub on, which asks for all topics of the demonstration to pass them on.
pub(super) async fn start_hub(stage: &mut Stage) -> Result<Hub, Failure> {
    let config = Config { log_level: Severity::Warning, ..Config::default() };
    let actor = stage.enter("hub", config)?;
    let mut urls = Vec::new();
    for scheme in actor.endpoint.schemes() {
        let host = if scheme == "mem" { "hub" } else { "127.0.0.1" };
        let bound = actor.endpoint.listen(&Url::new(scheme, host, 0)).await;
        let bound = bound.map_err(|error| Failure::listening(&error))?;
        stage.listening(&actor.endpoint, &bound);
        urls.push(bound);
    }
    let forwarding = actor.endpoint.forward(["/demo/", "/zeek/"]);
    forwarding.map_err(|error| Failure::other(error.to_string()))?;
    stage.flush().await?;
    Ok(Hub { actor, urls })
}

/// A sensor at each transport, and a dashboard at the next one.
pub(super) async fn across_all_transports(stage: &mut Stage, hub: &mut Hub) -> Result<(), Failure> {
    let urls = hub.urls.clone();
    for (to, from) in urls.iter().zip(urls.iter().cycle().skip(1)) {
        across(stage, &mut hub.actor, from, to).await?;
    }
    Ok(())
}

/// Everything that a sensor behind one address of the hub publishes reaches a dashboard behind
/// another one.
async fn across(stage: &mut Stage, hub: &mut Actor, from: &Url, to: &Url) -> Result<(), Failure> {
    stage.step(format!(
        "A sensor peers with the hub over {}://, a dashboard over {}://",
        from.scheme(),
        to.scheme()
    ));
    let mut sensor = stage.enter(&format!("sensor-{}", from.scheme()), Config::default())?;
    let mut dashboard = stage.enter(&format!("dashboard-{}", to.scheme()), Config::default())?;
    let mut subscriber = dashboard.endpoint.subscribe(["/demo/values", "/zeek/event"]);
    for actor in [&mut dashboard, &mut sensor] {
        let url = if actor.name.starts_with("sensor") { from } else { to };
        actor.peer(stage, url).await?;
        hub.hear(stage, "peer_added").await?;
    }

    stage.step("The sensor publishes a value of every type and a Zeek event");
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
        stage.message(&message);
        missing.retain(|(topic, value)| {
            message.topic() != topic.as_str() || message.view() != **value
        });
        if message.topic().to_string().starts_with("/zeek/") {
            let understood = MessageView::parse(message.view());
            let ok = matches!(&understood, Ok(MessageView::Event(event)) if event.name() == "Demo::login");
            stage.check(ok, "the Zeek event is understood as one");
        }
    }
    let all = messages.len() as u64;
    let same = all - missing.len() as u64;
    stage.count(all, same, 0);
    stage.check(same == all, format!("{same} of {all} values arrived as they were sent"));

    stage.step("The sensor takes its peering back, the dashboard shuts down");
    sensor.endpoint.unpeer(from);
    sensor.hear(stage, "endpoint_unreachable").await?;
    hub.hear(stage, "endpoint_unreachable").await?;
    dashboard.leave(stage).await?;
    hub.hear(stage, "endpoint_unreachable").await?;
    sensor.leave(stage).await
}
