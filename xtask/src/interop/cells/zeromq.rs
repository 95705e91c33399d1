//! Clusters of Zeek that use ZeroMQ: a manager with the proxy, a worker, and this side as an
//! observer or as a member with the name `bridge`.

use super::{ZEEK, zeek_values};
use crate::interop::cell::{Cell, Check, Context, Dials, Mode, ensure, same};
use crate::interop::child::{Child, free_port};
use crate::interop::needs::Need;
use crate::interop::ours::{Ours, next};
use broker::data::Value;
use broker::data::zeek::rows::{LogValue, row_of_write};
use broker::data::zeek::{ZeekEvent, ZeekMessage, ZeekMessageView};
use broker::{Address, Retry};
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

/// Zeek takes its time to start.
const PATIENCE: Duration = Duration::from_secs(40);
const LIMIT: Duration = Duration::from_secs(120);

pub(super) fn cells() -> Vec<Cell> {
    const WITH_ZEEK: &[Need] = &[Need::Tool(ZEEK)];
    let cells = [
        Cell::new(ZEEK, "events of a cluster both ways", WITH_ZEEK, both_ways),
        Cell::new(ZEEK, "a member comes and goes", WITH_ZEEK, member),
        Cell::new(ZEEK, "values of every type come back equal", WITH_ZEEK, values),
        Cell::new(ZEEK, "metadata get through", WITH_ZEEK, metadata),
        Cell::new(ZEEK, "log batches of every type", WITH_ZEEK, logs),
        Cell::new(ZEEK, "a cluster that overloads us is not slowed down", WITH_ZEEK, overload),
    ];
    let variants = |cell: Cell| cell.within(LIMIT).variants(&[Mode::ZeroMq], &[Dials::We]);
    cells.into_iter().flat_map(variants).collect()
}

/// What nodes say when something is wrong with what they got.
const COMPLAINTS: [&str; 4] =
    ["Expired", "Wrong format", "Failed to lookup handler", "Failed to unserialize"];

/// Both nodes answer: events on `/test/` come from the manager, what is sent there comes back.
const COMMON: &str = r#"
@load frameworks/cluster/backend/zeromq
redef Log::default_rotation_interval = 0sec;
redef exit_only_after_terminate = T;
global ping: event(n: count) &is_used;
global pong: event(n: count) &is_used;
event zeek_init() { Cluster::subscribe("/test/"); }
event Cluster::node_up(name: string, id: string) { print fmt("up %s %s", name, id); }
event Cluster::node_down(name: string, id: string) { print fmt("down %s %s", name, id); }
"#;

const WORKER: &str = r#"
event ping(n: count) { Cluster::publish("/test/pong", pong, n); }
"#;

/// A cluster in a directory of its own.
struct Cluster {
    manager: Child,
    worker: Child,
    url: Address,
    logs: u16,
    directory: TempDir,
}

