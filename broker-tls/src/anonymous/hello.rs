//! What a client wants, from its first bytes, for listeners that serve several kinds of them.

use super::SUITE;
use super::messages::{ClientHello, Fields, kind};
use super::record::{HEADER, Kind};
use rustls::CipherSuite;

/// A ClientHello is not longer than this with the headers of its records, and not in more of them:
/// what has arrived is looked at again whenever more of it has.
const HELLO_MAX: usize = 1 << 14;
const RECORDS_MAX: usize = 256;

/// What a client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hello {
    /// More bytes are needed to tell.
    Incomplete,
    /// Anonymous TLS is all that can be agreed on with it.
    Anonymous,
    /// Anything else, for rustls to serve or to refuse.
    Other,
}

/// Looks at what a client has sent so far. It is anonymous if it offers the suite of this mode, and
/// neither TLS 1.3 nor one of `others`, the suites of TLS 1.2 that could serve it better.
///
/// [`Hello::Incomplete`] is never the answer to 16 KiB or more.
#[must_use]
pub fn inspect(bytes: &[u8], others: &[CipherSuite]) -> Hello {
    let mut message = Vec::new();
    let mut fields = Fields::new(bytes);
    for _ in 0..RECORDS_MAX {
        let mut parts = Fields::new(&message);
        if let (Ok(kind), Ok(length)) = (parts.number(1), parts.number(3)) {
            if kind != usize::from(kind::CLIENT_HELLO) || length > HELLO_MAX {
                return Hello::Other;
            }
            if let Ok(body) = parts.bytes(length) {
                return classify(body, others);
            }
        }
        if bytes.len() >= HELLO_MAX {
            return Hello::Other;
        }
        let Ok(header) = fields.bytes(HEADER) else { return Hello::Incomplete };
        let [kind, 3, _, high, low] = header else { return Hello::Other };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if *kind != Kind::Handshake as u8 || length == 0 {
            return Hello::Other;
        }
        let Ok(body) = fields.bytes(length) else { return Hello::Incomplete };
        message.extend_from_slice(body);
    }
    Hello::Other
}

fn classify(body: &[u8], others: &[CipherSuite]) -> Hello {
    let Ok(hello) = ClientHello::read(body) else { return Hello::Other };
    let better = |suite: &u16| others.iter().any(|other| u16::from(*other) == *suite);
    if hello.suites.contains(&SUITE) && !hello.offers_tls13() && !hello.suites.iter().any(better) {
        return Hello::Anonymous;
    }
    Hello::Other
}
