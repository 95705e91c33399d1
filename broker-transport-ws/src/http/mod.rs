//! As much of HTTP/1.1 as the opening handshake of a WebSocket needs, on both sides.

mod head;
mod message;
mod upgrade;

pub(crate) use head::{HeadError, read_head};
pub(crate) use message::{Request, parse_request, parse_response};
pub(crate) use upgrade::{Response, UpgradeRequest, validate_upgrade};

/// The longest head of a request or response.
pub(crate) const HEAD_MAX: usize = 8 * 1024;

/// The most header fields in one head.
const FIELDS_MAX: usize = 64;

/// Header fields in the order of their appearance.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    fn from_parsed(fields: &[httparse::Header<'_>]) -> Self {
        let text = |bytes| String::from_utf8_lossy(bytes).trim().to_owned();
        Self(fields.iter().map(|field| (field.name.to_owned(), text(field.value))).collect())
    }

    /// The first field of this name, in whatever case.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let same = |field: &&(String, String)| field.0.eq_ignore_ascii_case(name);
        self.0.iter().find(same).map(|field| field.1.as_str())
    }

    /// How many fields have this name, in whatever case.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.0.iter().filter(|field| field.0.eq_ignore_ascii_case(name)).count()
    }

    /// Whether a field of this name lists the word, in whatever case.
    pub(crate) fn lists(&self, name: &str, word: &str) -> bool {
        self.0
            .iter()
            .filter(|field| field.0.eq_ignore_ascii_case(name))
            .flat_map(|field| field.1.split(','))
            .any(|item| item.trim().eq_ignore_ascii_case(word))
    }
}