impl Cluster {
    /// Starts a cluster whose nodes have these scripts besides.
    async fn start(context: &Context, manager: &str, worker: &str) -> Check<Self> {
        let directory = TempDir::new().map_err(|error| error.to_string())?;
        let (xpub, xsub, logs, spare) = (free_port()?, free_port()?, free_port()?, free_port()?);
        let layout = format!(
            r#"
redef Cluster::manager_is_logger = F;
redef Cluster::nodes = {{
    ["manager"] = [$node_type=Cluster::MANAGER, $ip=127.0.0.1, $p={spare}/tcp],
    ["logger"] = [$node_type=Cluster::LOGGER, $ip=127.0.0.1, $p={logs}/tcp, $manager="manager"],
    ["worker-1"] = [$node_type=Cluster::WORKER, $ip=127.0.0.1, $manager="manager"],
    ["bridge"] = [$node_type=Cluster::CONTROL, $ip=127.0.0.1],
}};
redef Cluster::Backend::ZeroMQ::listen_xpub_endpoint = "tcp://127.0.0.1:{xpub}";
redef Cluster::Backend::ZeroMQ::listen_xsub_endpoint = "tcp://127.0.0.1:{xsub}";
redef Cluster::Backend::ZeroMQ::connect_xsub_endpoint = "tcp://127.0.0.1:{xpub}";
redef Cluster::Backend::ZeroMQ::connect_xpub_endpoint = "tcp://127.0.0.1:{xsub}";
"#
        );
        let program = context.places.tool(ZEEK).ok_or("there is no zeek")?;
        let start = |name: &'static str, script: &str| {
            let place = directory.path().join(name);
            let write = |file: &str, text: &str| std::fs::write(place.join(file), text);
            std::fs::create_dir_all(&place)
                .and_then(|()| write("cluster-layout.zeek", &layout))
                .and_then(|()| write("node.zeek", &format!("{COMMON}{script}")))
                .map_err(|error| error.to_string())?;
            let mut command = Command::new(program.clone());
            command
                .current_dir(&place)
                .env("CLUSTER_NODE", name)
                .env("ZEEKPATH", zeek_path(&place));
            command.args(["node.zeek"]);
            Child::start(&context.log, name, command)
        };
        let manager = start("manager", manager)?;
        manager.accepts(xpub).await?;
        manager.accepts(xsub).await?;
        let worker = start("worker-1", worker)?;
        let url = format!("zeromq://127.0.0.1:{xpub}?publish={xsub}");
        let url = url.parse().map_err(|error| format!("{error}"))?;
        Ok(Self { manager, worker, url, logs, directory })
    }

    fn url(&self, query: &str) -> Address {
        let query = format!("{}&{query}", self.url.query());
        self.url.clone().with_query(&query)
    }

    /// Waits until the manager prints a line that begins like this.
    async fn manager_prints(&mut self, beginning: &str) -> Check<String> {
        prints(&mut self.manager, beginning).await
    }

    /// No node may have complained of what it got.
    fn no_complaints(&self) -> Check {
        for name in ["manager", "worker-1"] {
            let reporter = self.directory.path().join(name).join("reporter.log");
            let text = std::fs::read_to_string(reporter).unwrap_or_default();
            for complaint in COMPLAINTS {
                ensure(!text.contains(complaint), format!("{name} complains: {text}"))?;
            }
        }
        Ok(())
    }
}

/// Zeek looks for scripts in the directory of the node as well.
fn zeek_path(place: &std::path::Path) -> String {
    let rest = std::env::var("ZEEKPATH").unwrap_or_default();
    match rest.is_empty() {
        true => String::new(),
        false => format!("{}:{rest}", place.display()),
    }
}

async fn prints(child: &mut Child, beginning: &str) -> Check<String> {
    let line = async {
        while let Some(line) = child.next_line().await {
            let line = String::from_utf8_lossy(&line).into_owned();
            if line.starts_with(beginning) {
                return Ok(line);
            }
        }
        Err(format!("it ended and did not print {beginning:?}"))
    };
    timeout(PATIENCE, line).await.map_err(|_| format!("nobody printed {beginning:?}"))?
}

/// An endpoint of ours that is peered with a cluster.
async fn peered(context: &Context, url: &Address) -> Check<Ours> {
    let ours = Ours::fresh(context)?;
    let peered = timeout(PATIENCE, ours.endpoint.peer(url, Retry::every(Duration::from_secs(1))));
    let peered = peered.await.map_err(|_| "the cluster cannot be peered with")?;
    peered.map_err(|error| error.to_string())?;
    Ok(ours)
}

fn name_of(value: &Value) -> Option<String> {
    match ZeekMessage::try_from(value) {
        Ok(ZeekMessage::Event(event)) => Some(event.name.to_string()),
        _ => None,
    }
}

