//! Every message travels as a frame: a 32-bit length, then that many bytes.

/// Bytes of the length in front of every frame.
pub const PREFIX: usize = 4;

/// Appends a frame whose payload `write` appends.
///
/// The caller keeps payloads below 4 GiB; nothing that this project sends comes near.
pub fn put_frame(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; PREFIX]);
    write(out);
    finish_frame(out, start);
}

/// Fills in the length of a frame that starts at `start` and ends at the end of `out`.
pub(crate) fn finish_frame(out: &mut [u8], start: usize) {
    let length = out.len().saturating_sub(start + PREFIX);
    debug_assert!(u32::try_from(length).is_ok());
    if let Some(prefix) = out.get_mut(start..start + PREFIX) {
        prefix.copy_from_slice(&(length as u32).to_be_bytes());
    }
}

/// Splits a region of whole frames, as a reader hands it over, into their payloads.
///
/// Stops at the first incomplete frame.
pub fn payloads(mut region: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (prefix, rest) = region.split_first_chunk::<PREFIX>()?;
        let (payload, rest) = rest.split_at_checked(u32::from_be_bytes(*prefix) as usize)?;
        region = rest;
        Some(payload)
    })
}
