//! The course of the handshake.

use super::super::keys::{Entropy, Group};
use super::super::record::Kind;
use super::super::{AnonymousConnection, AnonymousError, AnonymousStatus};
use super::{
    CHANGE_CIPHER_SPEC, Vector, feed, pair, plain_refusal, record, records, refusal, sealed, take,
};
use rustls::AlertDescription as Alert;

/// A server that waits for the client's keys, and the messages that got it there.
fn waiting_server() -> AnonymousConnection {
    let mut server = AnonymousConnection::server();
    feed(&mut server, &record(22, &Vector::all()[0].bytes("client_hello"))).unwrap();
    take(&mut server);
    server
}

#[test]
fn two_sides_agree_whatever_the_pieces_in_which_bytes_arrive() {
    for size in [1, 7, 64, 100_000] {
        let (mut client, mut server) =
            (AnonymousConnection::client().unwrap(), AnonymousConnection::server());
        while !client.is_established() || !server.is_established() {
            for piece in take(&mut client).chunks(size) {
                feed(&mut server, piece).unwrap();
            }
            for piece in take(&mut server).chunks(size) {
                feed(&mut client, piece).unwrap();
            }
        }
    }
}

#[test]
fn key_exchanges_agree_on_every_curve_and_only_with_its_points() {
    let mut entropy = Entropy::system();
    for group in Group::ALL {
        let (a, b) = (entropy.share(group).unwrap(), entropy.share(group).unwrap());
        let (of_a, of_b) = (a.public.clone(), b.public.clone());
        assert_eq!(a.agree(&of_b).unwrap(), b.agree(&of_a).unwrap());
        for wrong in [vec![], vec![4], vec![0; of_a.len()], vec![0xFF; of_a.len()], {
            let mut short = of_a.clone();
            short.pop();
            short
        }] {
            let mut bad = vec![wrong];
            if group != Group::X25519 {
                let mut off_the_curve = of_a.clone();
                off_the_curve[20] ^= 1;
                bad.push(off_the_curve);
            }
            for point in bad.iter().filter(|point| group != Group::X25519 || point.len() != 32) {
                let outcome = entropy.share(group).unwrap().agree(point).unwrap_err();
                assert!(
                    matches!(
                        outcome,
                        AnonymousError::Refused { alert: Alert::IllegalParameter, .. }
                    ),
                    "{group:?}: {outcome}"
                );
            }
        }
    }
    // A point of small order would make the secret known to everybody.
    assert!(entropy.share(Group::X25519).unwrap().agree(&[0; 32]).is_err());
}

#[test]
fn a_point_that_is_none_ends_the_handshake_at_both_sides() {
    let vector = &Vector::all()[0];
    let mut point = vector.bytes("client_key_exchange");
    point[40] ^= 1;
    // The server has chosen X25519 for this client, so a point of P-384 is too long for it.
    assert_eq!(plain_refusal(&mut waiting_server(), &record(22, &point)), Alert::IllegalParameter);

    let mut client = AnonymousConnection::client().unwrap();
    let mut flight = vector.flight();
    flight[1][40] ^= 1;
    let flight = record(22, &flight.concat());
    assert_eq!(plain_refusal(&mut client, &flight), Alert::IllegalParameter);
}

#[test]
fn messages_come_in_their_order_and_once() {
    let vector = &Vector::all()[1];
    let messages = vector.flight();
    for order in [&[1][..], &[2], &[0, 0], &[0, 2], &[0, 1, 1], &[0, 1, 0]] {
        let stream: Vec<u8> = order.iter().flat_map(|at| messages[*at].clone()).collect();
        let alert = plain_refusal(&mut vector.client(), &record(22, &stream));
        assert_eq!(alert, Alert::UnexpectedMessage, "{order:?}");
        let stream: Vec<u8> = order.iter().flat_map(|at| record(22, &messages[*at])).collect();
        let alert = plain_refusal(&mut vector.client(), &stream);
        assert_eq!(alert, Alert::UnexpectedMessage, "{order:?}");
    }
    // Of the client's own messages, and of modes with certificates.
    for message in [vector.bytes("client_hello"), vec![11, 0, 0, 3, 0, 0, 0], vec![13, 0, 0, 0]] {
        for before in 0..2 {
            let mut client = vector.client();
            feed(&mut client, &record(22, &messages[..before].concat())).unwrap_or_default();
            let alert = plain_refusal(&mut client, &record(22, &message));
            assert_eq!(alert, Alert::UnexpectedMessage);
        }
    }
    let keys = record(22, &vector.bytes("client_key_exchange"));
    let hello = record(22, &vector.bytes("client_hello"));
    let finished = record(22, &vector.bytes("client_finished"));
    for first in [&keys, &finished, &record(22, &messages[0])] {
        let alert = plain_refusal(&mut AnonymousConnection::server(), first);
        assert_eq!(alert, Alert::UnexpectedMessage);
    }
    for next in [
        hello.clone(),
        finished.clone(),
        [&keys[..], &keys].concat(),
        [&keys[..], &finished].concat(),
        [&keys[..], &hello].concat(),
    ] {
        assert_eq!(plain_refusal(&mut waiting_server(), &next), Alert::UnexpectedMessage);
    }
}

