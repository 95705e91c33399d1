use std::borrow::Cow;
use std::fmt;

/// Why a JSON text is not a value or a data message, and where.
///
/// The text form names all of it: what was expected, what was found, the place as a path such as
/// `$.data[3].key.data`, and the byte offset in the text.
#[derive(Clone, PartialEq, Eq)]
pub struct JsonError(Box<Inner>);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    class: JsonErrorClass,
    message: Cow<'static, str>,
    offset: usize,
    /// From the inside out, as the error passes through the containers.
    path: Vec<Segment>,
}

/// What kind of mistake a [`JsonError`] is about, by the error codes of the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum JsonErrorClass {
    /// The text is not JSON.
    InvalidJson,
    /// A value does not fit the type it is declared with, or the declaration is missing or unknown.
    TypeClash,
    /// Something else keeps the text from being a value or data message: a duplicate in a set, a
    /// missing topic, more containers inside each other than the limit allows.
    DeserializationFailed,
}

impl JsonErrorClass {
    /// The number of the error code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::InvalidJson => 41,
            Self::TypeClash => 11,
            Self::DeserializationFailed => 37,
        }
    }

    /// The name of the error code.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid_json",
            Self::TypeClash => "type_clash",
            Self::DeserializationFailed => "deserialization_failed",
        }
    }
}

#[derive(Clone, PartialEq, Eq)]
enum Segment {
    Member(Cow<'static, str>),
    Index(usize),
}

impl JsonError {
    #[cold]
    pub(super) fn new(
        class: JsonErrorClass,
        offset: usize,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(Box::new(Inner { class, message: message.into(), offset, path: Vec::new() }))
    }

    #[cold]
    pub(super) fn syntax(offset: usize, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(JsonErrorClass::InvalidJson, offset, message)
    }

    #[cold]
    pub(super) fn type_clash(offset: usize, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(JsonErrorClass::TypeClash, offset, message)
    }

    #[cold]
    pub(super) fn failed(offset: usize, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(JsonErrorClass::DeserializationFailed, offset, message)
    }

    /// Notes that the error is inside this member of an object.
    #[cold]
    pub(super) fn in_member(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.0.path.push(Segment::Member(name.into()));
        self
    }

    /// Notes that the error is inside this element of an array.
    #[cold]
    pub(super) fn in_element(mut self, index: usize) -> Self {
        self.0.path.push(Segment::Index(index));
        self
    }

    /// The kind of mistake.
    #[must_use]
    pub fn class(&self) -> JsonErrorClass {
        self.0.class
    }

    /// What was expected and what was found, without the place.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Where in the text the error is, in bytes from its start.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.0.offset
    }

    /// Where in the document the error is: `$` is the root, `.name` a member, `[3]` an element
    /// (the first one is 0).
    #[must_use]
    pub fn path(&self) -> String {
        let mut path = String::from("$");
        for segment in self.0.path.iter().rev() {
            match segment {
                Segment::Index(index) => path += &format!("[{index}]"),
                Segment::Member(name) if is_plain(name) => path += &format!(".{name}"),
                Segment::Member(name) => path += &format!("[{name:?}]"),
            }
        }
        path
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"@_-".contains(&b))
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} (byte {})", self.message(), self.path(), self.offset())
    }
}

impl fmt::Debug for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JsonError({}: {self})", self.class().name())
    }
}

impl std::error::Error for JsonError {}
