//! Messages that pass through.

use super::{ENCRYPTED_OR_NOT, NODE, PIPE};
use crate::interop::cell::{Cell, Check, Context, Dials, ensure, same};
use crate::interop::child::{Child, free_port};
use crate::interop::needs::Need;
use crate::interop::ours::{Ours, next};
use broker::Config;
use broker::data::Value;

const TOPIC: &str = "/forward";

pub(super) fn cells() -> Vec<Cell> {
    const WITH_PIPE: &[Need] = &[Need::Tool(PIPE)];
    const WITH_NODE: &[Need] = &[Need::Tool(NODE)];
    let they = [
        Cell::new(PIPE, "forwarding through ours", WITH_PIPE, pipe_to_pipe),
        Cell::new(PIPE, "no forwarding where it is disabled", WITH_PIPE, disabled),
        Cell::new(NODE, "pings and pongs through ours", WITH_NODE, ping_pong),
        Cell::new(NODE, "ours answers its pings", WITH_NODE, we_answer),
    ];
    let they = they.into_iter().flat_map(|cell| cell.variants(ENCRYPTED_OR_NOT, &[Dials::They]));
    let we = Cell::new(NODE, "forwarding through two of them", WITH_NODE, two_nodes);
    they.chain(we.variants(ENCRYPTED_OR_NOT, &[Dials::We])).collect()
}

fn peers(port: u16) -> String {
    format!("--peers=[\"127.0.0.1:{port}\"]")
}

fn node_peers(port: u16) -> String {
    format!("--peers=<tcp://127.0.0.1:{port}>")
}

/// A publisher and a subscriber of the other implementation, both peered with ours.
async fn pipes(context: &Context, ours: &mut Ours) -> Check<(Child, Child)> {
    let port = ours.listen(0).await?.port();
    let args = ["-m", "subscribe", "-t", TOPIC, &peers(port)];
    let subscriber = Child::tool(context, PIPE, &args)?;
    let peer = ours.added().await?;
    ours.filter(peer, &[TOPIC]).await?;
    let publisher = Child::tool(context, PIPE, &["-m", "publish", "-t", TOPIC, &peers(port)])?;
    let peer = ours.added().await?;
    // It has our filter then, and its peer() has returned.
    ours.settled(peer).await?;
    Ok((publisher, subscriber))
}

async fn expect_line(pipe: &mut Child, text: &str) -> Check {
    let line = pipe.line().await?.ok_or("broker-pipe has ended")?;
    let line = String::from_utf8_lossy(&line).into_owned();
    same("the line", &line, &format!("data({TOPIC}, {text})"))
}

async fn pipe_to_pipe(context: Context) -> Check<String> {
    const COUNT: usize = 500;
    let mut ours = Ours::fresh(&context)?;
    ours.endpoint.forward([TOPIC]).map_err(|error| error.to_string())?;
    let (mut publisher, mut subscriber) = pipes(&context, &mut ours).await?;
    for number in 0..COUNT {
        publisher.say(&format!("line {number}")).await?;
    }
    for number in 0..COUNT {
        expect_line(&mut subscriber, &format!("line {number}")).await?;
    }
    Ok(format!("{COUNT} lines in order"))
}

async fn disabled(context: Context) -> Check<String> {
    let mut ours = Ours::with(&context, Config { forwarding: false, ..Config::default() })?;
    let mut local = ours.endpoint.subscribe([TOPIC]);
    let (mut publisher, mut subscriber) = pipes(&context, &mut ours).await?;
    publisher.say("not for the other pipe").await?;
    same("the message", &next(&mut local).await?.view().as_str(), &Some("not for the other pipe"))?;
    ours.publish(TOPIC, "ours").await?;
    expect_line(&mut subscriber, "ours").await?;
    Ok("only what is ours was sent".to_owned())
}

const ROUND_TRIPS: &str = "100";

