//! Two connections talk to each other, in whatever pieces the bytes arrive.

#![allow(clippy::unwrap_used, clippy::panic)]

use broker_zmtp::{
    ClientKeys, Config, Connection, ENTROPY, Error, Event, Limits, Mechanism, Message, SecretKey,
    ServerKeys, SocketType,
};
use proptest::prelude::*;

fn server_secret() -> SecretKey {
    "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6".parse().unwrap()
}

fn client_secret() -> SecretKey {
    SecretKey::new([9; 32])
}

fn of_server() -> Mechanism {
    let keys = ServerKeys { secret: server_secret(), client: client_secret().public() };
    Mechanism::CurveServer(keys, Box::new([1; ENTROPY]))
}

fn of_client(secret: SecretKey) -> Mechanism {
    let server = server_secret().public();
    let keys = ClientKeys { server, public: secret.public(), secret };
    Mechanism::CurveClient(keys, Box::new([2; ENTROPY]))
}

fn config(socket: SocketType, mechanism: Mechanism, minor: u8) -> Config {
    Config { mechanism, minor, ..Config::new(socket) }
}

/// Publisher and subscriber, with each mechanism and each pair of versions.
fn pairs() -> impl Iterator<Item = [Connection; 2]> {
    (0..8).map(pair)
}

fn pair(choice: u8) -> [Connection; 2] {
    let [one, two] = match choice & 4 {
        0 => [Mechanism::Null, Mechanism::Null],
        _ => [of_server(), of_client(client_secret())],
    };
    [
        Connection::new(config(SocketType::XPub, one, choice & 1)),
        Connection::new(config(SocketType::XSub, two, choice >> 1 & 1)),
    ]
}

/// Lets the two talk until neither has anything to say. Returns what each was told.
fn talk(sides: &mut [Connection; 2], piece: usize) -> [Result<Vec<Event>, Error>; 2] {
    let mut told = [Ok(Vec::new()), Ok(Vec::new())];
    loop {
        let mut is_done = true;
        for from in 0..2 {
            let bytes = sides[from].take_output();
            is_done &= bytes.is_empty();
            for bytes in bytes.chunks(piece) {
                let to = 1 - from;
                let _ = sides[to].received(bytes);
                while let Ok(events) = &mut told[to] {
                    match sides[to].next_event() {
                        Ok(Some(event)) => events.push(event),
                        Ok(None) => break,
                        Err(error) => told[to] = Err(error),
                    }
                }
            }
        }
        if is_done {
            return told;
        }
    }
}

fn message(parts: &[&[u8]]) -> Event {
    Event::Message(parts.iter().copied().collect::<Message>())
}

#[test]
fn subscriptions_and_messages_arrive_with_every_mechanism_and_version() {
    for mut sides in pairs() {
        // Before the handshake, and after it.
        sides[1].subscribe(b"");
        sides[0].send(&[b"early", b""]);
        let [publisher, subscriber] = talk(&mut sides, usize::MAX);
        let publisher = publisher.unwrap();
        assert!(matches!(publisher[0], Event::Ready(_)), "{publisher:?}");
        assert_eq!(publisher[1..], [Event::Subscribed(Vec::new())]);
        assert_eq!(subscriber.unwrap()[1..], [message(&[b"early", b""])]);
        sides[1].cancel(b"a.b");
        let long = vec![7; 100_000];
        sides[0].send(&[b"topic", b"", &long]);
        let [publisher, subscriber] = talk(&mut sides, 1000);
        assert_eq!(publisher.unwrap(), [Event::Cancelled(b"a.b".to_vec())]);
        assert_eq!(subscriber.unwrap(), [message(&[b"topic", b"", &long])]);
    }
}

#[test]
fn a_sign_of_life_is_asked_for_where_both_sides_know_how() {
    for mut sides in pairs() {
        assert!(!sides[0].ping(), "before the handshake");
        let ready = talk(&mut sides, usize::MAX).map(|events| events.unwrap().remove(0));
        let minors = ready.map(|event| match event {
            Event::Ready(peer) => peer.minor,
            other => panic!("{other:?}"),
        });
        let can = minors == [1, 1];
        assert_eq!(sides[0].ping(), can);
        let [asking, asked] = talk(&mut sides, usize::MAX);
        let pongs: Vec<Event> = can.then_some(Event::Pong).into_iter().collect();
        assert_eq!((asking.unwrap(), asked.unwrap()), (pongs, Vec::new()));
    }
}

#[test]
fn sockets_that_do_not_belong_together_are_told() {
    for (one, two, fits) in [
        (SocketType::Pub, SocketType::Sub, true),
        (SocketType::XPub, SocketType::Sub, true),
        (SocketType::Pull, SocketType::Push, true),
        (SocketType::Pull, SocketType::XPub, false),
        (SocketType::XSub, SocketType::XSub, false),
        (SocketType::Push, SocketType::Push, false),
    ] {
        let mut sides = [one, two].map(|socket| Connection::new(Config::new(socket)));
        for told in talk(&mut sides, usize::MAX) {
            match told {
                Ok(_) => assert!(fits, "{one:?} {two:?}"),
                Err(error) => assert!(matches!(error, Error::SocketType(_)) && !fits, "{error}"),
            }
        }
    }
}

