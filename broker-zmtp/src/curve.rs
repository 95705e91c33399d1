//! CURVE: the handshake of both sides, and the messages after it. Every box is X25519, XSalsa20 and
//! Poly1305, as `crypto_box` of NaCl.

use crate::command::{put_command, reason, split};
use crate::frame::put_header;
use crate::{ClientKeys, Error, KEY_LEN, PublicKey, SecretKey, ServerKeys};
use crypto_box::aead::AeadInPlace;
use crypto_box::{Nonce, SalsaBox, Tag};
use subtle::ConstantTimeEq;

const TAG: usize = 16;
const NONCE: usize = 24;
const COOKIE: usize = 96;
/// The nonce of a box whose counter is written as eight bytes in front of it.
const SHORT: usize = 8;
/// The random half of a longer nonce.
const LONG: usize = 16;
/// What a box with the vouch of a client holds: its own short key and the key of the server.
const VOUCH: usize = LONG + TAG + 2 * KEY_LEN;

/// Random bytes that one connection uses up.
pub(crate) const ENTROPY: usize = KEY_LEN + LONG + COOKIE;

/// The random bytes of a connection, by what they are for.
struct Entropy<'a> {
    key: SecretKey,
    nonce: [u8; LONG],
    cookie: &'a [u8; COOKIE],
}

impl<'a> Entropy<'a> {
    fn split(entropy: &'a [u8; ENTROPY]) -> Self {
        let (mut key, mut nonce) = ([0; KEY_LEN], [0; LONG]);
        let (first, rest) = entropy.split_at(KEY_LEN);
        key.copy_from_slice(first);
        let (second, _) = rest.split_at(LONG);
        nonce.copy_from_slice(second);
        let cookie = rest.last_chunk().unwrap_or(&[0; COOKIE]);
        Self { key: SecretKey::new(key), nonce, cookie }
    }
}

/// A nonce from the text in front of it and what makes it unique.
fn nonce(prefix: &[u8], unique: &[u8]) -> Nonce {
    let mut nonce = [0; NONCE];
    let bytes = prefix.iter().chain(unique);
    nonce.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
    nonce.into()
}

fn key(public: &PublicKey) -> crypto_box::PublicKey {
    crypto_box::PublicKey::from_bytes(public.0)
}

fn between(theirs: &PublicKey, ours: &SecretKey) -> SalsaBox {
    SalsaBox::new(&key(theirs), &ours.for_box())
}

/// Appends a box with what `out` has from `begin` on in its place.
fn seal(with: &SalsaBox, nonce: &Nonce, begin: usize, out: &mut Vec<u8>) {
    let end = out.len();
    out.extend_from_slice(&[0; TAG]);
    out.copy_within(begin..end, begin + TAG);
    let (tag_place, text) = out.split_at_mut(begin + TAG);
    // Only texts of 256 GiB cannot be sealed.
    if let (Ok(tag), Some(place)) =
        (with.encrypt_in_place_detached(nonce, b"", text), tag_place.get_mut(begin..))
    {
        place.copy_from_slice(&tag);
    }
}

/// What is in a box.
fn open(
    with: &SalsaBox,
    nonce: &Nonce,
    sealed: &[u8],
    what: &'static str,
) -> Result<Vec<u8>, Error> {
    let (tag, text) = sealed.split_first_chunk::<TAG>().ok_or(Error::Undecipherable(what))?;
    let mut text = text.to_vec();
    with.decrypt_in_place_detached(nonce, b"", &mut text, &Tag::from(*tag))
        .map_err(|_| Error::Undecipherable(what))?;
    Ok(text)
}

/// What is known once both sides have proved their keys: one key for both directions, and a counter
/// for each, which no message may use twice.
pub(crate) struct Channel {
    keys: SalsaBox,
    ours: &'static [u8; NONCE - SHORT],
    theirs: &'static [u8; NONCE - SHORT],
    sent: u64,
    received: u64,
}

