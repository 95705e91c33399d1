//! What the fuzz target `zmtp` runs.

use crate::{
    ClientKeys, Config, Connection, ENTROPY, Error, Event, Limits, Mechanism, SecretKey,
    ServerKeys, SocketType,
};

const SOCKETS: [(SocketType, SocketType); 3] = [
    (SocketType::XPub, SocketType::XSub),
    (SocketType::Pub, SocketType::Sub),
    (SocketType::Pull, SocketType::Push),
];

const LIMITS: Limits = Limits { message: 4096, parts: 8 };

/// Runs an input. The first byte chooses sockets, mechanism and versions, the second how the rest
/// is used: as the stream of a stranger, or as what two sides say to each other and what happens to
/// it on the way.
///
/// # Panics
///
/// A stream is understood differently in other pieces, more is kept than the limits allow, or what
/// one side sends does not arrive.
pub fn zmtp(input: &[u8]) {
    let [choice, way, rest @ ..] = input else { return };
    match way % 2 {
        0 => stranger(*choice, rest),
        _ => two_sides(*choice, rest),
    }
}

fn pair(choice: u8) -> [Config; 2] {
    let (one, two) = SOCKETS[usize::from(choice & 3) % SOCKETS.len()];
    let config = |socket, mechanism, minor: u8| Config { socket, mechanism, minor, limits: LIMITS };
    let minors = [choice >> 2 & 1, choice >> 3 & 1];
    if choice & 0x10 == 0 {
        return [config(one, Mechanism::Null, minors[0]), config(two, Mechanism::Null, minors[1])];
    }
    let (server, client) = (SecretKey::new([1; 32]), SecretKey::new([2; 32]));
    let of_server = ServerKeys { secret: server.clone(), client: client.public() };
    let of_client = ClientKeys { server: server.public(), public: client.public(), secret: client };
    let server = Mechanism::CurveServer(of_server, Box::new([3; ENTROPY]));
    let client = Mechanism::CurveClient(of_client, Box::new([4; ENTROPY]));
    [config(one, server, minors[0]), config(two, client, minors[1])]
}

/// Everything that comes of a stream in pieces of this length.
fn outcome(config: Config, stream: &[u8], piece: usize) -> (Vec<Event>, Vec<u8>, Option<Error>) {
    let mut connection = Connection::new(config);
    let (mut events, mut output) = (Vec::new(), Vec::new());
    for bytes in stream.chunks(piece.max(1)) {
        let mut failed = connection.received(bytes).err();
        while failed.is_none() {
            match connection.next_event() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(error) => failed = Some(error),
            }
        }
        output.extend(connection.take_output());
        if failed.is_some() {
            return (events, output, failed);
        }
    }
    (events, output, None)
}

fn stranger(choice: u8, stream: &[u8]) {
    let [one, two] = pair(choice);
    for config in [one, two] {
        let whole = outcome(config.clone(), stream, stream.len());
        for event in &whole.0 {
            if let Event::Message(message) = event {
                assert!(message.byte_len() <= LIMITS.message);
                assert!(message.parts().len() <= LIMITS.parts);
            }
        }
        assert_eq!(outcome(config.clone(), stream, 1), whole);
        assert_eq!(outcome(config, stream, 7), whole);
    }
}

/// Each byte is something that one of the sides does. A changed byte on the way may end the
/// connection; without one everything arrives.
fn two_sides(choice: u8, script: &[u8]) {
    let mut sides = pair(choice).map(Connection::new);
    let mut sent: [Vec<Event>; 2] = [Vec::new(), Vec::new()];
    let mut arrived: [Vec<Event>; 2] = [Vec::new(), Vec::new()];
    let mut is_disturbed = false;
    let publishes = |choice: u8| !matches!(choice & 3, 2);
    for (at, action) in script.iter().take(256).enumerate() {
        let from = usize::from(action >> 7);
        let (side, to) = (&mut sides[from], 1 - from);
        let body = vec![*action; usize::from(*action) * (at % 5)];
        match action & 7 {
            // Only the side that publishes sends messages, and nothing that looks like a
            // subscription.
            0 | 1 if from == 0 && publishes(choice) => {
                side.send(&[b"topic", &body]);
                sent[to].push(Event::Message([&b"topic"[..], &body].into_iter().collect()));
            }
            0 | 1 if from == 1 && !publishes(choice) => {
                side.send(&[&body]);
                sent[to].push(Event::Message([&body[..]].into_iter().collect()));
            }
            2 if from == 1 && publishes(choice) => {
                side.subscribe(&body);
                sent[to].push(Event::Subscribed(body));
            }
            3 if from == 1 && publishes(choice) => {
                side.cancel(&body);
                sent[to].push(Event::Cancelled(body));
            }
            4 => _ = side.ping(),
            5 => {
                let mut bytes = side.take_output();
                let len = bytes.len();
                if let Some(byte) = bytes.get_mut(usize::from(*action) % len.max(1)) {
                    is_disturbed = true;
                    *byte ^= 1 << (at % 8);
                }
                let _ = sides[to].received(&bytes);
            }
            _ => exchange(&mut sides, &mut arrived, from),
        }
    }
    for round in 0..12 {
        exchange(&mut sides, &mut arrived, round % 2);
    }
    if is_disturbed {
        return;
    }
    for (sent, arrived) in sent.iter().zip(&arrived) {
        let arrived: Vec<&Event> =
            arrived.iter().filter(|e| !matches!(e, Event::Pong | Event::Ready(_))).collect();
        assert_eq!(arrived, sent.iter().collect::<Vec<_>>());
    }
}

fn exchange(sides: &mut [Connection; 2], arrived: &mut [Vec<Event>; 2], from: usize) {
    let bytes = sides[from].take_output();
    let to = &mut sides[1 - from];
    if to.received(&bytes).is_ok() {
        while let Ok(Some(event)) = to.next_event() {
            arrived[1 - from].push(event);
        }
    }
}
