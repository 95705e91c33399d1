//! Both sides of the handshake, and what a connection is fed with.

use super::input::Input;
use super::keys::{Entropy, Group, Master, Share, directions};
use super::messages::{self, ClientHello, Fields, kind};
use super::record::{HEADER, Kind, Opener, PLAIN_MAX, SEALED_MAX, Sealer, write_plain};
use super::{AnonymousError, VERSION, refused};
use rustls::AlertDescription as Alert;
use sha2::{Digest, Sha256};
use std::io::IoSlice;
use std::mem;
use std::ops::Range;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// The longest message of a handshake that is read.
const MESSAGE_MAX: usize = 1 << 16;

/// How many records without contents may follow each other, and how many warnings and requests to
/// renegotiate a connection survives: there is no use in more than a few.
const IDLE_MAX: u8 = 32;

/// The most plaintext that is sealed before the output has to be taken.
const SEND_MAX: usize = 4 * PLAIN_MAX;

/// Random bytes are asked for in this many IVs at once.
const IVS: usize = 16;

/// What a connection needs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnonymousStatus {
    /// More bytes of the other side.
    Input,
    /// Somebody who takes the plaintext that has arrived.
    Data,
    /// Nothing: the other side has ended its direction in an orderly way. The other direction goes
    /// on until [`AnonymousConnection::close`], as OpenSSL and rustls have it and TLS 1.3 does,
    /// while RFC 5246 wants it to end at once.
    Closed,
}

/// What is expected of the other side.
enum State {
    ServerHello { client: [u8; 32] },
    ServerKeyExchange { client: [u8; 32], server: [u8; 32] },
    ServerHelloDone { client: [u8; 32], server: [u8; 32], group: Group, point: Vec<u8> },
    ClientHello,
    ClientKeyExchange { client: [u8; 32], server: [u8; 32], share: Box<Share> },
    ChangeCipherSpec { master: Master, opener: Box<Opener>, sealer: Option<Box<Sealer>> },
    Finished { master: Master, sealer: Option<Box<Sealer>> },
    Data,
    Nothing,
}

/// One side of a connection, without its input and output.
///
/// What arrives goes into [`Self::room`] and is told by [`Self::arrived`]; [`Self::process`] then
/// says what comes of it. What is to be sent is in [`Self::output`], before and after errors too.
/// Beyond the first 4 KiB, memory is taken for at most twice of what has arrived.
pub struct AnonymousConnection {
    is_client: bool,
    entropy: Entropy,
    state: State,
    transcript: Sha256,
    /// What has arrived of messages that are not complete.
    message: Vec<u8>,
    sealer: Option<Box<Sealer>>,
    opener: Option<Box<Opener>>,
    ivs: [[u8; 16]; IVS],
    ivs_left: usize,
    input: Input,
    output: Vec<u8>,
    sent: usize,
    empty: u8,
    tolerated: u8,
    closed: bool,
    close_sent: bool,
    error: Option<AnonymousError>,
}

impl AnonymousConnection {
    /// A client, with its first message in the output.
    ///
    /// # Errors
    ///
    /// The system has no random numbers.
    pub fn client() -> Result<Self, AnonymousError> {
        Self::client_with(Entropy::system())
    }

    /// A server.
    #[must_use]
    pub fn server() -> Self {
        Self::server_with(Entropy::system())
    }

    pub(super) fn client_with(mut entropy: Entropy) -> Result<Self, AnonymousError> {
        let mut client = [0; 32];
        entropy.fill(&mut client)?;
        let mut connection = Self::new(true, entropy, State::ServerHello { client });
        let hello = messages::client_hello(&client);
        connection.transcript.update(&hello);
        // Old servers read no higher version here (RFC 5246, appendix E.1).
        write_plain(Kind::Handshake, [3, 1], &hello, &mut connection.output);
        Ok(connection)
    }

    pub(super) fn server_with(entropy: Entropy) -> Self {
        Self::new(false, entropy, State::ClientHello)
    }

    fn new(is_client: bool, entropy: Entropy, state: State) -> Self {
        Self {
            is_client,
            entropy,
            state,
            transcript: Sha256::new(),
            message: Vec::new(),
            sealer: None,
            opener: None,
            ivs: [[0; 16]; IVS],
            ivs_left: 0,
            input: Input::new(),
            output: Vec::new(),
            sent: 0,
            empty: 0,
            tolerated: 0,
            closed: false,
            close_sent: false,
            error: None,
        }
    }

