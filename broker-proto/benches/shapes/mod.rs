//! The events of the C++ Broker's `broker-throughput`, as values.

use broker_data::zeek::ZeekEvent;
use broker_data::{EnumValue, IpAddress, Port, Protocol, Timespan, Timestamp, Value};

/// All shapes with their names.
pub(crate) fn all() -> [(&'static str, Value); 3] {
    [("small", small()), ("conn", conn()), ("table", table())]
}

fn small() -> Value {
    ZeekEvent::new("event_1").arg(42_i64).arg("test").into()
}

fn address(last: u8) -> IpAddress {
    IpAddress::from_bytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, last])
}

fn port(number: u16) -> Port {
    Port::new(number, Protocol::Tcp)
}

fn string(value: &str) -> Value {
    Value::String(value.into())
}

fn conn() -> Value {
    let id: [Value; 4] = [address(4).into(), port(4567).into(), address(6).into(), port(80).into()];
    let tunnels = ["0aZ4kmQx7P", "9LrT2bNc8d"].map(string);
    let args = [
        Timestamp(1_700_000_000_000_000_000).into(),
        string("CHhAvVGS1D"),
        Value::Vector(id.into()),
        Value::Enum(EnumValue("tcp".into())),
        string("h4XfWqB0pz"),
        Timespan(3_140_000_000).into(),
        Value::Count(1),
        Value::Count(2),
        string("ShADa"),
        Value::Boolean(true),
        Value::Boolean(false),
        Value::Count(3),
        string("Yt6gVn1ReM"),
        Value::Count(4),
        Value::Count(5),
        Value::Count(6),
        Value::Count(7),
        Value::Set(tunnels.into()),
    ];
    ZeekEvent { args: args.into(), ..ZeekEvent::new("event_2") }.into()
}

fn table() -> Value {
    let set =
        |key: u32| Value::Set((0..10).map(|n| string(&format!("{:05}", key * 10 + n))).collect());
    let entries = (0..100).map(|key| (string(&format!("key-{key:011}")), set(key)));
    let table = Value::Table(entries.collect());
    let args = vec![Timestamp(1_700_000_000_000_000_000).into(), table];
    ZeekEvent { args, ..ZeekEvent::new("event_3") }.into()
}
