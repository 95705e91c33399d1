use super::world::{FILTER, OWN, World, url};
use broker_proto::Failure;
use broker_proto::fuzzing::Input;
use broker_proto::peering::{ConnectionId, HandshakeFrame};
use broker_proto::wire::frame::PREFIX;
use broker_proto::wire::handshake::{HandshakeMessage, Role};
use broker_proto::{EndpointId, ErrorCode};
use bytes::Bytes;
use std::time::Duration;

/// Whatever happens to the machine that decides about connections, in whatever order: there is one
/// peering with a peer at most, reports come in pairs, every request is answered, and everything
/// ends.
pub(super) fn control(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut world = World::new(1 + input.below(3));
    while !input.is_empty() {
        step(&mut world, &mut input);
        world.check();
    }
    world.finish();
}

fn step(world: &mut World, input: &mut Input<'_>) {
    match input.below(18) {
        0 | 1 => world.accepted(input.u8()),
        2 => {
            if let Some(dial) = input.pick(&world.dialling()) {
                world.dialled(dial, input.u8());
            }
        }
        3 => {
            if let Some(dial) = input.pick(&world.dialling()) {
                world.dial_failed(dial);
            }
        }
        4..=8 => on_connection(world, input, |world, conn, input| {
            let payload = payload(input);
            let frame = HandshakeFrame::read(&payload, FILTER);
            world.tell(|control, now| control.handshake_frame(conn, frame, now));
        }),
        9 => on_connection(world, input, |world, conn, input| {
            let failure = match input.below(3) {
                0 => Failure::Cancelled,
                1 => Failure::EmptyFrame,
                _ => Failure::StalledWrite(Duration::from_secs(1)),
            };
            world.closed(conn, failure);
        }),
        10 => world.tick(Duration::from_millis(u64::from(input.u16()) / 4)),
        11 => {
            let retry = [None, Some(1), Some(20)][input.below(3)].map(Duration::from_secs);
            world.peer(url(input.u8()), retry);
        }
        12 => {
            let url = url(input.u8());
            world.tell(|control, now| control.unpeer(&url, now));
        }
        13 => {
            let id = id(input);
            world.tell(|control, now| control.unpeer_id(id, now));
        }
        14 => subscriptions(world, input),
        15 => on_connection(world, input, |world, conn, input| {
            let filter = filter(input);
            world.heard(conn);
            world.tell(|control, now| control.routing_update(conn, filter, now));
        }),
        16 => on_connection(world, input, |world, conn, input| {
            let token = world.token(conn).filter(|_| input.u8() > 0).unwrap_or_default();
            world.heard(conn);
            world.tell(|control, now| control.pong(conn, &token, now));
        }),
        _ => match input.u8() {
            0xff => world.shut_down(),
            _ => on_connection(world, input, |world, conn, _| {
                world.tell(|control, _| control.overflow(conn));
            }),
        },
    }
}

fn on_connection(
    world: &mut World,
    input: &mut Input<'_>,
    act: impl FnOnce(&mut World, ConnectionId, &mut Input<'_>),
) {
    if let Some(conn) = input.pick(&world.conns()) {
        act(world, conn, input);
    }
}

/// One of few ids: smaller and larger ones than the own, that one, and nil.
fn id(input: &mut Input<'_>) -> EndpointId {
    let ids = [0x11, 0x22, 0xdd, 0xee, 0x00].map(|byte| EndpointId::from_bytes([byte; 16]));
    ids.get(input.below(6)).copied().unwrap_or(OWN)
}

fn filter(input: &mut Input<'_>) -> Vec<Bytes> {
    let topics: [&[u8]; 4] = [b"/a", b"/a/b", b"", b"<$>/local/x"];
    (0..input.below(5)).filter_map(|_| input.pick(&topics)).map(Bytes::from_static).collect()
}

/// What an endpoint says of itself behind its filter, if anything.
fn role(input: &mut Input<'_>) -> Option<Role> {
    [None, Some(Role::Leaf), Some(Role::Relay)][input.below(3)]
}

fn subscriptions(world: &mut World, input: &mut Input<'_>) {
    let (more, topics) = (input.below(2) == 0, filter(input));
    world.tell(|control, now| match more {
        // Too many are refused.
        true => drop(control.subscribe(&topics, now)),
        false => control.unsubscribe(&topics, now),
    });
}

/// The payload of a handshake frame: mostly a message, at times any bytes.
fn payload(input: &mut Input<'_>) -> Vec<u8> {
    let message = match input.below(9) {
        0 => HandshakeMessage::hello(id(input)),
        1 => HandshakeMessage::Probe,
        2 => {
            HandshakeMessage::VersionSelect { sender: id(input), version: 1 + input.below(2) as u8 }
        }
        3 => {
            let sender = id(input);
            let codes = [ErrorCode::RedundantConnection, ErrorCode::ShuttingDown];
            let code = codes[input.below(2)];
            HandshakeMessage::DropConn { sender, code, description: "because".into() }
        }
        4 => HandshakeMessage::OriginatorSyn(filter(input), role(input)),
        5 => HandshakeMessage::ResponderSynAck(filter(input), role(input)),
        6 => HandshakeMessage::OriginatorAck,
        7 => HandshakeMessage::Hello { sender: id(input), min_version: 0, max_version: 9 },
        _ => return input.string().to_vec(),
    };
    message.to_frame().split_off(PREFIX)
}
