//! A ping that says how many messages for its receiver were dropped.
//!
//! A total is enough to be exact, as it stands in the queue behind all that was sent before it was
//! counted, and it costs nothing per message. Sequence numbers for each link would be the
//! alternative: eight more bytes in every message, given under the lock of the queue, and a gap
//! would only be seen when another message comes. An endpoint that does not know these pings
//! answers them like any other.

const TOKEN: [u8; 4] = *b"DROP";

/// The payload of the ping.
pub fn payload(total: u64) -> [u8; 12] {
    let mut payload = [0; 12];
    let (token, number) = payload.split_at_mut(TOKEN.len());
    token.copy_from_slice(&TOKEN);
    number.copy_from_slice(&total.to_be_bytes());
    payload
}

/// The total in the payload of a ping, if it is one of these.
pub fn total(payload: &[u8]) -> Option<u64> {
    let number = payload.strip_prefix(&TOKEN)?;
    number.try_into().ok().map(u64::from_be_bytes)
}