async fn both_ways(context: Context) -> Check<String> {
    let mut cluster = Cluster::start(&context, "", WORKER).await?;
    cluster.manager_prints("up worker-1").await?;
    let ours = peered(&context, &cluster.url("to=/test/ping&from=/test/pong")).await?;
    let mut received = ours.endpoint.subscribe(["/test/pong"]);
    const COUNT: u64 = 100;
    // The first ones may come before the worker hears of the subscription.
    let until = Instant::now() + PATIENCE;
    while received.try_recv().is_err() {
        ensure(Instant::now() < until, "nothing came back")?;
        ours.publish("/test/ping", &Value::from(ZeekEvent::new("ping").arg(0_u64))).await?;
        sleep(Duration::from_millis(100)).await;
    }
    for number in 1..=COUNT {
        ours.publish("/test/ping", &Value::from(ZeekEvent::new("ping").arg(number))).await?;
    }
    let mut number = 0;
    while number < COUNT {
        let value = next(&mut received).await?.data().map_err(|error| error.to_string())?;
        if let Ok(ZeekMessage::Event(event)) = ZeekMessage::try_from(&value)
            && let Some(Value::Count(found)) = event.args.first()
            && *found > 0
        {
            number += 1;
            same("the number", found, &number)?;
        }
    }
    cluster.no_complaints()?;
    Ok(format!("{COUNT} events there and back"))
}

async fn member(context: Context) -> Check<String> {
    let mut cluster = Cluster::start(&context, "", WORKER).await?;
    cluster.manager_prints("up worker-1").await?;
    let ours = peered(&context, &cluster.url("name=bridge&to=/test/ping&from=/test/pong")).await?;
    cluster.manager_prints("up bridge").await?;
    prints(&mut cluster.worker, "up bridge").await?;
    ours.shut_down().await?;
    cluster.manager_prints("down bridge").await?;
    prints(&mut cluster.worker, "down bridge").await?;
    cluster.no_complaints()?;
    Ok("node_up and node_down at manager and worker".to_owned())
}

async fn values(context: Context) -> Check<String> {
    let mut cluster = Cluster::start(&context, zeek_values::SCRIPT, "").await?;
    let url = cluster.url("to=/test/back&from=/test/matrix");
    let ours = peered(&context, &url).await?;
    let mut received = ours.endpoint.subscribe(["/test/matrix"]);
    let until = Instant::now() + PATIENCE;
    let value = loop {
        ensure(Instant::now() < until, "no event came")?;
        let value = next(&mut received).await?.data().map_err(|error| error.to_string())?;
        if name_of(&value).as_deref() == Some("matrix") {
            break value;
        }
    };
    let Ok(ZeekMessage::Event(mut event)) = ZeekMessage::try_from(&value) else {
        return Err("no event".to_owned());
    };
    event.name = "back".into();
    let count = event.args.len();
    ours.publish("/test/back", &Value::from(event)).await?;
    let line = cluster.manager_prints("same").await?;
    same("the answer", &line, &"same T".to_owned())?;
    cluster.no_complaints()?;
    Ok(format!("{count} values"))
}

const METADATA: &str = r#"
redef EventMetadata::add_network_timestamp = T;
event ping(n: count) {
    print fmt("timestamp %s", |EventMetadata::current(EventMetadata::NETWORK_TIMESTAMP)| > 0);
}
"#;

async fn metadata(context: Context) -> Check<String> {
    let mut cluster = Cluster::start(&context, METADATA, WORKER).await?;
    cluster.manager_prints("up worker-1").await?;
    let ours = peered(&context, &cluster.url("to=/test/ping&from=/test/pong")).await?;
    // Metadata that Zeek does not know, as bridges add them, do no harm.
    let event = ZeekEvent::new("ping").arg(1_u64);
    let event = event.network_timestamp(broker::data::Timestamp(1_700_000_000_000_000_000));
    ours.publish("/test/ping", &Value::from(event.metadata(240, 5_u64))).await?;
    let line = cluster.manager_prints("timestamp").await?;
    same("the answer", &line, &"timestamp T".to_owned())?;
    cluster.no_complaints()?;
    Ok("a network time and one that Zeek does not know".to_owned())
}