const OF_CLIENT: &[u8; NONCE - SHORT] = b"CurveZMQMESSAGEC";
const OF_SERVER: &[u8; NONCE - SHORT] = b"CurveZMQMESSAGES";
const MESSAGE: &[u8] = b"\x07MESSAGE";

/// Inside of a box, more parts follow.
pub(crate) const INNER_MORE: u8 = 1;
/// Inside of a box, the body is a command.
pub(crate) const INNER_COMMAND: u8 = 2;

impl Channel {
    /// Writes a frame with a part of a message, or a command, in a box.
    pub(crate) fn put(&mut self, flags: u8, body: &[&[u8]], out: &mut Vec<u8>) {
        self.sent = self.sent.wrapping_add(1);
        let counter = self.sent.to_be_bytes();
        let length: usize = body.iter().map(|piece| piece.len()).sum();
        put_header(0, MESSAGE.len() + SHORT + TAG + 1 + length, out);
        out.extend_from_slice(MESSAGE);
        out.extend_from_slice(&counter);
        let begin = out.len();
        out.push(flags);
        body.iter().for_each(|piece| out.extend_from_slice(piece));
        seal(&self.keys, &nonce(self.ours, &counter), begin, out);
    }

    /// The flags and the body in a frame of the other side.
    pub(crate) fn open(&mut self, body: &[u8]) -> Result<(u8, Vec<u8>), Error> {
        let rest = body.strip_prefix(MESSAGE);
        let rest = rest.ok_or(Error::Protocol("a frame outside of the encryption"))?;
        let (counter, sealed) = counted(rest, &mut self.received)?;
        let mut text = open(&self.keys, &nonce(self.theirs, &counter), sealed, "a message")?;
        match text.first().copied() {
            Some(flags) => {
                text.drain(..1);
                Ok((flags, text))
            }
            None => Err(Error::Protocol("a message without flags")),
        }
    }
}

/// Takes the counter in front of a box, which has to be larger than the last.
fn counted<'a>(rest: &'a [u8], last: &mut u64) -> Result<([u8; SHORT], &'a [u8]), Error> {
    let (counter, sealed) =
        rest.split_first_chunk::<SHORT>().ok_or(Error::Protocol("a box without a counter"))?;
    let number = u64::from_be_bytes(*counter);
    if number <= *last {
        return Err(Error::Protocol("a message was sent again"));
    }
    *last = number;
    Ok((*counter, sealed))
}

/// What a step of a handshake comes to.
pub(crate) enum Step {
    /// The other side has to say something more.
    Wait,
    /// The handshake is done, and the other side has told these properties of itself.
    Done(Box<Channel>, Vec<u8>),
}

/// The handshake of one side.
pub(crate) enum Handshake {
    Client(Box<Client>),
    Server(Box<Server>),
}

/// A client, which speaks first.
pub(crate) struct Client {
    keys: ClientKeys,
    short: SecretKey,
    vouch_nonce: [u8; LONG],
    metadata: Vec<u8>,
    sent: u64,
    received: u64,
    /// Once the server has told its short key.
    channel: Option<SalsaBox>,
}

/// A server, which waits for its client.
pub(crate) struct Server {
    keys: ServerKeys,
    short: SecretKey,
    welcome_nonce: [u8; LONG],
    cookie: [u8; COOKIE],
    metadata: Vec<u8>,
    received: u64,
    /// The short key of the client, once it has said hello.
    client: Option<PublicKey>,
}

impl Handshake {
    /// The side of the client. Its first command goes out with [`Self::begin`].
    pub(crate) fn client(keys: ClientKeys, entropy: &[u8; ENTROPY], metadata: Vec<u8>) -> Self {
        let Entropy { key: short, nonce: vouch_nonce, .. } = Entropy::split(entropy);
        let (sent, received, channel) = (0, 0, None);
        Self::Client(Box::new(Client {
            keys,
            short,
            vouch_nonce,
            metadata,
            sent,
            received,
            channel,
        }))
    }

