use crate::EndpointId;
use crate::wire::envelope::{Envelope, EnvelopeType};

/// The frame of a message with this payload.
pub(super) fn frame(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let envelope = Envelope {
        sender: EndpointId::NIL,
        receiver: EndpointId::NIL,
        kind: EnvelopeType::Data,
        ttl: 1,
        topic: b"t",
        payload,
    };
    envelope.put_frame(&mut out).unwrap();
    out
}
