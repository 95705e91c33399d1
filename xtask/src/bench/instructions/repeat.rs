use crate::bench::Result;
use crate::bench::shape::{Generator, Reading, Shape, TOPIC};
use broker::core::transport::MemTransport;
use broker::data::{DecodeLimits, Encode, Value, View, json, validate};
use broker::{Address, Config, Endpoint, OverflowPolicy, Retry, Subscriber};
use std::hint::black_box;
use tokio::runtime::{Builder, Runtime};

/// Does something so many times.
type Work = fn(u64) -> Result<()>;

/// How often is enough for something that takes thousands of instructions.
const OFTEN: u64 = 1000;

/// The same for a million.
const SELDOM: u64 = 20;

/// What instructions are counted of, and how often it is done.
pub(super) const WORK: &[(&str, u64, Work)] = &[
    ("encode small event", OFTEN, |times| encode(Shape::Small, times)),
    ("encode conn-log line", OFTEN, |times| encode(Shape::Conn, times)),
    ("encode table", SELDOM, |times| encode(Shape::Table, times)),
    ("validate small event", OFTEN, |times| checked(Shape::Small, times)),
    ("validate conn-log line", OFTEN, |times| checked(Shape::Conn, times)),
    ("validate table", SELDOM, |times| checked(Shape::Table, times)),
    ("view a field of a conn-log line", OFTEN, view),
    ("decode small event", OFTEN, |times| decode(Shape::Small, times)),
    ("decode conn-log line", OFTEN, |times| decode(Shape::Conn, times)),
    ("decode table", SELDOM, |times| decode(Shape::Table, times)),
    ("conn-log line to JSON", OFTEN, to_json),
    ("conn-log line from JSON", OFTEN, from_json),
    ("publish what nobody wants", OFTEN, |times| unwanted(1, times)),
    ("the same on ever new topics", OFTEN, |times| unwanted(100_000, times)),
    ("publish to a local consumer", OFTEN, local),
    ("publish to a peer, received there", OFTEN, |times| overlay(false, times)),
    ("the same through a hub", OFTEN, |times| overlay(true, times)),
];

/// Does what the name says.
pub(in crate::bench) fn repeat(what: &str, times: u64) -> Result<()> {
    let work = WORK.iter().find(|(name, _, _)| *name == what);
    work.ok_or_else(|| format!("no work is called {what}"))?.2(times)
}

fn payload(shape: Shape) -> Vec<u8> {
    let mut payload = Vec::new();
    Generator::new(shape).next().encode_into(&mut payload);
    payload
}

fn encode(shape: Shape, times: u64) -> Result<()> {
    let mut generator = Generator::new(shape);
    let mut out = Vec::new();
    for _ in 0..times {
        out.clear();
        generator.next().encode_into(&mut out);
        black_box(&out);
    }
    Ok(())
}

fn checked(shape: Shape, times: u64) -> Result<()> {
    let payload = payload(shape);
    for _ in 0..times {
        validate(black_box(&payload), DecodeLimits::default())?;
    }
    Ok(())
}

fn view(times: u64) -> Result<()> {
    let payload = payload(Shape::Conn);
    let view = View::parse(&payload)?;
    for _ in 0..times {
        black_box(black_box(view).path([2, 1, 2, 3]));
    }
    Ok(())
}

fn decode(shape: Shape, times: u64) -> Result<()> {
    let payload = payload(shape);
    for _ in 0..times {
        black_box(Value::decode(black_box(&payload))?);
    }
    Ok(())
}

fn to_json(times: u64) -> Result<()> {
    let value = Value::decode(&payload(Shape::Conn))?;
    let mut out = Vec::new();
    for _ in 0..times {
        out.clear();
        json::write_value(black_box(&value), &mut out);
    }
    Ok(())
}

fn from_json(times: u64) -> Result<()> {
    let text = json::to_string(&Value::decode(&payload(Shape::Conn))?);
    for _ in 0..times {
        black_box(json::from_str(black_box(&text))?);
    }
    Ok(())
}

fn runtime() -> Result<Runtime> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

fn unwanted(topics: u64, times: u64) -> Result<()> {
    runtime()?.block_on(async {
        let endpoint = Endpoint::builder().build()?;
        let _hub =
            endpoint.hub((0..1000).map(|number| format!("/wanted/{number}/")).collect::<Vec<_>>());
        let mut generator = Generator::new(Shape::Small);
        for number in 0..times {
            let topic = format!("/unwanted/{:06}", number % topics);
            endpoint.publish(topic, generator.next()).await?;
        }
        Ok(())
    })
}

fn local(times: u64) -> Result<()> {
    runtime()?.block_on(async {
        let endpoint = Endpoint::builder().build()?;
        let mut hub = endpoint.hub([TOPIC]);
        let mut generator = Generator::new(Shape::Small);
        for _ in 0..times {
            endpoint.publish(TOPIC, generator.next()).await?;
            let _ = black_box(hub.try_recv());
        }
        Ok(())
    })
}

/// Messages sent at a time.
const BURST: u64 = 100;

fn overlay(with_hub: bool, times: u64) -> Result<()> {
    runtime()?.block_on(async {
        let net = MemTransport::new();
        let source = endpoint(&net)?;
        let end = endpoint(&net)?;
        let mut subscriber = end.subscribe([TOPIC]);
        let url = end.listen(Address::new("mem", "end", 1)).await?;
        let hub = endpoint(&net)?;
        if with_hub {
            hub.forward([TOPIC])?;
            let url_of_hub = hub.listen(Address::new("mem", "hub", 1)).await?;
            hub.peer(&url, Retry::never()).await?;
            source.peer(&url_of_hub, Retry::never()).await?;
        } else {
            source.peer(&url, Retry::never()).await?;
        }
        flow(&source, &mut subscriber, times).await
    })
}

fn endpoint(net: &MemTransport) -> Result<Endpoint> {
    let config = Config { overflow_policy: OverflowPolicy::Wait, ..Config::default() };
    Ok(Endpoint::builder().config(config).transport(net.clone()).build()?)
}

async fn flow(source: &Endpoint, subscriber: &mut Subscriber, times: u64) -> Result<()> {
    let publisher = source.publisher(TOPIC);
    let mut generator = Generator::new(Shape::Small);
    for number in 1..=times {
        publisher.publish(generator.next()).await?;
        if number % BURST == 0 {
            for _ in 0..BURST {
                let message = subscriber.recv().await.ok_or("shut down")?;
                black_box(Reading::View.read(Shape::Small, message.as_view()));
            }
        }
    }
    Ok(())
}
