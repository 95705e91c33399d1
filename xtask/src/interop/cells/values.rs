//! Data of every type, both ways.

use super::{ENCRYPTED_OR_NOT, NODE, PIPE};
use crate::interop::cell::{Cell, Check, Context, Dials, ensure, same};
use crate::interop::child::{Child, free_port};
use crate::interop::needs::Need;
use crate::interop::ours::{Ours, next};
use crate::interop::vectors::{self, Recorded, Verbatim};
use broker::data::Value;
use std::time::Duration;

const TOPIC: &str = "/values";

pub(super) fn cells() -> Vec<Cell> {
    let cells = [
        (
            Cell::new(PIPE, "the text that it prints of ours", &[Need::Tool(PIPE)], printed),
            Dials::They,
        ),
        (Cell::new(PIPE, "lines arrive in order", &[Need::Tool(PIPE)], lines), Dials::They),
        (
            Cell::new(NODE, "values through it byte for byte", &[Need::Tool(NODE)], through_node)
                .within(Duration::from_secs(60)),
            Dials::We,
        ),
    ];
    let variants = |(cell, dials): (Cell, Dials)| cell.variants(ENCRYPTED_OR_NOT, &[dials]);
    cells.into_iter().flat_map(variants).collect()
}

/// Every value whose text fits on a line; the others are in the cell about bytes.
async fn printed(context: Context) -> Check<String> {
    let mut ours = Ours::fresh(&context)?;
    let port = ours.listen(0).await?.port();
    let peers = format!("--peers=[\"127.0.0.1:{port}\"]");
    let mut pipe = Child::tool(&context, PIPE, &["-m", "subscribe", "-t", TOPIC, &peers])?;
    let peer = ours.added().await?;
    ours.filter(peer, &[TOPIC]).await?;
    let values = vectors::values()?;
    let on_a_line = |value: &&Recorded| {
        value.text.as_ref().is_some_and(|text| !text.iter().any(|byte| b"\r\n".contains(byte)))
    };
    let printable: Vec<&Recorded> = values.iter().filter(on_a_line).collect();
    for Recorded { name, payload, .. } in &printable {
        let value = Value::decode(payload).map_err(|error| format!("{name}: {error}"))?;
        ours.publish(TOPIC, &value).await?;
        let line = pipe.line().await?.ok_or("broker-pipe has ended")?;
        let mut expected = format!("data({TOPIC}, ").into_bytes();
        value.text_into(&mut expected);
        expected.push(b')');
        same(name, &show(&line), &show(&expected))?;
    }
    let (count, all) = (printable.len(), values.len());
    Ok(format!("{count} values; {} more have a line break in their text", all - count))
}

fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

async fn lines(context: Context) -> Check<String> {
    const COUNT: usize = 1000;
    let mut ours = Ours::fresh(&context)?;
    let mut subscriber = ours.endpoint.subscribe([TOPIC]);
    let port = ours.listen(0).await?.port();
    let peers = format!("--peers=[\"127.0.0.1:{port}\"]");
    let mut pipe = Child::tool(&context, PIPE, &["-m", "publish", "-t", TOPIC, &peers])?;
    let peer = ours.added().await?;
    for number in 0..COUNT {
        pipe.say(&format!("line {number}")).await?;
    }
    for number in 0..COUNT {
        let message = next(&mut subscriber).await?;
        same("the topic", &message.topic().to_string().as_str(), &TOPIC)?;
        same("the sender", &message.sender(), &peer)?;
        same("the line", &message.view().as_str(), &Some(format!("line {number}").as_str()))?;
    }
    Ok(format!("{COUNT} lines"))
}

/// Two of our endpoints with the other implementation between them, which passes on what it
/// cannot see a reason to change.
async fn through_node(context: Context) -> Check<String> {
    let (mut from, mut to) = (Ours::fresh(&context)?, Ours::fresh(&context)?);
    let port = free_port()?;
    let topics = format!("\"{TOPIC}\"");
    let _node = Child::tool(&context, NODE, &["-t", &topics, "-p", &port.to_string()])?;
    let mut subscriber = to.endpoint.subscribe([TOPIC]);
    to.dial(port);
    let node = to.added().await?;
    to.settled(node).await?;
    from.dial(port);
    same("the node", &from.added().await?, &node)?;
    let mut count = 0;
    for Recorded { name, payload, .. } in
        vectors::values()?.into_iter().chain(vectors::accepted_payloads()?)
    {
        from.publish(TOPIC, &Verbatim(&payload)).await?;
        let message = next(&mut subscriber).await.map_err(|error| format!("{name}: {error}"))?;
        same("the last hop", &message.sender(), &node)?;
        ensure(message.payload() == payload, format!("{name} arrived changed"))?;
        count += 1;
    }
    Ok(format!("{count} payloads"))
}
