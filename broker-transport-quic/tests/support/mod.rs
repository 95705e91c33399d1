//! Transports and endpoints over `quic://`.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

pub mod proxy;
pub mod raw;

use broker_core::transport::{
    Chunk, Connection, FrameReader, FrameWriter, Listener, ReadBuffer, Transport, TransportError,
    WriteBatch,
};
use broker_core::wire::envelope::{Envelope, EnvelopeType};
use broker_core::{Address, Endpoint, EndpointId};
use broker_transport_quic::{QuicOptions, QuicTransport, Tls, TlsOptions};
use bytes::Bytes;
use std::time::Duration;

/// The message that ends the handshake of its side.
pub const ACK: &[u8] = &[0, 0, 0, 1, 12];

pub const LIMIT: usize = 64 * 1024 * 1024;

/// Options for machines that have more to do than this test.
pub fn patient() -> QuicOptions {
    let time = Duration::from_secs(30);
    QuicOptions {
        connect_time: time,
        handshake_time: time,
        idle_timeout: time,
        ..QuicOptions::default()
    }
}

/// A transport that proves nothing.
pub fn anonymous() -> QuicTransport {
    with_options(patient())
}

pub fn with_options(options: QuicOptions) -> QuicTransport {
    QuicTransport::new(Tls::new(TlsOptions::default()).unwrap(), options)
}

pub fn endpoint(id: &str, transport: &QuicTransport) -> Endpoint {
    Endpoint::builder().id(id.parse().unwrap()).transport(transport.clone()).build().unwrap()
}

pub fn local() -> Address {
    Address::new("quic", "127.0.0.1", 0)
}

pub async fn listen(transport: &QuicTransport) -> Box<dyn Listener> {
    transport.listen(&local()).await.unwrap()
}

/// Accepts one connection, its handshake included.
pub async fn accept(listener: &mut dyn Listener) -> Result<Connection, TransportError> {
    listener.accept().await?.establish.await?.into_peer()
}

/// Both ends of what comes of dialling `acceptor` with `dialler`, whose URL pins nothing.
pub async fn meet(
    dialler: &QuicTransport,
    acceptor: &QuicTransport,
) -> (Result<Connection, TransportError>, Result<Connection, TransportError>) {
    let mut listener = listen(acceptor).await;
    let url = listener.url().clone().with_query("");
    tokio::join!(dialler.connect(&url), accept(&mut *listener))
}

/// Both ends of a connection on which the handshake of Broker is over.
pub async fn peers(options: QuicOptions) -> (Connection, Connection) {
    let transport = with_options(options);
    let (dialled, accepted) = meet(&transport, &transport).await;
    let (mut dialled, mut accepted) = (dialled.unwrap(), accepted.unwrap());
    send(&mut *dialled.writer, ACK).await;
    send(&mut *accepted.writer, ACK).await;
    assert_eq!(receive(&mut *accepted.reader).await, ACK);
    assert_eq!(receive(&mut *dialled.reader).await, ACK);
    (dialled, accepted)
}

pub fn data(topic: &str, payload: &[u8]) -> Vec<u8> {
    envelope(EnvelopeType::Data, topic, payload)
}

pub fn ping(payload: &[u8]) -> Vec<u8> {
    envelope(EnvelopeType::Ping, "<$>", payload)
}

fn envelope(kind: EnvelopeType, topic: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let (sender, receiver, topic) = (EndpointId::NIL, EndpointId::NIL, topic.as_bytes());
    Envelope { sender, receiver, kind, ttl: 16, topic, payload }.put_frame(&mut out).unwrap();
    out
}

/// Sends one frame, large ones by reference as the core does.
pub async fn send(writer: &mut dyn FrameWriter, frame: &[u8]) {
    let mut batch = WriteBatch::new();
    batch.append(match frame.len() {
        ..4096 => Chunk::Segment(frame.to_vec()),
        _ => Chunk::Shared(Bytes::copy_from_slice(frame)),
    });
    writer.send(&mut batch).await.unwrap();
}

/// Receives exactly one frame.
pub async fn receive(reader: &mut dyn FrameReader) -> Vec<u8> {
    let mut buffer = ReadBuffer::new();
    reader.recv(&mut buffer).await.unwrap();
    let frame = buffer.next_frame(LIMIT).unwrap().unwrap().to_vec();
    assert!(buffer.is_empty());
    frame
}