    /// The side of the server.
    pub(crate) fn server(keys: ServerKeys, entropy: &[u8; ENTROPY], metadata: Vec<u8>) -> Self {
        let Entropy { key: short, nonce: welcome_nonce, cookie } = Entropy::split(entropy);
        let (cookie, received, client) = (*cookie, 0, None);
        Self::Server(Box::new(Server {
            keys,
            short,
            welcome_nonce,
            cookie,
            metadata,
            received,
            client,
        }))
    }

    /// Writes what goes out before the other side has said anything.
    pub(crate) fn begin(&mut self, out: &mut Vec<u8>) {
        if let Self::Client(client) = self {
            client.hello(out);
        }
    }

    /// Takes a command of the other side.
    pub(crate) fn command(&mut self, body: &[u8], out: &mut Vec<u8>) -> Result<Step, Error> {
        let (name, rest) = split(body)?;
        match (self, name) {
            (_, b"ERROR") => Err(Error::Refused(reason(rest)?)),
            (Self::Client(client), b"WELCOME") if client.channel.is_none() => {
                client.welcome(rest, out).map(|()| Step::Wait)
            }
            (Self::Client(client), b"READY") => client.ready(rest),
            (Self::Server(server), b"HELLO") if server.client.is_none() => {
                server.hello(rest, out).map(|()| Step::Wait)
            }
            (Self::Server(server), b"INITIATE") => server.initiate(rest, out),
            _ => Err(Error::Protocol("a command that does not belong here in the handshake")),
        }
    }
}

const HELLO_TEXT: usize = 64;
const HELLO_PADDING: usize = 72;
const HELLO_NONCE: &[u8] = b"CurveZMQHELLO---";
const INITIATE_NONCE: &[u8] = b"CurveZMQINITIATE";
const READY_NONCE: &[u8] = b"CurveZMQREADY---";
const WELCOME_NONCE: &[u8] = b"WELCOME-";
const VOUCH_NONCE: &[u8] = b"VOUCH---";

impl Client {
    fn counter(&mut self) -> [u8; SHORT] {
        self.sent += 1;
        self.sent.to_be_bytes()
    }

    fn hello(&mut self, out: &mut Vec<u8>) {
        let counter = self.counter();
        let mut signature = vec![0; HELLO_TEXT];
        let with = between(&self.keys.server, &self.short);
        seal(&with, &nonce(HELLO_NONCE, &counter), 0, &mut signature);
        let short = self.short.public();
        let parts = [&[1, 0][..], &[0; HELLO_PADDING], &short.0, &counter, &signature];
        put_command(b"\x05HELLO", &parts, out);
    }

    fn welcome(&mut self, rest: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let (welcome_nonce, sealed) = rest
            .split_first_chunk::<LONG>()
            .filter(|(_, sealed)| sealed.len() == TAG + KEY_LEN + COOKIE)
            .ok_or(Error::Protocol("a WELCOME of another length"))?;
        let with = between(&self.keys.server, &self.short);
        let text = open(&with, &nonce(WELCOME_NONCE, welcome_nonce), sealed, "the WELCOME")?;
        let (server_short, cookie) =
            text.split_first_chunk::<KEY_LEN>().ok_or(Error::Undecipherable("the WELCOME"))?;
        let server_short = PublicKey(*server_short);
        let mut vouch = self.short.public().0.to_vec();
        vouch.extend_from_slice(&self.keys.server.0);
        let with = between(&server_short, &self.keys.secret);
        seal(&with, &nonce(VOUCH_NONCE, &self.vouch_nonce), 0, &mut vouch);
        let mut initiate = self.keys.public.0.to_vec();
        initiate.extend_from_slice(&self.vouch_nonce);
        initiate.extend_from_slice(&vouch);
        initiate.extend_from_slice(&self.metadata);
        let counter = self.counter();
        let channel = between(&server_short, &self.short);
        seal(&channel, &nonce(INITIATE_NONCE, &counter), 0, &mut initiate);
        put_command(b"\x08INITIATE", &[cookie, &counter, &initiate], out);
        self.channel = Some(channel);
        Ok(())
    }

