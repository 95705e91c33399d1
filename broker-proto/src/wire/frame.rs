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
pub fn finish_frame(out: &mut [u8], start: usize) {
    let length = out.len().saturating_sub(start + PREFIX);
    debug_assert!(u32::try_from(length).is_ok());
    if let Some(prefix) = out.get_mut(start..start + PREFIX) {
        prefix.copy_from_slice(&(length as u32).to_be_bytes());
    }
}

/// The length that the prefix of a frame announces for its payload, if the prefix is there.
#[inline]
#[must_use]
pub fn payload_length(bytes: &[u8]) -> Option<usize> {
    bytes.first_chunk::<PREFIX>().map(|prefix| u32::from_be_bytes(*prefix) as usize)
}

/// The length of the first frame, prefix included, if its prefix is there.
#[inline]
#[must_use]
pub fn frame_length(bytes: &[u8]) -> Option<usize> {
    payload_length(bytes).map(|length| PREFIX + length)
}

/// The first frame, prefix included, and what follows it; `None` if it is not complete.
#[inline]
#[must_use]
pub fn split_frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    bytes.split_at_checked(frame_length(bytes)?)
}

/// Splits a region of whole frames, as a reader hands it over, into frames with their prefixes.
///
/// Stops at the first incomplete frame.
pub fn frames(mut region: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (frame, rest) = split_frame(region)?;
        region = rest;
        Some(frame)
    })
}

/// As [`frames`], without the prefixes.
pub fn payloads(region: &[u8]) -> impl Iterator<Item = &[u8]> {
    frames(region).filter_map(|frame| frame.get(PREFIX..))
}
