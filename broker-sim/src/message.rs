//! What the messages of a simulation say: who published them, as the how-many-eth.

/// Where the numbers are in the encoded value, a vector of two counts and a string.
const LIFE_AT: usize = 3;
const NUMBER_AT: usize = 12;

/// Appends a message as an encoded value, about `size` bytes long.
pub(super) fn put(out: &mut Vec<u8>, life: u64, number: u64, size: usize) {
    out.extend_from_slice(&[14, 3, 2]);
    out.extend_from_slice(&life.to_be_bytes());
    out.push(2);
    out.extend_from_slice(&number.to_be_bytes());
    out.push(5);
    broker_proto::wire::put_string(out, &vec![b'.'; size]);
}

/// The life of an endpoint that published a message, and the message's number.
pub(super) fn read(payload: &[u8]) -> Option<(u64, u64)> {
    let number =
        |at: usize| payload.get(at..)?.first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes));
    Some((number(LIFE_AT)?, number(NUMBER_AT)?))
}
