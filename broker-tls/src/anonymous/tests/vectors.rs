//! Byte for byte what was recorded between other implementations.

use super::super::keys::{Master, directions};
use super::super::record::Kind;
use super::blocks::blocks;
use super::{CHANGE_CIPHER_SPEC, Vector, feed, hex, record, refusal, seal, take};
use rustls::AlertDescription as Alert;
use sha2::{Digest, Sha256};

#[test]
fn the_recorded_client_is_reproduced_from_its_random_choices() {
    for vector in Vector::all() {
        let mut client = vector.client();
        let mut hello = record(22, &vector.bytes("client_hello"));
        hello[2] = 1;
        assert_eq!(take(&mut client), hello);
        feed(&mut client, &record(22, &vector.flight().concat())).unwrap();
        let expected = [
            record(22, &vector.bytes("client_key_exchange")),
            CHANGE_CIPHER_SPEC.to_vec(),
            vector.bytes("client_finished_record"),
        ];
        assert_eq!(take(&mut client), expected.concat());
        assert!(!client.is_established());
        feed(&mut client, &CHANGE_CIPHER_SPEC).unwrap();
        feed(&mut client, &vector.bytes("server_finished_record")).unwrap();
        assert!(client.is_established());
        let data = &vector.0["client_data"][0];
        assert_eq!(seal(&mut client, &hex(&data["plain"])), hex(&data["record"]));
    }
}

/// Of the recorded handshakes the other tests compute every byte.
#[test]
fn the_document_shows_a_recorded_handshake() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/protocol/tls.md");
    let document = std::fs::read_to_string(path).unwrap();
    let vector = &Vector::all()[0].0;
    let dumps = blocks("tls.md", &document, "hex");
    assert_eq!(dumps.len(), 18);
    for dump in dumps {
        assert_eq!(dump.kind, "tls", "{}", dump.place);
        assert!(dump.misquoted().is_empty(), "{}: {:?}", dump.place, dump.misquoted());
        if dump.note == "reference_client_hello_record" {
            assert_eq!(dump.bytes(), Vector::dialling_cpp_broker(), "{}", dump.place);
            continue;
        }
        let recorded = match dump.note.strip_prefix("client_data_") {
            Some(name) => &vector["client_data"][0][name],
            None => &vector[&dump.note],
        };
        assert!(recorded.is_string(), "{}: {} is not recorded", dump.place, dump.note);
        assert_eq!(dump.bytes(), hex(recorded), "{}", dump.place);
    }
}

#[test]
fn secrets_and_keys_are_the_recorded_ones() {
    for vector in Vector::all() {
        let names = ["client_hello", "server_hello", "server_key_exchange", "server_hello_done"];
        let mut transcript: Vec<u8> = names.map(|name| vector.bytes(name)).concat();
        transcript.append(&mut vector.bytes("client_key_exchange"));
        let master = Master::new(&vector.bytes("premaster"), &Sha256::digest(&transcript));
        assert_eq!(master.bytes(), vector.bytes("master_secret"));
        let (client, server) = (vector.bytes("client_hello"), vector.bytes("server_hello"));
        let keys = master.keys(&client[6..38], &server[6..38]);
        let block = [&keys[0].mac[..], &keys[1].mac[..], &keys[0].cipher[..], &keys[1].cipher[..]];
        assert_eq!(block.concat(), vector.bytes("key_block"));

        let (_, mut opener) = directions(false, &keys);
        let mut finished = vector.bytes("client_finished_record").split_off(5);
        let plain = opener.open(Kind::Handshake, &mut finished).unwrap();
        assert_eq!(finished[plain], vector.bytes("client_finished"));
        let mut data = hex(&vector.0["client_data"][0]["record"]).split_off(5);
        let plain = opener.open(Kind::Data, &mut data).unwrap();
        assert_eq!(data[plain], hex(&vector.0["client_data"][0]["plain"]));
    }
}

#[test]
fn a_finished_message_of_another_handshake_is_refused() {
    for vector in Vector::all() {
        let mut client = vector.client();
        feed(&mut client, &record(22, &vector.flight().concat())).unwrap();
        feed(&mut client, &CHANGE_CIPHER_SPEC).unwrap();
        let [mut server, _] = vector.sealers();
        let mut finished = vector.bytes("server_finished");
        finished[10] ^= 1;
        let sealed = super::sealed(&mut server, Kind::Handshake, &finished);
        assert_eq!(refusal(&mut client, &sealed), Alert::DecryptError);
    }
}