#[test]
fn keys_have_to_be_those_that_were_agreed_on() {
    let talk = |server: Mechanism, client: Mechanism| {
        let one = Connection::new(config(SocketType::XPub, server, 1));
        let two = Connection::new(config(SocketType::XSub, client, 1));
        talk(&mut [one, two], usize::MAX).map(|told| told.map(|_| ()))
    };
    let foreign = of_client(SecretKey::new([5; 32]));
    let refused = Error::Refused("400".to_owned());
    assert_eq!(talk(of_server(), foreign), [Err(Error::UnknownKey), Err(refused)]);
    // The client expects another server.
    let secret = client_secret();
    let keys = ClientKeys { server: secret.public(), public: secret.public(), secret };
    let client = Mechanism::CurveClient(keys, Box::new([2; ENTROPY]));
    let [server, client] = talk(of_server(), client);
    assert_eq!((server, client), (Err(Error::Undecipherable("the HELLO")), Ok(())));
    // The client claims a public key whose secret it does not have.
    let keys = ClientKeys {
        server: server_secret().public(),
        public: client_secret().public(),
        secret: SecretKey::new([6; 32]),
    };
    let client = Mechanism::CurveClient(keys, Box::new([2; ENTROPY]));
    let [server, _] = talk(of_server(), client);
    assert_eq!(server, Err(Error::Undecipherable("the vouch")));
    let [one, two] = talk(Mechanism::Null, of_client(client_secret()));
    assert_eq!(one, Err(Error::Mechanism { theirs: "CURVE".to_owned(), ours: "NULL" }));
    assert_eq!(two, Err(Error::Mechanism { theirs: "NULL".to_owned(), ours: "CURVE" }));
}

#[test]
fn an_encrypted_frame_that_is_changed_or_comes_twice_ends_the_connection() {
    let open = || {
        let mut sides = [
            Connection::new(config(SocketType::XPub, of_server(), 1)),
            Connection::new(config(SocketType::XSub, of_client(client_secret()), 1)),
        ];
        let _ = talk(&mut sides, usize::MAX).map(Result::unwrap);
        sides[0].send(&[b"topic"]);
        let bytes = sides[0].take_output();
        (sides, bytes)
    };
    let (mut sides, bytes) = open();
    sides[1].received(&bytes).unwrap();
    assert_eq!(sides[1].next_event().unwrap(), Some(message(&[b"topic"])));
    sides[1].received(&bytes).unwrap();
    assert_eq!(sides[1].next_event(), Err(Error::Protocol("a message was sent again")));
    let (mut sides, mut bytes) = open();
    *bytes.last_mut().unwrap() ^= 1;
    sides[1].received(&bytes).unwrap();
    assert_eq!(sides[1].next_event(), Err(Error::Undecipherable("a message")));
    assert!(sides[1].received(b"more").is_err());
}

#[test]
fn what_is_too_long_is_refused_by_its_header_alone() {
    let limits = Limits { message: 1000, parts: 3 };
    let open = || {
        let config = Config { limits, ..Config::new(SocketType::XSub) };
        let mut sides = [Connection::new(Config::new(SocketType::XPub)), Connection::new(config)];
        let _ = talk(&mut sides, usize::MAX).map(Result::unwrap);
        sides
    };
    let mut sides = open();
    sides[0].send(&[&[0; 500], &[0; 500]]);
    assert_eq!(talk(&mut sides, 100)[1].as_ref().unwrap().len(), 1);
    for (header, what) in [
        (&[2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff][..], "a message"),
        (&[2, 0, 0, 0, 0, 0, 0, 3, 0xe9], "a message"),
        (&[6, 0, 0, 0, 1, 0, 0, 0, 0], "a command"),
    ] {
        let mut sides = open();
        sides[1].received(header).unwrap();
        let error = sides[1].next_event().unwrap_err();
        assert!(error.to_string().starts_with(what), "{error}");
    }
    let mut sides = open();
    sides[0].send(&[b"1", b"2", b"3", b"4"]);
    assert_eq!(talk(&mut sides, 100)[1], Err(Error::TooManyParts(3)));
    // Before the handshake is done.
    let mut connection = Connection::new(Config::new(SocketType::XSub));
    let mut other = Connection::new(Config::new(SocketType::XPub));
    connection.received(&other.take_output()).unwrap();
    connection.received(&[6, 0, 0, 0, 0, 0, 1, 0, 0]).unwrap();
    assert!(matches!(connection.next_event(), Err(Error::TooLarge { limit: 8192, .. })));
}

#[test]
fn pongs_do_not_pile_up_for_a_side_that_does_not_read() {
    let mut connection = Connection::new(Config::new(SocketType::XSub));
    let mut other = Connection::new(Config::new(SocketType::XPub));
    for _ in 0..3 {
        connection.received(&other.take_output()).unwrap();
        let _ = connection.next_event().unwrap();
        other.received(&connection.take_output()).unwrap();
        let _ = other.next_event().unwrap();
    }
    for _ in 0..100_000 {
        assert!(other.ping());
        connection.received(&other.take_output()).unwrap();
        assert_eq!(connection.next_event().unwrap(), None);
    }
    assert!(connection.output().len() < 70_000, "{}", connection.output().len());
}

proptest! {
    #[test]
    fn a_stream_means_the_same_in_whatever_pieces(
        parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..600), 1..5),
        piece in 1_usize..300,
        choice in 0_u8..8,
    ) {
        let mut sides = pair(choice);
        let mut parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        parts.insert(0, b"topic");
        sides[0].send(&parts);
        let [_, subscriber] = talk(&mut sides, piece);
        prop_assert_eq!(&subscriber.unwrap()[1..], &[message(&parts)]);
    }
}
