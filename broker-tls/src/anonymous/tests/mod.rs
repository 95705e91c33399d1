//! One side against recorded handshakes, against the other side, and against what is not allowed.

mod data;
mod handshake;
mod hello;
mod vectors;

use super::keys::{DirectionKeys, Entropy, Recorded};
use super::record::{Kind, Sealer};
use super::{AnonymousConnection, AnonymousStatus, Error};
use data_encoding::HEXLOWER;
use rustls::AlertDescription as Alert;
use serde_json::Value;

/// A recorded handshake.
pub(super) struct Vector(Value);

impl Vector {
    pub(super) fn all() -> Vec<Self> {
        file()["handshakes"].as_array().unwrap().iter().cloned().map(Self).collect()
    }

    /// The first record of a dialling endpoint of the C++ Broker.
    pub(super) fn dialling_cpp_broker() -> Vec<u8> {
        hex(&file()["reference_client_hello_record"])
    }

    pub(super) fn bytes(&self, name: &str) -> Vec<u8> {
        hex(&self.0[name])
    }

    /// The client that was recorded.
    pub(super) fn client(&self) -> AnonymousConnection {
        let mut bytes = self.bytes("client_hello")[6..38].to_vec();
        bytes.append(&mut self.bytes("client_finished_iv"));
        bytes.append(&mut hex(&self.0["client_data"][0]["iv"]));
        let public = self.bytes("client_key_exchange")[5..].to_vec();
        let premaster = self.bytes("premaster");
        let recorded = Recorded { bytes: bytes.into(), public, premaster };
        AnonymousConnection::client_with(Entropy::Recorded(recorded)).unwrap()
    }

    /// What seals records as the server and as the client did.
    pub(super) fn sealers(&self) -> [Sealer; 2] {
        let block = self.bytes("key_block");
        let mut keys = [DirectionKeys::default(), DirectionKeys::default()];
        for (at, keys) in keys.iter_mut().enumerate() {
            keys.mac.copy_from_slice(&block[20 * at..][..20]);
            keys.cipher.copy_from_slice(&block[40 + 32 * at..][..32]);
        }
        [Sealer::new(&keys[1]), Sealer::new(&keys[0])]
    }

    /// What the server sends before the client has sent its keys.
    pub(super) fn flight(&self) -> Vec<Vec<u8>> {
        ["server_hello", "server_key_exchange", "server_hello_done"]
            .map(|name| self.bytes(name))
            .to_vec()
    }
}

fn file() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/vectors/anonymous-tls.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

pub(super) fn hex(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

/// A record without protection.
pub(super) fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut record = vec![kind, 3, 3];
    record.extend_from_slice(&(body.len() as u16).to_be_bytes());
    record.extend_from_slice(body);
    record
}

/// A record with protection.
pub(super) fn sealed(sealer: &mut Sealer, kind: Kind, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let start = Sealer::begin([7; 16], &mut out);
    out.extend_from_slice(body);
    sealer.finish(kind, start, &mut out).unwrap();
    out
}

pub(super) const CHANGE_CIPHER_SPEC: [u8; 6] = [20, 3, 3, 0, 1, 1];

/// Feeds a connection, whose plaintext comes out.
pub(super) fn feed(
    connection: &mut AnonymousConnection,
    mut bytes: &[u8],
) -> Result<Vec<u8>, Error> {
    let mut plain = Vec::new();
    while !bytes.is_empty() {
        let room = connection.room();
        let count = room.len().min(bytes.len());
        assert!(count > 0, "no room for input");
        room[..count].copy_from_slice(&bytes[..count]);
        bytes = &bytes[count..];
        connection.arrived(count);
        while connection.process()? == AnonymousStatus::Data {
            plain.extend_from_slice(connection.plaintext());
            connection.consume(connection.plaintext().len());
        }
    }
    Ok(plain)
}

/// Takes what a connection sends.
pub(super) fn take(connection: &mut AnonymousConnection) -> Vec<u8> {
    let output = connection.output().to_vec();
    connection.sent(output.len());
    output
}

/// What a connection makes of data.
pub(super) fn seal(connection: &mut AnonymousConnection, data: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::new();
    let mut rest = data;
    while !rest.is_empty() {
        let taken = connection.send(&[std::io::IoSlice::new(rest)]).unwrap();
        rest = &rest[taken..];
        sealed.append(&mut take(connection));
    }
    sealed
}

/// The records of a stream, whole.
pub(super) fn records(mut stream: &[u8]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    while !stream.is_empty() {
        let length = 5 + usize::from(u16::from_be_bytes([stream[3], stream[4]]));
        records.push(stream[..length].to_vec());
        stream = &stream[length..];
    }
    records
}

/// A client and a server that have met.
pub(super) fn pair() -> (AnonymousConnection, AnonymousConnection) {
    let (mut client, mut server) =
        (AnonymousConnection::client().unwrap(), AnonymousConnection::server());
    while !client.is_established() || !server.is_established() {
        feed(&mut server, &take(&mut client)).unwrap();
        feed(&mut client, &take(&mut server)).unwrap();
    }
    (client, server)
}

/// The alert with which a connection refuses what it is fed with, and that it stays with that.
#[track_caller]
pub(super) fn refusal(connection: &mut AnonymousConnection, bytes: &[u8]) -> Alert {
    let error = feed(connection, bytes).unwrap_err();
    let Error::Refused { alert, reason } = &error else { unreachable!("{error}") };
    assert!(!reason.is_empty());
    assert_eq!(connection.process(), Err(error.clone()));
    assert_eq!(connection.send(&[std::io::IoSlice::new(b"x")]), Err(error.clone()));
    *alert
}

/// As [`refusal`], where the alert is sent without protection.
#[track_caller]
pub(super) fn plain_refusal(connection: &mut AnonymousConnection, bytes: &[u8]) -> Alert {
    let alert = refusal(connection, bytes);
    assert_eq!(records(&take(connection)).last().unwrap(), &record(21, &[2, alert.into()]));
    alert
}
