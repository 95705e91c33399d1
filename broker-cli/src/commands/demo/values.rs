use broker::data::zeek::ZeekEvent;
use broker::data::{EnumValue, Port, Protocol, Subnet, Timespan, Timestamp, Value};
use broker::data::{set, table, vector};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 7);

const NETWORK: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0);

/// 2026-01-31 13:37:00.123456789 UTC.
const TIME: Timestamp = Timestamp(1_769_866_620_123_456_789);

/// A value of every type.
pub(super) fn of_every_kind() -> [Value; 15] {
    let ssh = Port::new(22, Protocol::Tcp);
    let host = IpAddr::from(HOST);
    [
        Value::None,
        Value::Boolean(true),
        Value::Count(u64::MAX),
        Value::Integer(-42),
        Value::Real(0.1),
        Value::from("Gr\u{fc}\u{df}e vom Sensor \u{1f4e1}"),
        Value::from(host),
        Value::Subnet(Subnet::from_raw(NETWORK.into(), 32)),
        Value::Port(ssh),
        Value::Timestamp(TIME),
        Value::Timespan(Timespan(1_500_000_000)),
        Value::Enum(EnumValue("Notice::ACTION_ALARM".into())),
        set![1_u64, 2_u64, "three"],
        table! { "ssh" => ssh, host => "a host" },
        vector![true, 7_u64, vector![Value::None, -1_i64], "end"],
    ]
}

/// An event as Zeek sends it.
pub(super) fn zeek_event() -> Value {
    ZeekEvent::new("Demo::login")
        .arg("root")
        .arg(IpAddr::from(HOST))
        .arg(Port::new(22, Protocol::Tcp))
        .network_timestamp(TIME)
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use broker::data::Kind;

    #[test]
    fn every_kind_of_value_is_shown() {
        assert_eq!(of_every_kind().map(|value| value.kind()), Kind::ALL);
    }
}