#[test]
fn an_anonymous_server_that_asks_for_a_certificate_ends_the_handshake() {
    let vector = &Vector::all()[1];
    let mut client = vector.client();
    feed(&mut client, &record(22, &vector.flight()[..2].concat())).unwrap();
    // RFC 5246, section 7.4.4, has an alert of its own for this.
    let request = record(22, &[13, 0, 0, 8, 1, 64, 0, 2, 4, 3, 0, 0]);
    assert_eq!(plain_refusal(&mut client, &request), Alert::HandshakeFailure);
}

#[test]
fn keys_change_when_it_is_time_and_at_no_other() {
    let vector = &Vector::all()[1];
    let keys = record(22, &vector.bytes("client_key_exchange"));
    let flight = record(22, &vector.flight().concat());
    let change = CHANGE_CIPHER_SPEC;
    let hello = record(22, &vector.bytes("client_hello"));
    for early in [&change[..], &[&hello[..], &change].concat()] {
        let alert = plain_refusal(&mut AnonymousConnection::server(), early);
        assert_eq!(alert, Alert::UnexpectedMessage);
    }
    for early in [&change[..], &[&record(22, &vector.flight()[0]), &change[..]].concat()] {
        assert_eq!(plain_refusal(&mut vector.client(), early), Alert::UnexpectedMessage);
    }
    for wrong in [record(20, &[2]), record(20, &[1, 1])] {
        let stream = [&keys[..], &wrong].concat();
        assert_eq!(plain_refusal(&mut waiting_server(), &stream), Alert::UnexpectedMessage);
    }
    // In the middle of a message.
    let stream = [&keys[..], &record(22, &[20, 0]), &change].concat();
    assert_eq!(plain_refusal(&mut waiting_server(), &stream), Alert::UnexpectedMessage);
    // After the change, nothing goes without protection any more.
    let stream = [&keys[..], &change, &change].concat();
    assert_eq!(plain_refusal(&mut waiting_server(), &stream), Alert::BadRecordMac);
    let mut client = vector.client();
    let [mut server, _] = vector.sealers();
    feed(&mut client, &[&flight[..], &change].concat()).unwrap();
    let again = sealed(&mut server, Kind::ChangeCipherSpec, &[1]);
    assert_eq!(refusal(&mut client, &again), Alert::UnexpectedMessage);
}

#[test]
fn no_data_is_taken_before_the_handshake_is_done() {
    let vector = &Vector::all()[1];
    let data = record(23, b"data");
    assert_eq!(plain_refusal(&mut AnonymousConnection::server(), &data), Alert::UnexpectedMessage);
    assert_eq!(plain_refusal(&mut vector.client(), &data), Alert::UnexpectedMessage);
    let mut client = vector.client();
    feed(&mut client, &record(22, &vector.flight().concat())).unwrap();
    assert_eq!(client.send(&[std::io::IoSlice::new(b"x")]), Ok(0), "nor sent");
    feed(&mut client, &CHANGE_CIPHER_SPEC).unwrap();
    let [mut server, _] = vector.sealers();
    let data = sealed(&mut server, Kind::Data, b"data");
    assert_eq!(refusal(&mut client, &data), Alert::UnexpectedMessage);
}

#[test]
fn nothing_follows_the_last_message_in_its_record() {
    let vector = &Vector::all()[1];
    let mut client = vector.client();
    feed(&mut client, &record(22, &vector.flight().concat())).unwrap();
    feed(&mut client, &CHANGE_CIPHER_SPEC).unwrap();
    let [mut server, _] = vector.sealers();
    let messages = [&vector.bytes("server_finished")[..], &[0]].concat();
    let stream = sealed(&mut server, Kind::Handshake, &messages);
    assert_eq!(refusal(&mut client, &stream), Alert::UnexpectedMessage);
}

/// A message with the first `length` bytes of its body.
fn cut(message: &[u8], length: usize) -> Vec<u8> {
    let mut cut = message[..4 + length].to_vec();
    [cut[2], cut[3]] = (length as u16).to_be_bytes();
    cut
}

#[test]
fn messages_cut_or_extended_anywhere_are_refused() {
    for vector in Vector::all() {
        let flight = vector.flight();
        for at in 0..flight.len() {
            let before = flight[..at].concat();
            let long = [&flight[at][..], &[0]].concat();
            let mut wrong: Vec<_> =
                (0..flight[at].len() - 4).map(|length| cut(&flight[at], length)).collect();
            wrong.push(cut(&long, long.len() - 4));
            for message in wrong {
                let stream = record(22, &[&before[..], &message].concat());
                plain_refusal(&mut vector.client(), &stream);
            }
        }
        let hello = vector.bytes("client_hello");
        for length in 0..hello.len() - 4 {
            plain_refusal(&mut AnonymousConnection::server(), &record(22, &cut(&hello, length)));
        }
        let long = [&hello[..], &[0]].concat();
        let stream = record(22, &cut(&long, long.len() - 4));
        assert_eq!(plain_refusal(&mut AnonymousConnection::server(), &stream), Alert::DecodeError);
    }
    let keys = Vector::all()[1].bytes("client_key_exchange");
    for length in 0..keys.len() - 4 {
        plain_refusal(&mut waiting_server(), &record(22, &cut(&keys, length)));
    }
    let long = [&keys[..], &[0]].concat();
    let stream = record(22, &cut(&long, long.len() - 4));
    assert_eq!(plain_refusal(&mut waiting_server(), &stream), Alert::DecodeError);
}

