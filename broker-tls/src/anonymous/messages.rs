//! The messages of the handshake, written and read.

use super::keys::Group;
use super::{AnonymousError, SUITE, VERSION, refused};
use rustls::AlertDescription as Alert;

/// The types of messages.
pub(super) mod kind {
    pub(crate) const HELLO_REQUEST: u8 = 0;
    pub(crate) const CLIENT_HELLO: u8 = 1;
    pub(crate) const SERVER_HELLO: u8 = 2;
    pub(crate) const CERTIFICATE: u8 = 11;
    pub(crate) const SERVER_KEY_EXCHANGE: u8 = 12;
    pub(crate) const CERTIFICATE_REQUEST: u8 = 13;
    pub(crate) const SERVER_HELLO_DONE: u8 = 14;
    pub(crate) const CLIENT_KEY_EXCHANGE: u8 = 16;
    pub(crate) const FINISHED: u8 = 20;
}

/// The types of extensions.
mod extension {
    pub(super) const SUPPORTED_GROUPS: u16 = 10;
    pub(super) const POINT_FORMATS: u16 = 11;
    pub(super) const ENCRYPT_THEN_MAC: u16 = 22;
    pub(super) const EXTENDED_MASTER_SECRET: u16 = 23;
    pub(super) const SUPPORTED_VERSIONS: u16 = 43;
    pub(super) const RENEGOTIATION_INFO: u16 = 0xFF01;
}

/// In place of a suite: "this client knows secure renegotiation" (RFC 5746).
const RENEGOTIATION_SCSV: u16 = 0x00FF;

/// The curve is named by a number.
const NAMED_CURVE: u8 = 3;

/// Whether a hello has more extensions than anybody has a use for.
const EXTENSIONS_MAX: usize = 64;

/// Takes fields off the front of a message.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], AnonymousError> {
        match self.0.split_at_checked(count) {
            Some((head, rest)) => {
                self.0 = rest;
                Ok(head)
            }
            None => refused(Alert::DecodeError, "a message ends in the middle of a field"),
        }
    }

    /// A number of up to four bytes.
    pub(super) fn number(&mut self, size: usize) -> Result<usize, AnonymousError> {
        let bytes = self.bytes(size)?;
        Ok(bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    fn u16(&mut self) -> Result<u16, AnonymousError> {
        Ok(self.number(2)? as u16)
    }

    /// A vector whose length has `size` bytes.
    fn vector(&mut self, size: usize) -> Result<&'a [u8], AnonymousError> {
        let length = self.number(size)?;
        self.bytes(length)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], AnonymousError> {
        let mut array = [0; N];
        array.iter_mut().zip(self.bytes(N)?).for_each(|(to, from)| *to = *from);
        Ok(array)
    }

    /// Nothing may be left.
    fn end(self) -> Result<(), AnonymousError> {
        if self.0.is_empty() {
            return Ok(());
        }
        refused(Alert::DecodeError, "a message is longer than its fields")
    }
}

/// A list of numbers of two bytes.
fn numbers(bytes: &[u8]) -> Result<Vec<u16>, AnonymousError> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() || pairs.is_empty() {
        return refused(Alert::DecodeError, "a list of a message has half an item or none");
    }
    Ok(pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect())
}

/// The extensions of a hello: type and contents.
fn extensions(mut fields: Fields<'_>) -> Result<Vec<(u16, &[u8])>, AnonymousError> {
    let mut found: Vec<(u16, &[u8])> = Vec::new();
    if fields.0.is_empty() {
        return Ok(found);
    }
    let mut list = Fields(fields.vector(2)?);
    fields.end()?;
    while !list.0.is_empty() {
        let (kind, contents) = (list.u16()?, list.vector(2)?);
        if found.len() == EXTENSIONS_MAX || found.iter().any(|(other, _)| *other == kind) {
            return refused(Alert::DecodeError, "a hello repeats extensions or has too many");
        }
        found.push((kind, contents));
    }
    Ok(found)
}

fn find<'a>(extensions: &[(u16, &'a [u8])], kind: u16) -> Option<&'a [u8]> {
    extensions.iter().find(|(other, _)| *other == kind).map(|(_, contents)| *contents)
}

