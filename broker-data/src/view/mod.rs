//! Looking into encoded values without decoding them.

mod access;
mod iter;
mod order;

pub use iter::{Elements, Entries};

use super::binary::{Encode, WireOrder, build, scan};
use super::{DecodeError, DecodeLimits, Kind, Value};
use std::fmt;

/// A borrowed view of one encoded value.
///
/// The bytes are checked once, by [`View::parse`]; everything after that cannot fail and, apart
/// from [`View::to_value`], does not allocate. (The one exception: comparing sets or tables whose
/// elements arrived out of order sorts a copy.) Views of elements borrow from the same bytes.
///
/// Views compare by content, with each other and with [`Value`]s, in the order of `Value`.
///
/// ```
/// use broker_data::{Value, View};
///
/// let bytes = Value::Vector(vec![Value::Count(7), Value::String("x".into())]).encode();
/// let view = View::parse(&bytes)?;
/// assert_eq!(view.get(0).and_then(|element| element.as_count()), Some(7));
/// assert_eq!(view.get(1).and_then(|element| element.as_str()), Some("x"));
/// assert!(view.get(2).is_none());
/// # Ok::<_, broker_data::DecodeError>(())
/// ```
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// Exactly one value.
    bytes: &'a [u8],
    order: WireOrder,
}

impl<'a> View<'a> {
    /// Checks that `bytes` is exactly one value, by the rules of [`Value::decode`], and views it.
    ///
    /// # Errors
    ///
    /// As [`Value::decode`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Self::parse_with(bytes, DecodeLimits::default())
    }

    /// As [`View::parse`], with these limits.
    ///
    /// # Errors
    ///
    /// As [`Value::decode`].
    pub fn parse_with(bytes: &'a [u8], limits: DecodeLimits) -> Result<Self, DecodeError> {
        Ok(Self { bytes, order: scan(bytes, limits)? })
    }

    /// Views bytes that were validated before. On others it shows some value or other, but
    /// neither panics nor reads beyond them.
    #[must_use]
    pub const fn of_validated(bytes: &'a [u8]) -> Self {
        Self { bytes, order: WireOrder::Unknown }
    }

    /// The bytes of this value, tag included, as they were received.
    #[must_use]
    pub const fn raw(&self) -> &'a [u8] {
        self.bytes
    }

    /// The type of the value.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.bytes.first().and_then(|&tag| Kind::from_tag(tag)).unwrap_or(Kind::None)
    }

    /// Decodes the value.
    #[must_use]
    pub fn to_value(&self) -> Value {
        build(self.bytes).unwrap_or_default()
    }
}

impl From<View<'_>> for Value {
    fn from(view: View<'_>) -> Self {
        view.to_value()
    }
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_value(), f)
    }
}

impl fmt::Display for View<'_> {
    /// As [`Value`] does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_value(), f)
    }
}

impl Encode for View<'_> {
    fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.ascending());
    }
}

#[cfg(test)]
mod tests;
