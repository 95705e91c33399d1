//! Addresses, subnets and ports, and how they are written as text.
//!
//! The text form is the same wherever a value is shown or read: in JSON, in the text rendering and
//! on the command line. Reading is strict: what is not wholly a value of the type is an error, with
//! the two exceptions for ports that existing programs rely on (see [`Port`]).

mod address;
mod port;
mod subnet;

pub use address::{InvalidIpAddress, IpAddress, NotIpv4};
pub use port::{InvalidPort, Port, Protocol};
pub use subnet::{InvalidSubnet, Subnet};

/// Reads an unsigned number of at most five digits: no sign, no white space, no leading zeros,
/// which other programs may take for octal.
fn small_number(text: &str) -> Option<u32> {
    let plain = !text.is_empty() && text.len() <= 5 && text.bytes().all(|b| b.is_ascii_digit());
    if !plain || (text.len() > 1 && text.starts_with('0')) {
        return None;
    }
    text.parse().ok()
}
