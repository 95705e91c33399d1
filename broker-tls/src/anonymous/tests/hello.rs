//! What the sides demand of each other's hello, and how listeners tell clients apart.

use super::super::{AnonymousConnection, Hello, inspect};
use super::{Vector, feed, plain_refusal, record, take};
use rustls::AlertDescription as Alert;
use rustls::CipherSuite;

/// Replaces the only occurrence of some bytes, and corrects the lengths of message and extensions.
fn replace(hello: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let found: Vec<usize> = (0..hello.len()).filter(|at| hello[*at..].starts_with(from)).collect();
    let [at] = found[..] else { unreachable!("{found:?}") };
    let mut changed = [&hello[..at], to, &hello[at + from.len()..]].concat();
    let length = changed.len() as u16 - 4;
    changed[2..4].copy_from_slice(&length.to_be_bytes());
    // One suite in a client's hello and one session of 32 bytes in a server's.
    let extensions = if hello[0] == 1 { 45 } else { 74 };
    let difference = to.len() as isize - from.len() as isize;
    if at > extensions {
        let old = u16::from_be_bytes([hello[extensions], hello[extensions + 1]]);
        let new = (old as isize + difference) as u16;
        changed[extensions..extensions + 2].copy_from_slice(&new.to_be_bytes());
    }
    changed
}

const ETM: &[u8] = &[0, 22, 0, 0];
const EMS: &[u8] = &[0, 23, 0, 0];
const GROUPS: &[u8] = &[0, 10, 0, 8, 0, 6, 0, 0x1D, 0, 0x17, 0, 0x18];
const FORMATS: &[u8] = &[0, 11, 0, 2, 1, 0];
const RENEGOTIATION: &[u8] = &[0xFF, 1, 0, 1, 0];

#[test]
fn a_server_demands_what_this_mode_needs_and_says_what_is_lacking() {
    let hello = Vector::all()[0].bytes("client_hello");
    let lacks = Alert::HandshakeFailure;
    for (from, to, alert) in [
        (ETM, &[][..], lacks),
        (EMS, &[], lacks),
        (ETM, &[0, 22, 0, 1, 0], Alert::DecodeError),
        (EMS, &[0, 22, 0, 0], Alert::DecodeError),
        (&[0xC0, 0x19, 1, 0], &[0xC0, 0x18, 1, 0], lacks),
        (&[0xC0, 0x19, 1, 0], &[0xC0, 0x19, 1, 1], Alert::IllegalParameter),
        (GROUPS, &[0, 10, 0, 4, 0, 2, 0, 0x19], lacks),
        (GROUPS, &[0, 10, 0, 2, 0, 0], Alert::DecodeError),
        (GROUPS, &[0, 10, 0, 5, 0, 3, 0, 0x18, 0], Alert::DecodeError),
        (FORMATS, &[0, 11, 0, 2, 1, 1], Alert::IllegalParameter),
        (RENEGOTIATION, &[0xFF, 1, 0, 2, 1, 7], lacks),
        (&[1, 0, 0, 0x4A, 3, 3], &[1, 0, 0, 0x4A, 3, 2], Alert::ProtocolVersion),
        // Where versions are listed, the list alone counts (RFC 8446, section 4.2.1).
        (FORMATS, &[0, 43, 0, 3, 2, 3, 2], Alert::ProtocolVersion),
        (FORMATS, &[0, 43, 0, 3, 2, 3, 4], Alert::ProtocolVersion),
    ] {
        let changed = replace(&hello, from, to);
        let mut server = AnonymousConnection::server();
        assert_eq!(plain_refusal(&mut server, &record(22, &changed)), alert, "{from:?}, {to:?}");
    }
}

#[test]
fn a_server_takes_what_may_differ() {
    let hello = Vector::all()[0].bytes("client_hello");
    for (from, to) in [
        (&[1, 0, 0, 0x4A, 3, 3][..], &[1, 0, 0, 0x4A, 3, 4][..]),
        (&[0xC0, 0x19, 1, 0], &[0xC0, 0x19, 1, 0]),
        (GROUPS, &[]),
        (GROUPS, &[0, 10, 0, 4, 0, 2, 0, 0x18]),
        (FORMATS, &[]),
        (FORMATS, &[0, 11, 0, 4, 3, 0, 1, 2]),
        (FORMATS, &[0, 43, 0, 5, 4, 3, 3, 3, 2]),
        (RENEGOTIATION, &[]),
        (RENEGOTIATION, &[0xFF, 1, 0, 1, 0, 0, 35, 0, 0, 0x2A, 0x2A, 0, 1, 0]),
    ] {
        let mut server = AnonymousConnection::server();
        feed(&mut server, &record(22, &replace(&hello, from, to))).unwrap();
        let answer = take(&mut server);
        assert_eq!(answer[5], 2, "a hello: {from:?}, {to:?}");
        let echoed = answer.windows(5).any(|five| five == RENEGOTIATION);
        assert_eq!(echoed, !(from == RENEGOTIATION && to.is_empty()));
    }
}

