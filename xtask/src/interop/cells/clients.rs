//! Clients of the JSON API that others have written. What each of them says to the server is in the
//! scripts of the tests of `broker-transport-ws`, and in those beside this file.

use crate::interop::cell::{Cell, Check, Context, Dials, Mode, ensure, same};
use crate::interop::child::Child;
use crate::interop::needs::{Need, root};
use crate::interop::ours::{Ours, next};
use broker::data::zeek::ZeekEvent;
use broker::data::{Timespan, Timestamp, Value, vector};
use broker::ws::WsOptions;
use broker::{Config, Subscriber, TransportOptions};
use std::time::Duration;
use tokio::process::Command;

pub(super) fn cells() -> Vec<Cell> {
    let websockets: &[Need] = &[Need::Python("websockets")];
    let zeek_client: &[Need] = &[Need::Python("zeekclient"), Need::Python("websockets")];
    let chromium: &[Need] = &[Need::Node("playwright-core"), Need::Chromium];
    let cells = [
        Cell::new(
            "websockets (Python)",
            "every form of message, 2 MB, an error, a close",
            websockets,
            python,
        ),
        Cell::new(
            "zeek-client",
            "what it asks of a controller, two hops away",
            zeek_client,
            controller,
        ),
        Cell::new("zeekpy", "events both ways", &[Need::Python("zeekpy")], zeekpy),
        Cell::new(
            "ws (Node)",
            "every form of message, a ping, an error, a close",
            &[Need::Node("ws")],
            node,
        ),
        Cell::new("Chromium", "the example page, messages both ways", chromium, browser)
            .within(Duration::from_secs(60)),
    ];
    cells.into_iter().flat_map(|cell| cell.variants(&[Mode::WebSocket], &[Dials::They])).collect()
}

/// A server of the JSON API, and a port of it.
async fn server(context: &Context) -> Check<(Ours, u16)> {
    let config = Config::default();
    let ws = WsOptions { page: true, ..WsOptions::default() };
    let options = TransportOptions { ws, ..TransportOptions::default() };
    let builder = broker::builder_with(&config.limits, options).map_err(|e| e.to_string())?;
    let ours = Ours::built(context, builder.config(config))?;
    let port = ours.listen(0).await?.port();
    Ok((ours, port))
}

/// A peer of the server, to which clients talk through it.
async fn behind(context: &Context, port: u16, topic: &str) -> Check<(Ours, Subscriber)> {
    let mut ours = Ours::fresh(context)?;
    let subscriber = ours.endpoint.subscribe([topic]);
    ours.dial(port);
    ours.added().await?;
    Ok((ours, subscriber))
}