/// The two extensions that this mode requires, and the one that it makes nothing of.
fn check_common(extensions: &[(u16, &[u8])]) -> Result<(), AnonymousError> {
    let etm = find(extensions, extension::ENCRYPT_THEN_MAC);
    let ems = find(extensions, extension::EXTENDED_MASTER_SECRET);
    if etm.is_none() {
        return refused(
            Alert::HandshakeFailure,
            "the other side has no encrypt-then-MAC (RFC 7366), which anonymous TLS needs here",
        );
    }
    if ems.is_none() {
        return refused(
            Alert::HandshakeFailure,
            "the other side has no extended master secret (RFC 7627), which anonymous TLS needs \
             here",
        );
    }
    if [etm, ems].into_iter().flatten().any(|contents| !contents.is_empty()) {
        return refused(Alert::DecodeError, "an extension that is only a flag has contents");
    }
    if find(extensions, extension::RENEGOTIATION_INFO).is_some_and(|info| info != [0]) {
        return refused(Alert::HandshakeFailure, "a first handshake claims to be a renegotiation");
    }
    if let Some(contents) = find(extensions, extension::POINT_FORMATS) {
        let mut fields = Fields(contents);
        let formats = fields.vector(1)?;
        fields.end()?;
        if !formats.contains(&0) {
            return refused(Alert::IllegalParameter, "the other side has no uncompressed points");
        }
    }
    Ok(())
}

/// A whole message: type, length of three bytes, body.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut message = vec![kind];
    message.extend_from_slice(&length);
    message.extend_from_slice(body);
    message
}

fn put_extension(out: &mut Vec<u8>, kind: u16, contents: &[u8]) {
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&(contents.len() as u16).to_be_bytes());
    out.extend_from_slice(contents);
}

/// The client's first message.
pub(super) fn client_hello(random: &[u8; 32]) -> Vec<u8> {
    let mut groups = (2 * Group::ALL.len() as u16).to_be_bytes().to_vec();
    Group::ALL.iter().for_each(|group| groups.extend_from_slice(&group.id().to_be_bytes()));
    let mut extensions = Vec::new();
    put_extension(&mut extensions, extension::SUPPORTED_GROUPS, &groups);
    put_extension(&mut extensions, extension::POINT_FORMATS, &[1, 0]);
    put_extension(&mut extensions, extension::ENCRYPT_THEN_MAC, &[]);
    put_extension(&mut extensions, extension::EXTENDED_MASTER_SECRET, &[]);
    put_extension(&mut extensions, extension::RENEGOTIATION_INFO, &[0]);
    let mut body = VERSION.to_vec();
    body.extend_from_slice(random);
    // No session, one suite, no compression.
    body.extend_from_slice(&[0, 0, 2]);
    body.extend_from_slice(&SUITE.to_be_bytes());
    body.extend_from_slice(&[1, 0]);
    body.extend_from_slice(&(extensions.len() as u16).to_be_bytes());
    body.append(&mut extensions);
    message(kind::CLIENT_HELLO, &body)
}

/// What a client says about itself.
#[derive(Debug)]
pub(super) struct ClientHello<'a> {
    version: u16,
    pub(super) random: [u8; 32],
    pub(super) suites: Vec<u16>,
    compressions: &'a [u8],
    extensions: Vec<(u16, &'a [u8])>,
}

impl<'a> ClientHello<'a> {
    pub(super) fn read(body: &'a [u8]) -> Result<Self, AnonymousError> {
        let mut fields = Fields(body);
        let (version, random) = (fields.u16()?, fields.array()?);
        if fields.vector(1)?.len() > 32 {
            return refused(Alert::DecodeError, "a session has a name of more than 32 bytes");
        }
        let suites = numbers(fields.vector(2)?)?;
        let compressions = fields.vector(1)?;
        Ok(Self { version, random, suites, compressions, extensions: extensions(fields)? })
    }

    /// Whether TLS 1.3 is among the versions that the client offers.
    pub(super) fn offers_tls13(&self) -> bool {
        self.versions().is_some_and(|versions| versions.contains(&[3, 4]))
    }

    /// Whether this mode's version is among those that the client offers. Where it lists them, the
    /// list alone counts (RFC 8446, section 4.2.1).
    fn offers_tls12(&self) -> bool {
        match self.versions() {
            Some(versions) => versions.contains(&VERSION),
            None => self.version >= u16::from_be_bytes(VERSION),
        }
    }

    /// The versions that the client lists, if it does.
    fn versions(&self) -> Option<&'a [[u8; 2]]> {
        let list = find(&self.extensions, extension::SUPPORTED_VERSIONS)?;
        Some(list.get(1..).unwrap_or_default().as_chunks().0)
    }

    /// The group to use with this client, if it can do what this mode needs.
    pub(super) fn accept(&self) -> Result<Group, AnonymousError> {
        if !self.offers_tls12() {
            return refused(
                Alert::ProtocolVersion,
                "the other side speaks no TLS version from 1.2 on",
            );
        }
        if !self.suites.contains(&SUITE) {
            return refused(
                Alert::HandshakeFailure,
                "the other side wants certificates: it offers no anonymous suite",
            );
        }
        if !self.compressions.contains(&0) {
            return refused(Alert::IllegalParameter, "the other side insists on compression");
        }
        check_common(&self.extensions)?;
        let Some(groups) = find(&self.extensions, extension::SUPPORTED_GROUPS) else {
            // A client that does not say has to know them all (RFC 8422, section 4).
            return Ok(Group::P384);
        };
        let mut fields = Fields(groups);
        let groups = numbers(fields.vector(2)?)?;
        fields.end()?;
        match groups.into_iter().find_map(Group::from_id) {
            Some(group) => Ok(group),
            None => refused(
                Alert::HandshakeFailure,
                "no curve is common to both sides (X25519, P-256 and P-384 are known here)",
            ),
        }
    }

    fn knows_secure_renegotiation(&self) -> bool {
        self.suites.contains(&RENEGOTIATION_SCSV)
            || find(&self.extensions, extension::RENEGOTIATION_INFO).is_some()
    }
}

