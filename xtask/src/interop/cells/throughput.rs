//! Events of the load generator: what it sends, and what it counts.

use super::{ENCRYPTED_OR_NOT, THROUGHPUT};
use crate::interop::cell::{Cell, Check, Context, Dials, ensure, same};
use crate::interop::child::{Child, free_port};
use crate::interop::needs::Need;
use crate::interop::ours::{Ours, next};
use broker::data::zeek::{ZeekEvent, ZeekMessageView};
use broker::data::{Kind, Value, View};

const EVENTS: &str = "/benchmark/events";
const TERMINATE: &str = "/benchmark/terminate";

pub(super) fn cells() -> Vec<Cell> {
    const NEEDS: &[Need] = &[Need::Tool(THROUGHPUT)];
    let mut cells: Vec<Cell> = [1, 2, 3]
        .into_iter()
        .map(|shape| {
            let what = format!("events of shape {shape}");
            Cell::new(THROUGHPUT, what, NEEDS, move |context| client(context, shape))
        })
        .collect();
    cells.push(Cell::new(THROUGHPUT, "events without a limit", NEEDS, unlimited));
    let they: Vec<Cell> = cells
        .into_iter()
        .flat_map(|cell| cell.variants(ENCRYPTED_OR_NOT, &[Dials::They]))
        .collect();
    let we = Cell::new(THROUGHPUT, "it counts our events", NEEDS, server);
    [they, we.variants(ENCRYPTED_OR_NOT, &[Dials::We])].concat()
}

/// Bytes of the arguments of an event of each shape.
const ARGUMENTS: [usize; 3] = [17, 205, 8913];

/// Batches, as the client sends them: a list of events without the envelope of a batch.
async fn client(context: Context, shape: usize) -> Check<String> {
    const BATCHES: usize = 10;
    const EVENTS_EACH: &str = "3";
    let mut ours = Ours::fresh(&context)?;
    let mut subscriber = ours.endpoint.subscribe([EVENTS]);
    let port = ours.listen(0).await?.port();
    let (kind, at) = (shape.to_string(), format!("127.0.0.1:{port}"));
    let _client =
        Child::tool(&context, THROUGHPUT, &["-t", &kind, "-r", "100", "-s", EVENTS_EACH, &at])?;
    ours.added().await?;
    for _ in 0..BATCHES {
        let message = next(&mut subscriber).await?;
        let events: Vec<View<'_>> = message.view().iter().collect();
        same("the size of a batch", &events.len().to_string().as_str(), &EVENTS_EACH)?;
        for event in events {
            check_event(event, shape)?;
        }
    }
    Ok(format!("{BATCHES} batches of {EVENTS_EACH}"))
}

fn check_event(view: View<'_>, shape: usize) -> Check {
    let message = ZeekMessageView::parse(view).map_err(|error| error.to_string())?;
    let ZeekMessageView::Event(event) = message else { return Err("no event".to_owned()) };
    same("the name", &event.name().to_string(), &format!("event_{shape}"))?;
    let arguments = event.args().to_value();
    let expected = ARGUMENTS.get(shape - 1).copied().unwrap_or_default();
    same("the bytes of the arguments", &arguments.encoded_len(), &expected)?;
    let Value::Vector(arguments) = arguments else { return Err("no arguments".to_owned()) };
    let kinds: Vec<Kind> = arguments.iter().map(Value::kind).collect();
    match (shape, arguments.as_slice()) {
        (1, [Value::Integer(42), Value::String(text)]) => same("the text", text, &"test".into()),
        (
            2,
            [Value::Timestamp(_), Value::String(_), Value::Vector(connection), Value::Enum(_), ..],
        ) => same("the number of fields", &(arguments.len(), connection.len()), &(18, 4)),
        (3, [Value::Timestamp(_), Value::Table(table)]) => {
            let sets =
                table.values().all(|value| matches!(value, Value::Set(set) if set.len() == 10));
            ensure(table.len() == 100 && sets, "the table is not 100 sets of 10")
        }
        _ => Err(format!("the arguments are {kinds:?}")),
    }
}

/// Single events, as many as the reader takes.
async fn unlimited(context: Context) -> Check<String> {
    const COUNT: usize = 20_000;
    let mut ours = Ours::fresh(&context)?;
    let mut subscriber = ours.endpoint.subscribe([EVENTS]);
    let port = ours.listen(0).await?.port();
    let at = format!("127.0.0.1:{port}");
    let _client =
        Child::tool(&context, THROUGHPUT, &["-r", "0", "--peer-buffer-size=1000000", &at])?;
    ours.added().await?;
    for _ in 0..COUNT {
        check_event(next(&mut subscriber).await?.view(), 1)?;
    }
    Ok(format!("{COUNT} events"))
}

/// It counts messages, prints the count of each second, and ends when it is told to.
async fn server(context: Context) -> Check<String> {
    const COUNT: u64 = 2000;
    let mut ours = Ours::fresh(&context)?;
    let port = free_port()?;
    let at = format!("127.0.0.1:{port}");
    let mut server = Child::tool(&context, THROUGHPUT, &["--server", "--verbose", &at])?;
    ours.dial(port);
    let peer = ours.added().await?;
    ours.filter(peer, &[EVENTS, TERMINATE]).await?;
    let event = ZeekEvent::new("event_1").arg(42_i64).arg("test");
    for _ in 0..COUNT {
        ours.publish(EVENTS, &event).await?;
    }
    let mut counted = 0;
    while counted < COUNT {
        let line = server.line().await?.ok_or("the server has ended")?;
        let line = String::from_utf8_lossy(&line).into_owned();
        let rate = line.strip_prefix("rate: ").and_then(|rest| rest.strip_suffix(" events/s"));
        counted += rate.and_then(|rate| rate.parse::<u64>().ok()).unwrap_or_default();
    }
    same("the number of events", &counted, &COUNT)?;
    ours.publish(TERMINATE, &()).await?;
    ensure(server.ended().await?.success(), "the server ended with an error")?;
    Ok(format!("{counted} events, and it ended when told to"))
}
