//! Established connections.

use super::super::{AnonymousConnection, AnonymousStatus, Error};
use super::{feed, pair, records, refusal, seal, take};
use rustls::AlertDescription as Alert;
use std::io::IoSlice;

#[test]
fn data_of_any_size_arrives_in_whatever_pieces() {
    let (mut client, mut server) = pair();
    for length in [1, 15, 16, 17, 16_383, 16_384, 16_385, 100_000, 1 << 20] {
        let data: Vec<u8> = (0..length).map(|at| (at * 7) as u8).collect();
        let there = seal(&mut client, &data);
        assert!(feed(&mut server, &there).unwrap() == data, "{length}");
        let back = seal(&mut server, &data);
        let pieces = back.chunks(1 + length % 613);
        let plain: Vec<u8> = pieces.flat_map(|piece| feed(&mut client, piece).unwrap()).collect();
        assert!(plain == data, "{length}");
        client.release();
    }
}

#[test]
fn pieces_of_a_message_share_full_records() {
    let (mut client, mut server) = pair();
    let data = vec![5; 40_000];
    let pieces: Vec<IoSlice<'_>> = data.chunks(999).map(IoSlice::new).collect();
    assert_eq!(client.send(&pieces), Ok(40_000));
    let sealed = take(&mut client);
    assert_eq!(records(&sealed).len(), 3);
    assert!(feed(&mut server, &sealed).unwrap() == data);
    assert_eq!(client.send(&[]), Ok(0));
    assert_eq!(client.send(&[IoSlice::new(&[])]), Ok(0));
    assert!(client.output().is_empty());
    let huge = vec![0; 1 << 20];
    assert_eq!(client.send(&[IoSlice::new(&huge)]), Ok(1 << 16), "the rest has to wait");
}

#[test]
fn a_record_with_any_other_bit_is_refused() {
    let (mut client, _) = pair();
    let sealed = seal(&mut client, b"twenty bytes of data");
    for at in (0..sealed.len()).filter(|at| !(1..5).contains(at)) {
        let (mut client, mut server) = pair();
        let mut sealed = seal(&mut client, b"twenty bytes of data");
        sealed[at] ^= if at == 0 { 1 } else { 0x10 };
        assert_eq!(refusal(&mut server, &sealed), Alert::BadRecordMac, "byte {at}");
        let alert = take(&mut server);
        assert_eq!(
            feed(&mut client, &alert),
            Err(Error::AlertReceived(Alert::BadRecordMac)),
            "the alert is sealed"
        );
    }
}

#[test]
fn records_that_are_missing_repeated_or_reordered_are_refused() {
    for order in [&[1][..], &[0, 0], &[1, 0], &[0, 2]] {
        let (mut client, mut server) = pair();
        let sealed = [b"a", b"b", b"c"].map(|data| seal(&mut client, data));
        let stream: Vec<u8> = order.iter().flat_map(|at| sealed[*at].clone()).collect();
        assert_eq!(refusal(&mut server, &stream), Alert::BadRecordMac, "{order:?}");
    }
}

#[test]
fn records_of_the_other_direction_are_refused() {
    let (mut client, _) = pair();
    let sealed = seal(&mut client, b"reflected");
    assert_eq!(refusal(&mut client, &sealed), Alert::BadRecordMac);
}

#[test]
fn the_connection_ends_before_its_sequence_numbers_repeat() {
    let (mut client, mut server) = pair();
    client.exhaust(true);
    let outcome = client.send(&[IoSlice::new(b"x")]);
    assert!(matches!(outcome, Err(Error::Refused { .. })), "{outcome:?}");
    assert_eq!(client.output(), b"", "nothing is sealed with a number used before");
    client.close();
    assert_eq!(client.output(), b"");

    let (mut client, _) = pair();
    server.exhaust(false);
    assert_eq!(refusal(&mut server, &seal(&mut client, b"x")), Alert::InternalError);
}

#[test]
fn lengths_and_versions_of_records_have_bounds() {
    let too_long = [23, 3, 3, 0x48, 1];
    for (head, alert) in [
        (&too_long[..], Alert::RecordOverflow),
        (&[23, 3, 2, 0, 100], Alert::ProtocolVersion),
        (&[24, 3, 3, 0, 100], Alert::UnexpectedMessage),
        (&[23, 2, 3, 0, 100], Alert::UnexpectedMessage),
        (&[23, 3, 3, 0, 0], Alert::BadRecordMac),
    ] {
        // No more than the header has to arrive.
        assert_eq!(refusal(&mut pair().1, head), alert, "{head:?}");
    }
}