/// The answer to a hello that was accepted.
pub(super) fn server_hello(random: &[u8; 32], hello: &ClientHello<'_>) -> Vec<u8> {
    let mut extensions = Vec::new();
    if hello.knows_secure_renegotiation() {
        put_extension(&mut extensions, extension::RENEGOTIATION_INFO, &[0]);
    }
    if find(&hello.extensions, extension::POINT_FORMATS).is_some() {
        put_extension(&mut extensions, extension::POINT_FORMATS, &[1, 0]);
    }
    put_extension(&mut extensions, extension::ENCRYPT_THEN_MAC, &[]);
    put_extension(&mut extensions, extension::EXTENDED_MASTER_SECRET, &[]);
    let mut body = VERSION.to_vec();
    body.extend_from_slice(random);
    // A session without a name cannot be resumed.
    body.push(0);
    body.extend_from_slice(&SUITE.to_be_bytes());
    body.push(0);
    body.extend_from_slice(&(extensions.len() as u16).to_be_bytes());
    body.append(&mut extensions);
    message(kind::SERVER_HELLO, &body)
}

/// Reads the answer to [`client_hello`]; returns the server's random bytes.
pub(super) fn read_server_hello(body: &[u8]) -> Result<[u8; 32], AnonymousError> {
    let mut fields = Fields(body);
    let (version, random) = (fields.array::<2>()?, fields.array()?);
    if version != VERSION {
        return refused(Alert::ProtocolVersion, "the other side speaks no TLS 1.2");
    }
    let session = fields.vector(1)?;
    let (suite, compression) = (fields.u16()?, fields.number(1)?);
    if suite != SUITE || compression != 0 || session.len() > 32 {
        return refused(Alert::IllegalParameter, "the other side chose what was not offered");
    }
    let extensions = extensions(fields)?;
    let offered = [
        extension::POINT_FORMATS,
        extension::ENCRYPT_THEN_MAC,
        extension::EXTENDED_MASTER_SECRET,
        extension::RENEGOTIATION_INFO,
        // A server has no use for it in its answer, yet some send it.
        extension::SUPPORTED_GROUPS,
    ];
    if extensions.iter().any(|(kind, _)| !offered.contains(kind)) {
        return refused(
            Alert::UnsupportedExtension,
            "the other side answers an extension that was not offered",
        );
    }
    check_common(&extensions)?;
    Ok(random)
}

/// The server's public key; nothing signs it.
pub(super) fn server_key_exchange(group: Group, point: &[u8]) -> Vec<u8> {
    let [high, low] = group.id().to_be_bytes();
    let mut body = vec![NAMED_CURVE, high, low, point.len() as u8];
    body.extend_from_slice(point);
    message(kind::SERVER_KEY_EXCHANGE, &body)
}

pub(super) fn read_server_key_exchange(body: &[u8]) -> Result<(Group, &[u8]), AnonymousError> {
    let mut fields = Fields(body);
    let (curve_type, group) = (fields.number(1)?, fields.u16()?);
    let group = Group::from_id(group).filter(|_| curve_type == usize::from(NAMED_CURVE));
    let Some(group) = group else {
        return refused(Alert::IllegalParameter, "the other side chose a curve of its own");
    };
    let point = fields.vector(1)?;
    fields.end()?;
    Ok((group, point))
}

pub(super) fn server_hello_done() -> Vec<u8> {
    message(kind::SERVER_HELLO_DONE, &[])
}

/// The client's public key.
pub(super) fn client_key_exchange(point: &[u8]) -> Vec<u8> {
    let mut body = vec![point.len() as u8];
    body.extend_from_slice(point);
    message(kind::CLIENT_KEY_EXCHANGE, &body)
}

pub(super) fn read_client_key_exchange(body: &[u8]) -> Result<&[u8], AnonymousError> {
    let mut fields = Fields(body);
    let point = fields.vector(1)?;
    fields.end()?;
    Ok(point)
}

pub(super) fn finished(data: &[u8]) -> Vec<u8> {
    message(kind::FINISHED, data)
}
