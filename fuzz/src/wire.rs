use broker_data::{DecodeLimits, validate};
use broker_proto::fuzzing::Input;
use broker_proto::limits::FilterLimits;
use broker_proto::wire::announcement::Announcement;
use broker_proto::wire::command;
use broker_proto::wire::envelope::{
    Envelope, EnvelopeType, passage, put_with_passage, put_without_passage, readdress,
};
use broker_proto::wire::frame::PREFIX;
use broker_proto::wire::handshake::HandshakeMessage;
use broker_proto::wire::routing_update;
use broker_proto::{EndpointId, ErrorCode, Limits};

/// A handshake message that is read is written so that it reads as the same; one that is refused is
/// refused with a message that can be sent.
pub(super) fn handshake(bytes: &[u8]) {
    let limits = Limits::default().filter();
    match HandshakeMessage::decode(bytes, limits) {
        Ok(message) => {
            let frame = message.to_frame();
            let payload = frame.get(PREFIX..).unwrap_or_default();
            assert_eq!(HandshakeMessage::decode(payload, limits).as_ref(), Ok(&message));
            assert!(payload.len() <= bytes.len(), "the shortest form is the longer one");
        }
        Err(refusal) => {
            let (code, description) = (refusal.code, refusal.description.clone());
            let sender = EndpointId::NIL;
            let answer = HandshakeMessage::DropConn { sender, code, description };
            let frame = answer.to_frame();
            assert_eq!(
                HandshakeMessage::decode(frame.get(PREFIX..).unwrap_or_default(), limits),
                Ok(answer)
            );
            assert!(code != ErrorCode::None, "refused without a reason");
        }
    }
}

/// An envelope that is read is written as the same bytes; what is in it is read or refused.
pub(super) fn envelopes(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let limit = input.below(20);
    let bytes = input.rest();
    let Ok(envelope) = Envelope::decode(bytes) else { return };
    let mut frame = Vec::new();
    assert!(envelope.put_frame(&mut frame).is_ok());
    match passage(bytes) {
        None => assert_eq!(frame.get(PREFIX..), Some(bytes)),
        Some(passage) => {
            let (mut with, mut without) = (Vec::new(), Vec::new());
            put_with_passage(&mut with, &frame, passage, envelope.ttl);
            assert_eq!(with.get(PREFIX..), Some(bytes));
            put_without_passage(&mut without, &with, envelope.sender, envelope.ttl);
            assert_eq!(without, frame);
        }
    }
    match envelope.kind {
        EnvelopeType::RoutingUpdate => routing_update(envelope.payload, limit),
        EnvelopeType::Announcement => announcement(envelope.payload),
        EnvelopeType::Command => command(envelope.payload),
        EnvelopeType::Data | EnvelopeType::Ping | EnvelopeType::Pong => {}
    }
    let sender = EndpointId::from_bytes([7; 16]);
    readdress(&mut frame, sender, 3);
    let readdressed = Envelope { sender, ttl: 3, ..envelope };
    assert_eq!(Envelope::decode(frame.get(PREFIX..).unwrap_or_default()), Ok(readdressed));
}

fn routing_update(payload: &[u8], limit: usize) {
    let limits = FilterLimits { entries: limit, entry: 8, bytes: 4 * limit };
    let Ok(filter) = routing_update::decode(payload, limits) else { return };
    assert!(filter.is_sorted() && filter.len() <= limit);
    let mut again = Vec::new();
    routing_update::encode(&mut again, &filter);
    assert_eq!(routing_update::decode(&again, limits).as_ref(), Ok(&filter));
}

fn announcement(payload: &[u8]) {
    let Ok(announcement) = Announcement::decode(payload) else { return };
    let mut again = Vec::new();
    announcement.put(&mut again);
    assert_eq!(Announcement::decode(&again), Ok(announcement));
}

fn command(payload: &[u8]) {
    use command::Command as C;
    let limits = DecodeLimits::default();
    let Ok(read) = command::decode(payload, limits) else { return };
    match read.content {
        C::Put { key, value, .. }
        | C::PutUnique { key, value, .. }
        | C::Add { key, value, .. }
        | C::Subtract { key, value, .. } => {
            assert_eq!((validate(key, limits), validate(value, limits)), (Ok(()), Ok(())));
        }
        C::Erase { key, .. } | C::Expire { key, .. } => {
            assert_eq!(validate(key, limits), Ok(()));
        }
        C::Nack { sequences } => assert_eq!(sequences.len() % 8, 0),
        _ => {}
    }
    // Bytes behind a command change nothing.
    let longer = [payload, &[0xff; 9]].concat();
    assert_eq!(command::decode(&longer, limits), Ok(read));
}