#[test]
fn some_records_without_data_are_endured_and_not_many() {
    let (mut client, mut server) = pair();
    for _ in 0..3 {
        for _ in 0..32 {
            assert_eq!(feed(&mut server, &client.sealed(23, b"")).unwrap(), b"");
        }
        assert_eq!(feed(&mut server, &seal(&mut client, b"x")).unwrap(), b"x");
    }
    let flood: Vec<u8> = (0..33).flat_map(|_| client.sealed(23, b"")).collect();
    assert_eq!(refusal(&mut server, &flood), Alert::UnexpectedMessage);
    for kind in [20, 21, 22] {
        let (mut client, mut server) = pair();
        assert_eq!(
            refusal(&mut server, &client.sealed(kind, b"")),
            Alert::UnexpectedMessage,
            "{kind}"
        );
    }
}

#[test]
fn an_orderly_end_ends_one_direction() {
    let (mut client, mut server) = pair();
    let data = seal(&mut client, b"last words");
    client.close();
    client.close();
    let end = take(&mut client);
    assert_eq!(records(&end).len(), 1, "said once");
    assert_eq!(client.send(&[IoSlice::new(b"x")]), Ok(0));
    assert_eq!(feed(&mut server, &data).unwrap(), b"last words");
    assert_eq!(feed(&mut server, &[end, b"whatever follows".to_vec()].concat()).unwrap(), b"");
    assert_eq!(server.process(), Ok(AnonymousStatus::Closed));
    assert!(server.output().is_empty());
    assert_eq!(feed(&mut client, &seal(&mut server, b"still")).unwrap(), b"still");
    assert_eq!(client.process(), Ok(AnonymousStatus::Input));
    server.close();
    assert_eq!(feed(&mut client, &take(&mut server)).unwrap(), b"");
    assert_eq!(client.process(), Ok(AnonymousStatus::Closed));
    assert!(client.output().is_empty() && server.output().is_empty());
}

#[test]
fn alerts_end_the_connection_unless_they_are_harmless_warnings() {
    let alerted = |alert: &[u8]| {
        let (mut client, mut server) = pair();
        let sealed = client.sealed(21, alert);
        feed(&mut server, &sealed).map(|_| server.process())
    };
    for (alert, code) in [(Alert::InternalError, 80), (Alert::HandshakeFailure, 40)] {
        assert_eq!(alerted(&[2, code]), Err(Error::AlertReceived(alert)));
        assert_eq!(alerted(&[1, code]), Err(Error::AlertReceived(alert)));
    }
    assert_eq!(alerted(&[1, 90]), Ok(Ok(AnonymousStatus::Input)));
    assert_eq!(alerted(&[1, 0]), Ok(Ok(AnonymousStatus::Closed)));
    for malformed in [&[2][..], &[1, 0, 0], &[3, 40], &[0, 80]] {
        assert!(matches!(alerted(malformed), Err(Error::Refused { .. })), "{malformed:?}");
    }
    let (mut client, mut server) = pair();
    let flood: Vec<u8> = (0..33).flat_map(|_| client.sealed(21, &[1, 90])).collect();
    assert_eq!(refusal(&mut server, &flood), Alert::UnexpectedMessage);
}

#[test]
fn renegotiation_is_declined_and_the_connection_goes_on() {
    let hello = super::Vector::all()[0].bytes("client_hello");
    let attempt =
        |asks: &mut AnonymousConnection, asked: &mut AnonymousConnection, message: &[u8]| {
            let sealed = asks.sealed(22, message);
            assert_eq!(feed(asked, &sealed).unwrap(), b"");
            let answer = take(asked);
            assert_eq!(records(&answer).len(), 1);
            assert_eq!(feed(asks, &answer).unwrap(), b"", "a warning is no end");
            assert_eq!(feed(asked, &seal(asks, b"go on")).unwrap(), b"go on");
        };
    let (mut client, mut server) = pair();
    attempt(&mut client, &mut server, &hello);
    attempt(&mut server, &mut client, &[0, 0, 0, 0]);

    let flood: Vec<u8> = (0..33).flat_map(|_| client.sealed(22, &hello)).collect();
    assert_eq!(refusal(&mut server, &flood), Alert::UnexpectedMessage);
    for (message, to_server) in [(&[0, 0, 0, 0][..], true), (&hello, false), (&[20, 0, 0, 0], true)]
    {
        let (mut client, mut server) = pair();
        let (from, to) =
            if to_server { (&mut client, &mut server) } else { (&mut server, &mut client) };
        assert_eq!(refusal(to, &from.sealed(22, message)), Alert::UnexpectedMessage);
    }
    let (mut client, mut server) = pair();
    let sealed = [client.sealed(22, &hello[..9]), seal(&mut client, b"between")].concat();
    assert_eq!(refusal(&mut server, &sealed), Alert::UnexpectedMessage);
}

#[test]
fn other_keys_are_not_taken_again() {
    let (mut client, mut server) = pair();
    assert_eq!(refusal(&mut server, &client.sealed(20, &[1])), Alert::UnexpectedMessage);
}