async fn pinger(context: &Context, port: u16) -> Check<Child> {
    let topics = format!("\"{TOPIC}\"");
    let args = ["-t", &topics, "-m", "ping", "-n", ROUND_TRIPS, "-s", "64", &node_peers(port)];
    Child::tool(context, NODE, &args)
}

async fn round_trips(mut pinger: Child) -> Check<String> {
    let mut count = 0;
    while let Some(line) = pinger.line().await? {
        let line = String::from_utf8_lossy(&line).into_owned();
        ensure(line.parse::<u64>().is_ok(), format!("{line:?} is no round trip"))?;
        count += 1;
    }
    ensure(pinger.ended().await?.success(), "broker-node ended with an error")?;
    same("the number of round trips", &count.to_string().as_str(), &ROUND_TRIPS)?;
    Ok(format!("{count} round trips"))
}

async fn ping_pong(context: Context) -> Check<String> {
    let mut ours = Ours::fresh(&context)?;
    ours.endpoint.forward([TOPIC]).map_err(|error| error.to_string())?;
    let port = ours.listen(0).await?.port();
    let topics = format!("\"{TOPIC}\"");
    let args = ["-t", &topics, "-m", "pong", &node_peers(port)];
    let _ponger = Child::tool(&context, NODE, &args)?;
    ours.added().await?;
    round_trips(pinger(&context, port).await?).await
}

async fn we_answer(context: Context) -> Check<String> {
    let ours = Ours::fresh(&context)?;
    let port = ours.listen(0).await?.port();
    let mut subscriber = ours.endpoint.subscribe([TOPIC]);
    let pinger = pinger(&context, port).await?;
    let answer = async {
        loop {
            let message = next(&mut subscriber).await?;
            let value = message.data().map_err(|error| error.to_string())?;
            let Value::Vector(ping) = &value else { return Err(format!("{value} is no ping")) };
            let [Value::String(word), Value::Count(id), Value::String(_)] = ping.as_slice() else {
                return Err(format!("{value} is no ping"));
            };
            same("the word", &word.to_string().as_str(), &"ping")?;
            ours.publish(TOPIC, &("pong", *id)).await?;
        }
    };
    tokio::select! {
        trips = round_trips(pinger) => trips,
        failed = answer => failed,
    }
}

async fn two_nodes(context: Context) -> Check<String> {
    const COUNT: u64 = 100;
    let (mut from, mut to) = (Ours::fresh(&context)?, Ours::fresh(&context)?);
    let (near, far) = (free_port()?, free_port()?);
    let topics = format!("\"{TOPIC}\"");
    let mut subscriber = to.endpoint.subscribe([TOPIC]);
    let _near = Child::tool(&context, NODE, &["-t", &topics, "-p", &near.to_string()])?;
    from.dial(near);
    let near_id = from.added().await?;
    let args = ["-t", &topics, "-p", &far.to_string(), &node_peers(near)];
    let _far = Child::tool(&context, NODE, &args)?;
    to.dial(far);
    let far_id = to.added().await?;
    // The two nodes may not be peered yet; the first message that arrives shows that they are.
    let mut sent = 0;
    loop {
        from.publish(TOPIC, &sent).await?;
        sent += 1;
        let wait = tokio::time::sleep(std::time::Duration::from_millis(50));
        tokio::select! {
            message = next(&mut subscriber) => {
                same("the last hop", &message?.sender(), &far_id)?;
                break;
            }
            () = wait => {}
        }
    }
    for number in sent..sent + COUNT {
        from.publish(TOPIC, &number).await?;
        loop {
            let count = next(&mut subscriber).await?.view().as_count();
            if count.is_some_and(|count| count < sent) {
                continue;
            }
            same("the number", &count, &Some(number))?;
            break;
        }
    }
    ensure(near_id != far_id, "both nodes have one id")?;
    Ok(format!("{COUNT} messages in order"))
}