    fn ready(&mut self, rest: &[u8]) -> Result<Step, Error> {
        let keys = self.channel.take().ok_or(Error::Protocol("a READY before the WELCOME"))?;
        let (counter, sealed) = counted(rest, &mut self.received)?;
        let metadata = open(&keys, &nonce(READY_NONCE, &counter), sealed, "the READY")?;
        let (sent, received) = (self.sent, self.received);
        let channel = Channel { keys, ours: OF_CLIENT, theirs: OF_SERVER, sent, received };
        Ok(Step::Done(Box::new(channel), metadata))
    }
}

impl Server {
    fn hello(&mut self, rest: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        const HELLO: usize = 2 + HELLO_PADDING + KEY_LEN + SHORT + TAG + HELLO_TEXT;
        if rest.len() != HELLO {
            return Err(Error::Protocol("a HELLO of another length"));
        }
        let (version, rest) = rest.split_at(2);
        if version.first() != Some(&1) {
            return Err(Error::Protocol("a HELLO of another version"));
        }
        let (short, rest) = rest
            .get(HELLO_PADDING..)
            .and_then(<[u8]>::split_first_chunk::<KEY_LEN>)
            .ok_or(Error::Protocol("a HELLO of another length"))?;
        let short = PublicKey(*short);
        let (counter, signature) = counted(rest, &mut self.received)?;
        let with = between(&short, &self.keys.secret);
        open(&with, &nonce(HELLO_NONCE, &counter), signature, "the HELLO")?;
        let mut welcome = self.short.public().0.to_vec();
        welcome.extend_from_slice(&self.cookie);
        seal(&with, &nonce(WELCOME_NONCE, &self.welcome_nonce), 0, &mut welcome);
        put_command(b"\x07WELCOME", &[&self.welcome_nonce, &welcome], out);
        self.client = Some(short);
        Ok(())
    }

    fn initiate(&mut self, rest: &[u8], out: &mut Vec<u8>) -> Result<Step, Error> {
        const WHAT: &str = "the INITIATE";
        let short = self.client.ok_or(Error::Protocol("an INITIATE before the HELLO"))?;
        let (cookie, rest) = rest
            .split_first_chunk::<COOKIE>()
            .ok_or(Error::Protocol("an INITIATE without its cookie"))?;
        if !bool::from(cookie.ct_eq(&self.cookie)) {
            return Err(Error::Protocol("an INITIATE with a foreign cookie"));
        }
        let (counter, sealed) = counted(rest, &mut self.received)?;
        let keys = between(&short, &self.short);
        let text = open(&keys, &nonce(INITIATE_NONCE, &counter), sealed, WHAT)?;
        let (client, rest) =
            text.split_first_chunk::<KEY_LEN>().ok_or(Error::Undecipherable(WHAT))?;
        let (vouch, metadata) =
            rest.split_first_chunk::<VOUCH>().ok_or(Error::Undecipherable(WHAT))?;
        let client = PublicKey(*client);
        let (vouch_nonce, vouch) = vouch.split_at(LONG);
        let with = between(&client, &self.short);
        let vouch = open(&with, &nonce(VOUCH_NONCE, vouch_nonce), vouch, "the vouch")?;
        let expected = [short.0, self.keys.secret.public().0].concat();
        if !bool::from(vouch.ct_eq(&expected)) {
            return Err(Error::Undecipherable("the vouch"));
        }
        if client != self.keys.client {
            put_command(b"\x05ERROR", &[b"\x03400"], out);
            return Err(Error::UnknownKey);
        }
        let counter = 1_u64.to_be_bytes();
        let mut ready = self.metadata.clone();
        seal(&keys, &nonce(READY_NONCE, &counter), 0, &mut ready);
        put_command(b"\x05READY", &[&counter, &ready], out);
        let received = self.received;
        let channel = Channel { keys, ours: OF_SERVER, theirs: OF_CLIENT, sent: 1, received };
        Ok(Step::Done(Box::new(channel), metadata.to_vec()))
    }
}
