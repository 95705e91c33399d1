//! Reading single values.

use super::View;
use crate::binary::{self, Cursor};
use crate::{BStr, IpAddress, Kind, Port, Subnet, Timespan, Timestamp};

impl<'a> View<'a> {
    /// A cursor on the payload if the value is of this kind.
    #[inline]
    fn payload(&self, kind: Kind) -> Option<Cursor<'a>> {
        match self.bytes.split_first() {
            Some((&tag, payload)) if tag == kind as u8 => Some(Cursor::new(payload)),
            _ => None,
        }
    }

    fn number(&self, kind: Kind) -> Option<u64> {
        self.payload(kind)?.u64().ok()
    }

    fn bytes(&self, kind: Kind) -> Option<&'a [u8]> {
        let mut payload = self.payload(kind)?;
        let size = payload.size().ok()?;
        payload.take(size).ok()
    }

    /// Whether this is nil.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.kind() == Kind::None
    }

    /// The value of a boolean.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        self.payload(Kind::Boolean)?.u8().ok().map(|byte| byte != 0)
    }

    /// The value of a count.
    #[must_use]
    pub fn as_count(&self) -> Option<u64> {
        self.number(Kind::Count)
    }

    /// The value of an integer.
    #[must_use]
    pub fn as_integer(&self) -> Option<i64> {
        self.number(Kind::Integer).map(u64::cast_signed)
    }

    /// The value of a real.
    #[must_use]
    pub fn as_real(&self) -> Option<f64> {
        self.number(Kind::Real).map(binary::real_from_wire)
    }

    /// The bytes of a string. For enum values see [`View::as_enum`].
    #[must_use]
    pub fn as_bytes(&self) -> Option<&'a [u8]> {
        self.bytes(Kind::String)
    }

    /// A string that is UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&'a str> {
        std::str::from_utf8(self.as_bytes()?).ok()
    }

    /// The label of an enum value.
    #[must_use]
    pub fn as_enum(&self) -> Option<&'a BStr> {
        self.bytes(Kind::Enum).map(BStr::new)
    }

    /// An address.
    #[must_use]
    pub fn as_address(&self) -> Option<IpAddress> {
        self.payload(Kind::Address)?.array().ok().map(IpAddress::from_bytes)
    }

    /// A subnet.
    #[must_use]
    pub fn as_subnet(&self) -> Option<Subnet> {
        binary::subnet(&mut self.payload(Kind::Subnet)?).ok()
    }

    /// A port.
    #[must_use]
    pub fn as_port(&self) -> Option<Port> {
        binary::port(&mut self.payload(Kind::Port)?).ok()
    }

    /// A point in time.
    #[must_use]
    pub fn as_timestamp(&self) -> Option<Timestamp> {
        self.number(Kind::Timestamp).map(|nanoseconds| Timestamp(nanoseconds.cast_signed()))
    }

    /// A length of time.
    #[must_use]
    pub fn as_timespan(&self) -> Option<Timespan> {
        self.number(Kind::Timespan).map(|nanoseconds| Timespan(nanoseconds.cast_signed()))
    }

    /// The number of elements of a set or vector or of pairs of a table, the number of bytes of a
    /// string or enum label, 0 for everything else.
    #[must_use]
    pub fn len(&self) -> usize {
        match self.kind() {
            kind @ (Kind::Set | Kind::Table | Kind::Vector | Kind::String | Kind::Enum) => {
                self.payload(kind).and_then(|mut payload| payload.size().ok()).unwrap_or(0)
            }
            _ => 0,
        }
    }

    /// Whether [`View::len`] is 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of elements (pairs) of a container of this kind, and their bytes.
    pub(super) fn contents(&self, kind: Kind) -> Option<(usize, &'a [u8])> {
        let mut payload = self.payload(kind)?;
        let count = payload.size().ok()?;
        Some((count, payload.from(payload.pos())))
    }
}