    /// Whether the handshake is done, so that data may be sent.
    #[must_use]
    pub fn is_established(&self) -> bool {
        matches!(self.state, State::Data)
    }

    /// Where the next bytes of the other side go. Empty while there is plaintext to be taken.
    pub fn room(&mut self) -> &mut [u8] {
        self.input.room()
    }

    /// Takes note of `count` bytes that have been put into [`Self::room`].
    pub fn arrived(&mut self, count: usize) {
        self.input.arrived(count);
    }

    /// Gives the memory for input and output back if nothing is in it, until it is needed again.
    pub fn release(&mut self) {
        self.input.release();
        if self.output.is_empty() {
            self.output = Vec::new();
        }
    }

    /// Looks at what has arrived, until there is plaintext.
    ///
    /// # Errors
    ///
    /// The connection has ended, now or before; an alert for the other side may be in the output.
    pub fn process(&mut self) -> Result<AnonymousStatus, AnonymousError> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        let outcome = self.process_records();
        if let Err(error) = &outcome {
            self.fail(error.clone());
        }
        outcome
    }

    /// The plaintext that has arrived.
    #[must_use]
    pub fn plaintext(&self) -> &[u8] {
        self.input.plaintext()
    }

    /// Drops `count` bytes off the front of the plaintext.
    pub fn consume(&mut self, count: usize) {
        self.input.consume(count);
    }

    /// What is to be sent to the other side.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        self.output.get(self.sent..).unwrap_or_default()
    }

    /// Takes note that `count` bytes of the output have been sent.
    pub fn sent(&mut self, count: usize) {
        self.sent = (self.sent + count).min(self.output.len());
        if self.sent == self.output.len() {
            self.output.clear();
            self.sent = 0;
        }
    }

    /// Seals plaintext into the output and returns how many bytes it took: all, or as many as make
    /// some full records; 0 before the handshake is done and after [`Self::close`].
    ///
    /// # Errors
    ///
    /// As for [`Self::process`].
    pub fn send(&mut self, pieces: &[IoSlice<'_>]) -> Result<usize, AnonymousError> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        if !self.is_established() || self.close_sent {
            return Ok(0);
        }
        let mut pieces = pieces.iter().map(|piece| &**piece);
        let mut piece: &[u8] = &[];
        let mut taken = 0;
        while taken < SEND_MAX {
            let start = Sealer::begin(self.iv()?, &mut self.output);
            let mut free = PLAIN_MAX;
            while free > 0 {
                if piece.is_empty() {
                    let Some(next) = pieces.next() else { break };
                    piece = next;
                }
                let (now, later) = piece.split_at(free.min(piece.len()));
                self.output.extend_from_slice(now);
                (piece, free) = (later, free - now.len());
            }
            if free == PLAIN_MAX {
                self.output.truncate(start);
                break;
            }
            taken += PLAIN_MAX - free;
            self.seal(Kind::Data, start)?;
        }
        Ok(taken)
    }

    /// Ends this side's direction, in the output. What the other side sends still arrives.
    pub fn close(&mut self) {
        if !mem::replace(&mut self.close_sent, true) && self.error.is_none() {
            // The connection ends in any case.
            let _ = self.write(Kind::Alert, &[1, u8::from(Alert::CloseNotify)]);
        }
    }

    fn iv(&mut self) -> Result<[u8; 16], AnonymousError> {
        if self.ivs_left == 0 {
            self.entropy.fill(self.ivs.as_flattened_mut())?;
            self.ivs_left = IVS;
        }
        let next = IVS - self.ivs_left;
        self.ivs_left -= 1;
        Ok(self.ivs.get(next).copied().unwrap_or_default())
    }

    fn seal(&mut self, kind: Kind, start: usize) -> Result<(), AnonymousError> {
        let Some(sealer) = &mut self.sealer else { return unexpected() };
        let outcome = sealer.finish(kind, start, &mut self.output);
        if let Err(error) = &outcome {
            // Nothing can be sealed any more, not even an alert.
            self.output.truncate(start);
            self.error = Some(error.clone());
        }
        outcome
    }

    /// Writes one record, protected if the other side expects that.
    fn write(&mut self, kind: Kind, body: &[u8]) -> Result<(), AnonymousError> {
        if self.sealer.is_none() {
            write_plain(kind, VERSION, body, &mut self.output);
            return Ok(());
        }
        let start = Sealer::begin(self.iv()?, &mut self.output);
        self.output.extend_from_slice(body);
        self.seal(kind, start)
    }

    /// Writes messages into one record.
    fn write_messages(&mut self, messages: &[u8]) -> Result<(), AnonymousError> {
        self.transcript.update(messages);
        self.write(Kind::Handshake, messages)
    }

    fn fail(&mut self, error: AnonymousError) {
        if let AnonymousError::Refused { alert, .. } = &error
            && !self.close_sent
        {
            self.close_sent = true;
            let _ = self.write(Kind::Alert, &[2, u8::from(*alert)]);
        }
        self.state = State::Nothing;
        self.message.zeroize();
        self.error = Some(error);
    }

    fn process_records(&mut self) -> Result<AnonymousStatus, AnonymousError> {
        loop {
            if self.input.has_plaintext() {
                return Ok(AnonymousStatus::Data);
            }
            if self.closed {
                // Whatever follows the end is of no interest.
                self.input.discard();
                return Ok(AnonymousStatus::Closed);
            }
            let Some((kind, body)) = self.next_record()? else { return Ok(AnonymousStatus::Input) };
            let body = match &mut self.opener {
                None => body,
                Some(opener) => {
                    let plain = opener.open(kind, self.input.at_mut(body.clone()))?;
                    body.start + plain.start..body.start + plain.end
                }
            };
            self.on_record(kind, body)?;
        }
    }

    /// The type and the place of the next record, once it is complete.
    fn next_record(&mut self) -> Result<Option<(Kind, Range<usize>)>, AnonymousError> {
        let unread = self.input.unread();
        let Some(header) = unread.first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let [kind, major, minor, high, low] = *header;
        let Some(kind) = Kind::from_byte(kind).filter(|_| major == 3) else {
            return refused(Alert::UnexpectedMessage, "what the other side sends is not TLS");
        };
        // The first record may have another version, and so may an alert in answer to it.
        let agreed = !matches!(self.state, State::ClientHello | State::ServerHello { .. });
        if agreed && [major, minor] != VERSION {
            return refused(Alert::ProtocolVersion, "a record has another version of TLS");
        }
        let length = usize::from(u16::from_be_bytes([high, low]));
        let most = if self.opener.is_some() { SEALED_MAX } else { PLAIN_MAX };
        if length > most {
            return refused(Alert::RecordOverflow, "a record is longer than it may be");
        }
        if unread.len() < HEADER + length {
            return Ok(None);
        }
        self.input.take(HEADER);
        Ok(Some((kind, self.input.take(length))))
    }

    fn on_record(&mut self, kind: Kind, body: Range<usize>) -> Result<(), AnonymousError> {
        if body.is_empty() {
            self.empty += 1;
            // Empty records of data are a habit from before TLS 1.1; others are not allowed.
            if kind != Kind::Data || !self.is_established() || self.empty > IDLE_MAX {
                return refused(Alert::UnexpectedMessage, "a record without contents");
            }
            return Ok(());
        }
        self.empty = 0;
        let contents = self.input.at(body.clone());
        match kind {
            Kind::Alert => {
                let Ok(alert) = <[u8; 2]>::try_from(contents) else {
                    return refused(Alert::DecodeError, "an alert has two bytes");
                };
                self.on_alert(alert)
            }
            // Nothing may come between the parts of a message, least of all other keys.
            Kind::ChangeCipherSpec | Kind::Data if !self.message.is_empty() => unexpected(),
            Kind::ChangeCipherSpec if contents == [1] => self.on_change_cipher_spec(),
            Kind::ChangeCipherSpec => unexpected(),
            Kind::Data if self.is_established() => {
                self.input.set_plaintext(body);
                Ok(())
            }
            Kind::Data => unexpected(),
            Kind::Handshake => {
                self.message.extend_from_slice(contents);
                self.on_messages()
            }
        }
    }

    fn on_alert(&mut self, [level, alert]: [u8; 2]) -> Result<(), AnonymousError> {
        let alert = Alert::from(alert);
        match (level, alert) {
            (_, Alert::CloseNotify) if self.is_established() => {
                self.closed = true;
                Ok(())
            }
            (1, Alert::UserCanceled | Alert::NoRenegotiation) => self.tolerate(),
            (1 | 2, alert) => Err(AnonymousError::AlertReceived(alert)),
            _ => refused(Alert::IllegalParameter, "an alert has no such level"),
        }
    }

    /// Counts what is not an error, but is one when there is too much of it.
    fn tolerate(&mut self) -> Result<(), AnonymousError> {
        self.tolerated += 1;
        if self.tolerated > IDLE_MAX {
            return refused(Alert::UnexpectedMessage, "too many warnings or renegotiations");
        }
        Ok(())
    }

    fn on_change_cipher_spec(&mut self) -> Result<(), AnonymousError> {
        match mem::replace(&mut self.state, State::Nothing) {
            State::ChangeCipherSpec { master, opener, sealer } => {
                self.opener = Some(opener);
                self.state = State::Finished { master, sealer };
                Ok(())
            }
            _ => unexpected(),
        }
    }

    fn on_messages(&mut self) -> Result<(), AnonymousError> {
        loop {
            let mut fields = Fields::new(&self.message);
            let (Ok(kind), Ok(length)) = (fields.number(1), fields.number(3)) else {
                return Ok(());
            };
            if length > MESSAGE_MAX {
                return refused(Alert::IllegalParameter, "a message is longer than 64 KiB");
            }
            let Ok(body) = fields.bytes(length) else { return Ok(()) };
            let body = body.to_vec();
            let whole: Vec<u8> = self.message.drain(..4 + length).collect();
            self.on_message(kind as u8, &whole, &body)?;
        }
    }

    fn on_message(&mut self, kind: u8, whole: &[u8], body: &[u8]) -> Result<(), AnonymousError> {
        if kind == kind::HELLO_REQUEST && self.is_client {
            // It belongs to no transcript. During a handshake it means nothing.
            if !body.is_empty() {
                return refused(Alert::DecodeError, "a request for a handshake has contents");
            }
            return if self.is_established() {
                self.refuse_renegotiation()
            } else {
                self.tolerate()
            };
        }
        if kind == kind::CLIENT_HELLO && !self.is_client && self.is_established() {
            return self.refuse_renegotiation();
        }
        let before = self.transcript_hash();
        self.transcript.update(whole);
        match (mem::replace(&mut self.state, State::Nothing), kind) {
            (State::ServerHello { client }, kind::SERVER_HELLO) => {
                let server = messages::read_server_hello(body)?;
                self.state = State::ServerKeyExchange { client, server };
                Ok(())
            }
            (State::ServerKeyExchange { .. }, kind::CERTIFICATE) => refused(
                Alert::UnexpectedMessage,
                "the other side presents a certificate in a mode without any",
            ),
            (State::ServerHelloDone { .. }, kind::CERTIFICATE_REQUEST) => refused(
                Alert::HandshakeFailure,
                "the other side presents no certificate and demands one",
            ),
            (State::ServerKeyExchange { client, server }, kind::SERVER_KEY_EXCHANGE) => {
                let (group, point) = messages::read_server_key_exchange(body)?;
                let point = point.to_vec();
                self.state = State::ServerHelloDone { client, server, group, point };
                Ok(())
            }
            (State::ServerHelloDone { client, server, group, point }, kind::SERVER_HELLO_DONE) => {
                if !body.is_empty() {
                    return refused(Alert::DecodeError, "the end of a hello has contents");
                }
                self.client_flight(&client, &server, group, &point)
            }
            (State::ClientHello, kind::CLIENT_HELLO) => self.server_flight(body),
            (State::ClientKeyExchange { client, server, share }, kind::CLIENT_KEY_EXCHANGE) => {
                let premaster = share.agree(messages::read_client_key_exchange(body)?)?;
                let master = Master::new(&premaster, &self.transcript_hash());
                let (sealer, opener) = directions(false, &master.keys(&client, &server));
                let (opener, sealer) = (Box::new(opener), Some(Box::new(sealer)));
                self.state = State::ChangeCipherSpec { master, opener, sealer };
                Ok(())
            }
            (State::Finished { master, sealer }, kind::FINISHED) => {
                self.on_finished(&master, sealer, &before, body)
            }
            _ => unexpected(),
        }
    }

    fn transcript_hash(&self) -> [u8; 32] {
        self.transcript.clone().finalize().into()
    }

    fn server_flight(&mut self, body: &[u8]) -> Result<(), AnonymousError> {
        let hello = ClientHello::read(body)?;
        let group = hello.accept()?;
        let mut server = [0; 32];
        self.entropy.fill(&mut server)?;
        let share = Box::new(self.entropy.share(group)?);
        let mut flight = messages::server_hello(&server, &hello);
        flight.append(&mut messages::server_key_exchange(group, &share.public));
        flight.append(&mut messages::server_hello_done());
        self.write_messages(&flight)?;
        self.state = State::ClientKeyExchange { client: hello.random, server, share };
        Ok(())
    }

    fn client_flight(
        &mut self,
        client: &[u8; 32],
        server: &[u8; 32],
        group: Group,
        point: &[u8],
    ) -> Result<(), AnonymousError> {
        let share = self.entropy.share(group)?;
        let key_exchange = messages::client_key_exchange(&share.public);
        let premaster = share.agree(point)?;
        self.write_messages(&key_exchange)?;
        let master = Master::new(&premaster, &self.transcript_hash());
        let (sealer, opener) = directions(true, &master.keys(client, server));
        self.finish(&master, Box::new(sealer))?;
        self.state = State::ChangeCipherSpec { master, opener: Box::new(opener), sealer: None };
        Ok(())
    }

    /// Sends what ends this side's part of the handshake.
    fn finish(&mut self, master: &Master, sealer: Box<Sealer>) -> Result<(), AnonymousError> {
        self.write(Kind::ChangeCipherSpec, &[1])?;
        self.sealer = Some(sealer);
        let data = master.finished(self.is_client, &self.transcript_hash());
        self.write_messages(&messages::finished(&data))
    }

    fn on_finished(
        &mut self,
        master: &Master,
        sealer: Option<Box<Sealer>>,
        before: &[u8],
        body: &[u8],
    ) -> Result<(), AnonymousError> {
        let expected = master.finished(!self.is_client, before);
        if !bool::from(expected.as_slice().ct_eq(body)) {
            return refused(Alert::DecryptError, "the handshake was changed on its way");
        }
        if !self.message.is_empty() {
            return unexpected();
        }
        if let Some(sealer) = sealer {
            self.finish(master, sealer)?;
        }
        self.state = State::Data;
        Ok(())
    }

    fn refuse_renegotiation(&mut self) -> Result<(), AnonymousError> {
        self.tolerate()?;
        self.write(Kind::Alert, &[1, u8::from(Alert::NoRenegotiation)])
    }
}

#[cfg(test)]
impl AnonymousConnection {
    /// Lets the next record that is sent, or received, be the last that there can be.
    pub(super) fn exhaust(&mut self, sending: bool) {
        match (&mut self.sealer, &mut self.opener) {
            (Some(sealer), _) if sending => sealer.set_sequence(u64::MAX),
            (_, Some(opener)) => opener.set_sequence(u64::MAX),
            _ => {}
        }
    }
}

#[cfg(any(test, feature = "fuzzing"))]
impl AnonymousConnection {
    /// Whether what is sent is protected by now.
    pub(super) fn is_sealing(&self) -> bool {
        self.sealer.is_some()
    }

    /// A record that an established connection would not send.
    pub(super) fn sealed(&mut self, kind: u8, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        if let (Ok(iv), Some(kind), Some(sealer)) =
            (self.iv(), Kind::from_byte(kind), &mut self.sealer)
        {
            let start = Sealer::begin(iv, &mut out);
            out.extend_from_slice(body);
            assert_eq!(sealer.finish(kind, start, &mut out), Ok(()));
        }
        out
    }
}

fn unexpected<T>() -> Result<T, AnonymousError> {
    refused(Alert::UnexpectedMessage, "what the other side sends does not belong here")
}
