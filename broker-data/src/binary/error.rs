//! What can be wrong with a payload.

use std::fmt;

/// Why a payload was refused, and where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DecodeError {
    kind: DecodeErrorKind,
    offset: usize,
}

/// What is wrong with a payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// A field, or the elements of a container, need more bytes than there are.
    UnexpectedEnd {
        /// The bytes needed from the offset on, at least.
        needed: usize,
        /// The bytes that are there.
        left: usize,
    },
    /// A tag that stands for no kind of value.
    UnknownTag(u8),
    /// A size in more than five bytes.
    SizeTooLong,
    /// A size above 2^32-1.
    SizeTooLarge,
    /// A port with a protocol number above 3.
    UnknownProtocol(u8),
    /// A subnet whose raw prefix length is above 128, or below 96 with an IPv4 address.
    InvalidPrefixLength(u8),
    /// A set contains a value twice.
    DuplicateElement,
    /// A table contains a key twice.
    DuplicateKey,
    /// More containers inside each other than the limit allows.
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// Bytes after the end of the value.
    TrailingBytes {
        /// How many.
        count: usize,
    },
}

impl DecodeError {
    #[cold]
    pub(crate) const fn new(kind: DecodeErrorKind, offset: usize) -> Self {
        Self { kind, offset }
    }

    /// What is wrong.
    #[must_use]
    pub const fn kind(&self) -> DecodeErrorKind {
        self.kind
    }

    /// Where in the payload, in bytes from its start: the first byte of the tag, the size, the
    /// field, the element or the rest that the error is about.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at offset {}", self.kind, self.offset)
    }
}

impl fmt::Display for DecodeErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnexpectedEnd { needed, left } => {
                write!(
                    f,
                    "the payload ends early: at least {needed} more bytes needed, {left} left"
                )
            }
            Self::UnknownTag(tag) => write!(f, "unknown tag {tag:#04x}"),
            Self::SizeTooLong => f.write_str("size in more than five bytes"),
            Self::SizeTooLarge => f.write_str("size above 4294967295"),
            Self::UnknownProtocol(number) => {
                write!(f, "port with unknown protocol number {number} (0 to 3 are known)")
            }
            Self::InvalidPrefixLength(length) => {
                write!(f, "subnet with raw prefix length {length} (0 to 128, at least 96 for IPv4)")
            }
            Self::DuplicateElement => f.write_str("duplicate element in a set"),
            Self::DuplicateKey => f.write_str("duplicate key in a table"),
            Self::TooDeep { limit } => write!(f, "more than {limit} containers inside each other"),
            Self::TrailingBytes { count } => write!(f, "{count} bytes after the end of the value"),
        }
    }
}

impl std::error::Error for DecodeError {}