#[test]
fn a_message_may_come_in_records_of_one_byte_and_several_in_one() {
    let vector = &Vector::all()[0];
    let hello = vector.bytes("client_hello");
    let mut server = AnonymousConnection::server();
    let stream: Vec<u8> = hello.iter().flat_map(|byte| record(22, &[*byte])).collect();
    feed(&mut server, &stream).unwrap();
    assert_eq!(records(&take(&mut server)).len(), 1, "the answer");

    let mut client = vector.client();
    let stream = vector.flight().concat();
    let stream: Vec<u8> = stream.iter().flat_map(|byte| record(22, &[*byte])).collect();
    feed(&mut client, &stream).unwrap();
    feed(&mut client, &CHANGE_CIPHER_SPEC).unwrap();
    feed(&mut client, &vector.bytes("server_finished_record")).unwrap();
    assert!(client.is_established());
}

#[test]
fn giant_messages_are_refused_by_their_length() {
    let giant = record(22, &[1, 1, 0, 1]);
    assert_eq!(plain_refusal(&mut AnonymousConnection::server(), &giant), Alert::IllegalParameter);
    // One that is not giant waits for its end.
    assert_eq!(feed(&mut AnonymousConnection::server(), &record(22, &[1, 1, 0, 0])), Ok(vec![]));
}

#[test]
fn records_of_a_handshake_have_bounds() {
    for (head, alert) in [
        (&[22, 3, 1, 0x40, 1][..], Alert::RecordOverflow),
        (&[22, 3, 1, 0, 0], Alert::UnexpectedMessage),
        (&[21, 3, 1, 0, 0], Alert::UnexpectedMessage),
        (&[22, 2, 0, 0, 4], Alert::UnexpectedMessage),
        (b"GET / HTTP/1.1\r\n", Alert::UnexpectedMessage),
        (&[0, 0, 0, 23, 6], Alert::UnexpectedMessage),
    ] {
        assert_eq!(plain_refusal(&mut AnonymousConnection::server(), head), alert, "{head:?}");
        assert_eq!(
            plain_refusal(&mut AnonymousConnection::client().unwrap(), head),
            alert,
            "{head:?}"
        );
    }
    let other_version = [&record(22, &Vector::all()[0].flight()[0])[..], &[22, 3, 1, 0, 4]];
    let mut client = Vector::all()[0].client();
    assert_eq!(plain_refusal(&mut client, &other_version.concat()), Alert::ProtocolVersion);
}

#[test]
fn alerts_during_the_handshake_end_it() {
    for (level, alert) in [(2, Alert::HandshakeFailure), (1, Alert::CloseNotify)] {
        for mut connection in
            [AnonymousConnection::client().unwrap(), AnonymousConnection::server()]
        {
            take(&mut connection);
            let outcome = feed(&mut connection, &record(21, &[level, alert.into()]));
            assert_eq!(outcome, Err(AnonymousError::AlertReceived(alert)));
            assert!(connection.output().is_empty(), "alerts are not answered");
        }
    }
    // Requests for a handshake mean nothing during one.
    let vector = &Vector::all()[1];
    let mut client = vector.client();
    feed(&mut client, &record(22, &[0, 0, 0, 0])).unwrap();
    feed(&mut client, &record(22, &vector.flight().concat())).unwrap();
    feed(&mut client, &CHANGE_CIPHER_SPEC).unwrap();
    feed(&mut client, &vector.bytes("server_finished_record")).unwrap();
    assert!(client.is_established(), "nor do they belong to the transcript");
}

#[test]
fn a_hello_changed_on_its_way_ends_the_handshake() {
    for at in [20, 50] {
        let (mut client, mut server) =
            (AnonymousConnection::client().unwrap(), AnonymousConnection::server());
        let mut hello = take(&mut client);
        // A random byte, or which curve is preferred.
        hello[at] ^= if at == 20 { 1 } else { 0 };
        if at == 50 {
            let groups = hello.windows(2).position(|pair| pair == [0, 0x1D]).unwrap();
            hello.swap(groups + 1, groups + 3);
        }
        feed(&mut server, &hello).unwrap();
        feed(&mut client, &take(&mut server)).unwrap();
        assert_eq!(refusal(&mut server, &take(&mut client)), Alert::BadRecordMac);
    }
    let (mut client, _) = pair();
    assert_eq!(client.process(), Ok(AnonymousStatus::Input));
}