/// A stream with a column of each type that can be logged.
const LOGS: &str = r#"
redef Log::flush_interval = 0.1sec;
module All;
export {
    redef enum Log::ID += { LOG };
    type E: enum { A, B };
    type Info: record {
        b: bool &log; c: count &log; i: int &log; d: double &log; t: time &log; iv: interval &log;
        s: string &log; p: port &log; a: addr &log; n: subnet &log; e: E &log; ss: set[string] &log;
        v: vector of count &log; o: string &log &optional;
    };
}
event write_one() {
    Log::write(LOG, Info($b=T, $c=7, $i=-5, $d=0.1, $t=double_to_time(1700000000.25), $iv=-1.5sec, $s="x",
        $p=22/tcp, $a=10.0.0.7, $n=10.0.0.0/8, $e=B, $ss=set("a"), $v=vector(1, 2)));
    schedule 200msec { write_one() };
}
event zeek_init() {
    Log::create_stream(LOG, [$columns=Info, $path="all"]);
    schedule 1sec { write_one() };
}
"#;

async fn logs(context: Context) -> Check<String> {
    let cluster = Cluster::start(&context, "", LOGS).await?;
    let ours = peered(&context, &cluster.url(&format!("logs={}", cluster.logs))).await?;
    let mut received = ours.endpoint.subscribe(["zeek/logs/All::LOG"]);
    let until = Instant::now() + PATIENCE;
    loop {
        ensure(Instant::now() < until, "no batch of the stream came")?;
        let message = next(&mut received).await?;
        let Ok(ZeekMessageView::Batch(batch)) = ZeekMessageView::parse(message.view()) else {
            continue;
        };
        let Some(ZeekMessageView::LogWrite(write)) = batch.messages().next() else { continue };
        let row = row_of_write(write.record).map_err(|error| error.to_string())?;
        same("the number of columns", &row.len(), &14)?;
        same("the count", &row[1], &LogValue::Count(7))?;
        same("the time", &row[4], &LogValue::Real(1_700_000_000.25))?;
        same("what is unset", &row[13], &LogValue::Unset)?;
        cluster.no_complaints()?;
        return Ok("14 types".to_owned());
    }
}

/// Publishes much faster than anybody reads.
const FLOOD: &str = r#"
redef Cluster::Backend::ZeroMQ::xpub_sndhwm = 100;
global sent = 0;
event flood() {
    local i = 0;
    while ( ++i <= 500 ) Cluster::publish("/test/flood", ping, ++sent);
    if ( sent < 50000 ) schedule 10msec { flood() };
    else print "flooded";
}
event zeek_init() { schedule 2sec { flood() }; }
"#;

const COUNTING: &str = r#"
global got = 0;
event ping(n: count) { ++got; if ( n == 50000 || got % 10000 == 0 ) print fmt("got %d", got); }
event zeek_init() { Cluster::subscribe("/test/flood"); }
"#;

async fn overload(context: Context) -> Check<String> {
    let mut cluster = Cluster::start(&context, FLOOD, COUNTING).await?;
    let ours = peered(&context, &cluster.url("from=/test/flood")).await?;
    // It is subscribed to, and nobody takes anything.
    let options = broker::SubscriberOptions {
        messages: Some(1),
        ..broker::SubscriberOptions::with_policy(broker::SubscriberPolicy::Wait)
    };
    let blocked = ours.endpoint.try_subscribe(["/test/flood"], options);
    let _blocked = blocked.map_err(|error| error.to_string())?;
    let began = Instant::now();
    cluster.manager_prints("flooded").await?;
    prints(&mut cluster.worker, "got 10000").await?;
    cluster.no_complaints()?;
    Ok(format!("50000 events published within {:.1} s", began.elapsed().as_secs_f64()))
}
