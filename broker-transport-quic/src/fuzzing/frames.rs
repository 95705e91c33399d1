use broker_core::EndpointId;
use broker_core::wire::envelope::{Envelope, EnvelopeType};
use std::collections::HashMap;

/// The last message of a handshake.
pub(crate) const ACK: &[u8] = &[0, 0, 0, 1, 12];

/// A frame whose payload begins with its number in the order of sending.
pub(crate) fn frame(kind: EnvelopeType, topic: &str, number: u64, length: usize) -> Vec<u8> {
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize(8 + length, number as u8);
    let mut out = Vec::new();
    let envelope = Envelope {
        sender: EndpointId::NIL,
        receiver: EndpointId::NIL,
        kind,
        ttl: 16,
        topic: topic.as_bytes(),
        payload: &payload,
    };
    assert!(envelope.put_frame(&mut out).is_ok(), "the topic is short");
    out
}

/// What is in such a frame.
fn read(frame: &[u8]) -> (EnvelopeType, Vec<u8>, u64) {
    let envelope = Envelope::decode(frame.get(4..).unwrap_or_default());
    let number = envelope.as_ref().ok().and_then(|envelope| envelope.payload.first_chunk());
    let (Ok(envelope), Some(number)) = (&envelope, number) else {
        unreachable!("{envelope:?} is none of these")
    };
    (envelope.kind, envelope.topic.to_vec(), u64::from_be_bytes(*number))
}

/// Checks the order that is promised where not all frames are in order. The first one is
/// [`ACK`], the others are numbered.
pub(crate) fn ordered(sent: &[Vec<u8>], received: &[Vec<u8>]) {
    assert_eq!(received.len(), sent.len());
    assert_eq!(received.first().map(Vec::as_slice), Some(ACK));
    let mut last_of = HashMap::new();
    let (mut control, mut data) = (None, 0);
    for received in &received[1..] {
        let (kind, topic, number) = read(received);
        assert_eq!(*received, sent[number as usize + 1]);
        assert!(last_of.insert(topic, number) < Some(number), "{number}: topic order");
        if kind.is_control() {
            assert!(control < Some(number), "{number}: control order");
            control = Some(number);
        } else {
            data += 1;
        }
        if matches!(kind, EnvelopeType::Ping | EnvelopeType::Pong) {
            let before = sent[1..=number as usize].iter().map(|frame| read(frame).0);
            let before = before.filter(|kind| !kind.is_control()).count();
            assert!(data >= before, "{number} overtook data");
        }
    }
}
