//! What the fuzzer of this crate runs.
//!
//! It panics where a rule is broken and returns otherwise.

mod frames;
mod http;
mod json;

use broker_proto::fuzzing::Input;

/// Frames are understood the same in whatever pieces they come; heads of HTTP are read to their end
/// and answered with what a client can read; texts of the JSON API are read as they were written,
/// or refused.
pub fn websocket(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.below(6) {
        0 => frames::same_in_pieces(input),
        1 => http::requests(input),
        2 => http::responses(input.rest()),
        3 => json::subscriptions(input),
        4 => json::messages(input),
        _ => json::texts(input.rest()),
    }
}