/// Waits until a client of the server has subscribed to something.
async fn wanted(behind: &Ours, server: &Ours) -> Check {
    let id = server.endpoint.id();
    for _ in 0..1000 {
        if behind.endpoint.peer_filter(id).is_some_and(|filter| !filter.is_empty()) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err("no client has subscribed".to_owned())
}

fn tests_of_ws(script: &str) -> std::path::PathBuf {
    root().join("broker-transport-ws/tests/real_clients").join(script)
}

fn python_with(
    context: &Context,
    name: &'static str,
    script: &std::path::Path,
    args: &[&str],
) -> Check<Child> {
    let mut command = Command::new(context.places.python());
    command.arg(script).args(args);
    Child::start(&context.log, name, command)
}

fn node_with(
    context: &Context,
    name: &'static str,
    script: &std::path::Path,
    args: &[&str],
) -> Check<Child> {
    let mut command = Command::new(context.places.node());
    command.env("BROKER_NODE_MODULES", context.places.node_modules()).arg(script).args(args);
    Child::start(&context.log, name, command)
}

async fn says(child: &mut Child, expected: &str) -> Check {
    let line = child.line().await?.ok_or_else(|| format!("it ended before {expected:?}"))?;
    same("the line", &String::from_utf8_lossy(&line).into_owned().as_str(), &expected)
}

async fn succeeds(mut child: Child) -> Check {
    child.end_input();
    ensure(child.ended().await?.success(), "it ended with an error")
}

/// One value of every type.
fn every_type() -> Check<Value> {
    let bad = |error: &dyn std::fmt::Display| error.to_string();
    let table = Value::Table([(Value::from("k"), Value::Count(1))].into());
    let set = Value::Set([Value::Count(1), Value::Count(2)].into());
    Ok(vector![
        Value::None,
        true,
        u64::MAX,
        i64::MIN,
        1.5,
        "text \u{20ac} \"quoted\"",
        Value::Address("2001:db8::1".parse().map_err(|error| bad(&error))?),
        Value::Subnet("10.0.0.0/8".parse().map_err(|error| bad(&error))?),
        Value::Port("80/tcp".parse().map_err(|error| bad(&error))?),
        Value::Timestamp(Timestamp(1_649_574_000_123_000_000)),
        Value::Timespan(Timespan(1_500_000_000)),
        Value::Enum(broker::data::EnumValue("Conn::LOG".into())),
        set,
        table,
    ])
}

async fn next_is(subscriber: &mut Subscriber, value: &Value) -> Check {
    let found = next(subscriber).await?.data().map_err(|error| error.to_string())?;
    same("the value", &found, value)
}

async fn python(context: Context) -> Check<String> {
    let (server, port) = server(&context).await?;
    let (peer, mut subscriber) = behind(&context, port, "/py/up").await?;
    let url = format!("ws://127.0.0.1:{port}");
    let script = tests_of_ws("websockets_client.py");
    let mut client = python_with(&context, "websockets", &script, &[&url])?;
    says(&mut client, "ready").await?;
    wanted(&peer, &server).await?;
    let value = every_type()?;
    peer.publish("/py/down", &value).await?;
    for _ in 0..3 {
        next_is(&mut subscriber, &value).await?;
    }
    let line = client.line().await?.ok_or("it has ended")?;
    ensure(line.starts_with(b"error deserialization_failed input #4 "), "no error came")?;
    let big = "x".repeat(2_000_000);
    peer.publish("/py/down", big.as_str()).await?;
    let message = next(&mut subscriber).await?;
    ensure(message.view().as_str() == Some(&big), "the long message came back changed")?;
    peer.publish("/py/stop", &true).await?;
    says(&mut client, "closed 1000").await?;
    succeeds(client).await?;
    Ok("text, binary and fragments".to_owned())
}

async fn controller(context: Context) -> Check<String> {
    let ((near, near_port), (far, far_port)) = (server(&context).await?, server(&context).await?);
    near.dial(far_port);
    let url = format!("ws://127.0.0.1:{far_port}");
    let mut controller =
        python_with(&context, "controller", &tests_of_ws("controller.py"), &[&url])?;
    says(&mut controller, "ready").await?;
    wanted(&near, &far).await?;
    let script = tests_of_ws("zeek_client.py");
    let mut client = python_with(&context, "zeek-client", &script, &[&near_port.to_string()])?;
    let line = client.line().await?.ok_or("zeek-client has ended")?;
    ensure(line.starts_with(b"connected"), "zeek-client is not connected")?;
    says(&mut client, "instances agent-1 127.0.0.1:2151").await?;
    says(&mut client, "configuration id-1").await?;
    succeeds(client).await?;
    says(&mut controller, "request Management::Controller::API::get_instances_request").await?;
    says(&mut controller, "request Management::Controller::API::get_configuration_request").await?;
    Ok("two requests answered".to_owned())
}

async fn zeekpy(context: Context) -> Check<String> {
    let (server, port) = server(&context).await?;
    let (peer, mut subscriber) = behind(&context, port, "/zeekpy/up").await?;
    let url = format!("ws://127.0.0.1:{port}/v1/messages/json");
    let script = root().join("xtask/src/interop/scripts/zeekpy_client.py");
    let mut client = python_with(&context, "zeekpy", &script, &[&url])?;
    says(&mut client, "ready").await?;
    wanted(&peer, &server).await?;
    let address = Value::Address("2001:db8::1".parse().map_err(|e| format!("{e}"))?);
    let ping = ZeekEvent::new("ping").arg("hi").arg(u64::MAX).arg(address.clone()).arg(0.5);
    peer.publish("/zeekpy/down", &Value::from(ping)).await?;
    let message = next(&mut subscriber).await?;
    let event = message.event().map_err(|error| error.to_string())?;
    same("the event", &event.name().to_string().as_str(), &"pong")?;
    same("the arguments", &event.args().to_value(), &vector!["hi", u64::MAX, address, 0.5])?;
    peer.publish("/zeekpy/down", &Value::from(ZeekEvent::new("end"))).await?;
    says(&mut client, "closed").await?;
    succeeds(client).await?;
    Ok("four types of arguments there and back".to_owned())
}

async fn node(context: Context) -> Check<String> {
    let (server, port) = server(&context).await?;
    let (peer, mut subscriber) = behind(&context, port, "/js/up").await?;
    let url = format!("ws://127.0.0.1:{port}");
    let mut client = node_with(&context, "ws", &tests_of_ws("ws_client.mjs"), &[&url])?;
    says(&mut client, "ready").await?;
    wanted(&peer, &server).await?;
    let value = every_type()?;
    peer.publish("/js/down", &value).await?;
    for _ in 0..3 {
        next_is(&mut subscriber, &value).await?;
    }
    // JavaScript writes 5.0 as 5.
    next_is(&mut subscriber, &Value::Real(5.0)).await?;
    says(&mut client, "pong").await?;
    says(&mut client, "error deserialization_failed").await?;
    says(&mut client, "closed 1000 done").await?;
    succeeds(client).await?;
    Ok("text, binary and fragments".to_owned())
}

async fn browser(context: Context) -> Check<String> {
    let (server, port) = server(&context).await?;
    let (peer, mut subscriber) = behind(&context, port, "/web/up").await?;
    let page = format!("http://127.0.0.1:{port}/#prefix=/web/down");
    let chromium = context.places.chromium();
    let script = root().join("xtask/src/interop/scripts/browser.mjs");
    let chromium = chromium.to_str().ok_or("Chromium has an odd path")?;
    let mut browser = node_with(&context, "Chromium", &script, &[chromium, &page])?;
    says(&mut browser, "ready").await?;
    wanted(&peer, &server).await?;
    for number in 0..3_u64 {
        peer.publish("/web/down/x", &vector![number, u64::MAX, "text"]).await?;
    }
    says(&mut browser, "first row: /web/down/x | (2, 18446744073709551615, text)").await?;
    browser.say("publish").await?;
    same("the message", &next(&mut subscriber).await?.view().as_str(), &Some("from there"))?;
    says(&mut browser, "done").await?;
    succeeds(browser).await?;
    Ok("three messages shown, one sent".to_owned())
}