#[test]
fn a_client_takes_only_what_it_offered() {
    let vector = &Vector::all()[0];
    let hello = vector.bytes("server_hello");
    let formats = &[0, 11, 0, 4, 3, 0, 1, 2];
    for (from, to, alert) in [
        (ETM, &[][..], Alert::HandshakeFailure),
        (EMS, &[], Alert::HandshakeFailure),
        (&[2, 0, 0, 0x5D, 3, 3], &[2, 0, 0, 0x5D, 3, 2], Alert::ProtocolVersion),
        (&[0xC0, 0x19, 0, 0, 0x15], &[0xC0, 0x18, 0, 0, 0x15], Alert::IllegalParameter),
        (&[0xC0, 0x19, 0, 0, 0x15], &[0xC0, 0x19, 1, 0, 0x15], Alert::IllegalParameter),
        (formats, &[0, 35, 0, 0], Alert::UnsupportedExtension),
        (RENEGOTIATION, &[0xFF, 1, 0, 2, 1, 7], Alert::HandshakeFailure),
    ] {
        let changed = replace(&hello, from, to);
        let alert_sent = plain_refusal(&mut vector.client(), &record(22, &changed));
        assert_eq!(alert_sent, alert, "{from:?}, {to:?}");
    }
    let mut keys = vector.bytes("server_key_exchange");
    for (at, value) in [(4, 1), (6, 25)] {
        let mut client = vector.client();
        feed(&mut client, &record(22, &hello)).unwrap();
        let before = std::mem::replace(&mut keys[at], value);
        let alert = plain_refusal(&mut client, &record(22, &keys));
        assert_eq!(alert, Alert::IllegalParameter);
        keys[at] = before;
    }
}

#[test]
fn listeners_tell_anonymous_clients_from_the_others() {
    let others = [CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384];
    let hello = Vector::all()[0].bytes("client_hello");
    let whole = record(22, &hello);
    assert_eq!(inspect(&whole, &others), Hello::Anonymous);
    for length in 0..whole.len() {
        assert_eq!(inspect(&whole[..length], &others), Hello::Incomplete, "{length}");
    }
    let split: Vec<u8> = hello.chunks(3).flat_map(|part| record(22, part)).collect();
    assert_eq!(inspect(&split, &others), Hello::Anonymous);

    let tls13 = [RENEGOTIATION, &[0, 43, 0, 5, 4, 3, 4, 3, 3]].concat();
    let tls13 = replace(&hello, RENEGOTIATION, &tls13);
    assert_eq!(inspect(&record(22, &tls13), &others), Hello::Other);
    let only_older = [RENEGOTIATION, &[0, 43, 0, 5, 4, 3, 3, 3, 2]].concat();
    let only_older = replace(&hello, RENEGOTIATION, &only_older);
    assert_eq!(inspect(&record(22, &only_older), &others), Hello::Anonymous);

    for (suites, expected) in [
        (&[0, 4, 0xC0, 0x19, 0, 0xFF][..], Hello::Anonymous),
        (&[0, 4, 0xC0, 0x19, 0xC0, 0x30], Hello::Other),
        (&[0, 2, 0xC0, 0x30], Hello::Other),
    ] {
        let mut changed = [&hello[..39], suites, &hello[43..]].concat();
        let length = changed.len() as u16 - 4;
        changed[2..4].copy_from_slice(&length.to_be_bytes());
        assert_eq!(inspect(&record(22, &changed), &others), expected, "{suites:?}");
    }
    let cpp_broker = Vector::dialling_cpp_broker();
    assert_eq!(inspect(&cpp_broker, &others), Hello::Other, "it offers TLS 1.3 as well");
    for other in [&b"GET / HTTP/1.1\r\n"[..], &record(21, &[2, 40]), &record(22, &[2, 0, 0, 0])] {
        assert_eq!(inspect(other, &others), Hello::Other);
    }
    assert_eq!(inspect(&record(22, &[1, 1, 0, 1]), &others), Hello::Other, "too long");
    let long = record(22, &[&[1, 0, 0x3F, 0xF0][..], &[0; 0x3000]].concat());
    assert_eq!(inspect(&long, &others), Hello::Incomplete);
    assert_eq!(inspect(&[&long[..], &[22; 1 << 14]].concat(), &others), Hello::Other);
    let (start, part) = (record(22, &[1, 0, 2, 0]), record(22, &[0]));
    assert_eq!(inspect(&[&start[..], &part.repeat(250)].concat(), &others), Hello::Incomplete);
    assert_eq!(inspect(&[&start[..], &part.repeat(256)].concat(), &others), Hello::Other);
}
