use crate::command::{
    Command, PING_CONTEXT, put_command, put_metadata, reason, socket_type, split,
};
use crate::curve::{Channel, Handshake, INNER_COMMAND, INNER_MORE, Step};
use crate::frame::{COMMAND, Header, MORE, header, put};
use crate::{ClientKeys, Error, Message, ServerKeys, SocketType, greeting};
use std::collections::VecDeque;

/// Random bytes that a connection with CURVE needs.
pub const ENTROPY: usize = crate::curve::ENTROPY;

/// The longest command of a handshake.
const HANDSHAKE_COMMAND: usize = 8 * 1024;

/// So much more than a part has the frame that it is in when it is encrypted.
const SEALED: usize = 64;

/// As long as so many bytes wait to be sent, no more pongs are added to them.
const PONG_ROOM: usize = 64 * 1024;

/// The minor version of ZMTP 3 from which on commands are used to subscribe.
const WITH_COMMANDS: u8 = 1;

/// How a connection is protected.
#[derive(Debug, Clone, Default)]
pub enum Mechanism {
    /// Not at all.
    #[default]
    Null,
    /// By CURVE, as its client; with random bytes for the keys of this connection.
    CurveClient(ClientKeys, Box<[u8; ENTROPY]>),
    /// By CURVE, as its server.
    CurveServer(ServerKeys, Box<[u8; ENTROPY]>),
}

impl Mechanism {
    fn name(&self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::CurveClient(..) | Self::CurveServer(..) => "CURVE",
        }
    }
}

/// How long what is received may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a message, all of its parts together, and of a topic that is subscribed to.
    pub message: usize,
    /// Parts of a message.
    pub parts: usize,
}

impl Default for Limits {
    /// 64 MiB, and 64 parts.
    fn default() -> Self {
        Self { message: 64 * 1024 * 1024, parts: 64 }
    }
}

/// What a connection has to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// What the own socket is.
    pub socket: SocketType,
    /// How the connection is protected. Default: not at all.
    pub mechanism: Mechanism,
    /// The minor version of ZMTP 3 to announce, 0 or 1. Default: 1.
    pub minor: u8,
    /// What may be received.
    pub limits: Limits,
}

impl Config {
    /// A connection without protection.
    #[must_use]
    pub fn new(socket: SocketType) -> Self {
        let (mechanism, limits) = Default::default();
        Self { socket, mechanism, minor: WITH_COMMANDS, limits }
    }
}

/// What the other side has said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The name of its socket type.
    pub socket: String,
    /// The minor version of ZMTP 3 that it announced.
    pub minor: u8,
}

/// What has happened on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The handshake is done. It comes once, before everything else.
    Ready(Peer),
    /// A message.
    Message(Message),
    /// The other side subscribes to topics that begin like this; for sockets that publish.
    Subscribed(Vec<u8>),
    /// The other side subscribes to this no more; for sockets that publish.
    Cancelled(Vec<u8>),
    /// A ping was answered.
    Pong,
}

/// One connection of a socket, without I/O.
///
/// Bytes that were received go in by [`Self::received`], what they mean comes out of
/// [`Self::next_event`], and what is to be sent is in [`Self::output`].
pub struct Connection {
    socket: SocketType,
    limits: Limits,
    minor: u8,
    mechanism: &'static str,
    state: State,
    input: Vec<u8>,
    /// Bytes at the front of the input that have been read.
    consumed: usize,
    output: Vec<u8>,
    /// Bytes at the front of the output that have been sent.
    sent: usize,
    partial: Message,
    events: VecDeque<Event>,
    /// What is to be sent as soon as the handshake is done.
    waiting: Vec<Waiting>,
    failed: Option<Error>,
}

enum Waiting {
    Message(Vec<Vec<u8>>),
    Subscription(bool, Vec<u8>),
}

enum State {
    /// The greeting of the other side is not complete.
    Greeting(Option<Handshake>),
    /// The greetings are exchanged. Without CURVE there is no handshake but the READY.
    Handshake(Option<Handshake>, u8),
    Open(Option<Box<Channel>>, u8),
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("socket", &self.socket)
            .field("is_open", &self.is_open())
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// A connection that has been made. Its greeting is in the output.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let Config { socket, mechanism, minor, limits } = config;
        let name = mechanism.name();
        let mut metadata = Vec::new();
        put_metadata(socket, &mut metadata);
        let handshake = match mechanism {
            Mechanism::Null => None,
            Mechanism::CurveClient(keys, entropy) => {
                Some(Handshake::client(keys, &entropy, metadata))
            }
            Mechanism::CurveServer(keys, entropy) => {
                Some(Handshake::server(keys, &entropy, metadata))
            }
        };
        let is_server = matches!(handshake, Some(Handshake::Server(_)));
        let mut output = Vec::new();
        greeting::put(minor, name, is_server, &mut output);
        Self {
            socket,
            limits,
            minor,
            mechanism: name,
            state: State::Greeting(handshake),
            input: Vec::new(),
            consumed: 0,
            output,
            sent: 0,
            partial: Message::default(),
            events: VecDeque::new(),
            waiting: Vec::new(),
            failed: None,
        }
    }

    /// Whether the handshake is done.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open(..))
    }

    /// Whether the other side has greeted. One that ends the connection before may not accept the
    /// mechanism of this side: libzmq says nothing then.
    #[must_use]
    pub fn is_greeted(&self) -> bool {
        !matches!(self.state, State::Greeting(_))
    }

    /// Takes bytes that were received. They are read by [`Self::next_event`].
    ///
    /// # Errors
    ///
    /// Reading has failed before.
    pub fn received(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.input.drain(..self.consumed);
        self.consumed = 0;
        self.input.extend_from_slice(bytes);
        Ok(())
    }

    /// The next thing that has happened; `None` until more is received. It may put something into
    /// the output in any case.
    ///
    /// # Errors
    ///
    /// The connection cannot go on, this time and every further one. What is in the output tells
    /// the other side, where there is something to tell.
    pub fn next_event(&mut self) -> Result<Option<Event>, Error> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            if let Some(error) = &self.failed {
                return Err(error.clone());
            }
            match self.read() {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(error) => self.failed = Some(error),
            }
        }
    }

    /// What is to be sent.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        self.output.get(self.sent..).unwrap_or_default()
    }

    /// Notes that so many bytes of the output have been sent.
    pub fn sent(&mut self, count: usize) {
        self.sent = self.output.len().min(self.sent.saturating_add(count));
        if self.sent == self.output.len() {
            self.sent = 0;
            self.output.clear();
        } else if self.sent > self.output.len() / 2 {
            self.output.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Everything that is to be sent, which counts as sent by that.
    pub fn take_output(&mut self) -> Vec<u8> {
        let output = self.output().to_vec();
        self.sent(output.len());
        output
    }

    /// Sends a message; before the handshake is done it waits for that.
    pub fn send(&mut self, parts: &[&[u8]]) {
        let State::Open(channel, _) = &mut self.state else {
            let parts = parts.iter().map(|part| part.to_vec()).collect();
            return self.waiting.push(Waiting::Message(parts));
        };
        for (at, part) in parts.iter().enumerate() {
            let has_more = at + 1 < parts.len();
            match channel {
                Some(channel) => {
                    let flags = if has_more { INNER_MORE } else { 0 };
                    channel.put(flags, &[part], &mut self.output);
                }
                None => put(if has_more { MORE } else { 0 }, &[part], &mut self.output),
            }
        }
    }

    /// Subscribes to messages that begin like this.
    pub fn subscribe(&mut self, prefix: &[u8]) {
        self.put_subscription(true, prefix);
    }

    /// Takes a subscription back. Publishers count: one that was made twice has to be taken back
    /// twice.
    pub fn cancel(&mut self, prefix: &[u8]) {
        self.put_subscription(false, prefix);
    }

    fn put_subscription(&mut self, subscribes: bool, prefix: &[u8]) {
        let State::Open(_, minor) = &self.state else {
            return self.waiting.push(Waiting::Subscription(subscribes, prefix.to_vec()));
        };
        if *minor >= WITH_COMMANDS {
            let name: &[u8] = if subscribes { b"\x09SUBSCRIBE" } else { b"\x06CANCEL" };
            self.put_command(name, &[prefix]);
        } else {
            self.send(&[&[&[u8::from(subscribes)], prefix].concat()]);
        }
    }

    /// Asks the other side for a sign of life, which comes as [`Event::Pong`]. Returns whether it
    /// can be asked: the handshake has to be done, and the other side to know version 3.1.
    pub fn ping(&mut self) -> bool {
        let can = matches!(self.state, State::Open(_, minor) if minor >= WITH_COMMANDS);
        if can {
            // The time after which the other side may give this one up; none.
            self.put_command(b"\x04PING", &[&[0, 0]]);
        }
        can
    }

    fn put_command(&mut self, name: &[u8], rest: &[&[u8]]) {
        match &mut self.state {
            State::Open(Some(channel), _) => {
                let mut body = vec![name];
                body.extend_from_slice(rest);
                channel.put(INNER_COMMAND, &body, &mut self.output);
            }
            _ => put_command(name, rest, &mut self.output),
        }
    }

    /// Reads one thing from the input. Returns whether there was one.
    fn read(&mut self) -> Result<bool, Error> {
        let pending = self.input.get(self.consumed..).unwrap_or_default();
        if matches!(self.state, State::Greeting(_)) {
            let Some(greeting) = greeting::parse(pending)? else { return Ok(false) };
            self.consumed += greeting::LEN;
            return self.greeted(&greeting).map(|()| true);
        }
        let Some(header) = header(pending)? else { return Ok(false) };
        self.check_length(header)?;
        let Some(end) =
            usize::try_from(header.body).ok().and_then(|body| body.checked_add(header.len))
        else {
            return Ok(false);
        };
        let Some(body) = pending.get(header.len..end) else { return Ok(false) };
        match &mut self.state {
            State::Open(None, _) => {
                if header.flags & COMMAND != 0 {
                    let reply = command(self.socket, body, self.limits, &mut self.events)?;
                    self.consumed += end;
                    self.reply(reply);
                } else {
                    let message = (header.flags & MORE != 0, body);
                    part(self.socket, message, self.limits, &mut self.partial, &mut self.events)?;
                    self.consumed += end;
                }
            }
            State::Open(Some(channel), _) => {
                let (flags, body) = channel.open(body)?;
                self.consumed += end;
                if flags & INNER_COMMAND != 0 {
                    let reply = command(self.socket, &body, self.limits, &mut self.events)?;
                    self.reply(reply);
                } else {
                    let message = (flags & INNER_MORE != 0, &body[..]);
                    part(self.socket, message, self.limits, &mut self.partial, &mut self.events)?;
                }
            }
            State::Handshake(handshake, minor) => {
                if header.flags & COMMAND == 0 {
                    return Err(Error::Protocol("a message before the handshake is done"));
                }
                let minor = *minor;
                let done = match handshake {
                    None => Some((None, ready(body)?)),
                    Some(handshake) => match handshake.command(body, &mut self.output)? {
                        Step::Wait => None,
                        Step::Done(channel, metadata) => Some((Some(channel), metadata)),
                    },
                };
                self.consumed += end;
                if let Some((channel, metadata)) = done {
                    self.opened(channel, &metadata, minor)?;
                }
            }
            State::Greeting(_) => return Ok(false),
        }
        Ok(true)
    }

    /// What a frame may be long.
    fn check_length(&self, header: Header) -> Result<(), Error> {
        let (what, limit) = match (&self.state, header.flags & COMMAND != 0) {
            (State::Open(None, _), false) => {
                ("a message", self.limits.message.saturating_sub(self.partial.byte_len()))
            }
            (State::Open(None, _), true) => {
                ("a command", self.limits.message.saturating_add(SEALED))
            }
            (State::Open(Some(_), _), _) => ("a frame", self.limits.message.saturating_add(SEALED)),
            _ => ("a command of the handshake", HANDSHAKE_COMMAND),
        };
        match header.body > limit as u64 {
            true => Err(Error::TooLarge { what, length: header.body, limit }),
            false => Ok(()),
        }
    }

    fn greeted(&mut self, greeting: &greeting::Greeting) -> Result<(), Error> {
        if greeting.mechanism != greeting::padded(self.mechanism) {
            let theirs = greeting::name(&greeting.mechanism);
            return Err(Error::Mechanism { theirs, ours: self.mechanism });
        }
        let State::Greeting(handshake) = &mut self.state else { return Ok(()) };
        let mut handshake = handshake.take();
        match &mut handshake {
            Some(handshake) => handshake.begin(&mut self.output),
            None => {
                let mut metadata = Vec::new();
                put_metadata(self.socket, &mut metadata);
                put_command(b"\x05READY", &[&metadata], &mut self.output);
            }
        }
        self.state = State::Handshake(handshake, greeting.minor);
        Ok(())
    }

    fn opened(
        &mut self,
        channel: Option<Box<Channel>>,
        metadata: &[u8],
        minor: u8,
    ) -> Result<(), Error> {
        let socket = socket_type(metadata)?;
        let shown = socket.escape_ascii().to_string();
        if !self.socket.fits(socket) {
            return Err(Error::SocketType(shown));
        }
        self.state = State::Open(channel, minor.min(self.minor));
        self.events.push_back(Event::Ready(Peer { socket: shown, minor }));
        for waiting in std::mem::take(&mut self.waiting) {
            match waiting {
                Waiting::Message(parts) => {
                    self.send(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>());
                }
                Waiting::Subscription(subscribes, prefix) => {
                    self.put_subscription(subscribes, &prefix);
                }
            }
        }
        Ok(())
    }

    fn reply(&mut self, pong: Option<Pong>) {
        if let Some(Pong { context, len }) = pong
            && self.output().len() < PONG_ROOM
        {
            let context = context.get(..len).unwrap_or_default();
            self.put_command(b"\x04PONG", &[context]);
        }
    }
}

/// What the answer to a ping carries.
struct Pong {
    context: [u8; PING_CONTEXT],
    len: usize,
}

/// The properties in a READY of the mechanism NULL.
fn ready(body: &[u8]) -> Result<Vec<u8>, Error> {
    match split(body)? {
        (b"READY", rest) => Ok(rest.to_vec()),
        (b"ERROR", rest) => Err(Error::Refused(reason(rest)?)),
        _ => Err(Error::Protocol("something else than READY in the handshake")),
    }
}

/// Takes a command.
fn command(
    socket: SocketType,
    body: &[u8],
    limits: Limits,
    events: &mut VecDeque<Event>,
) -> Result<Option<Pong>, Error> {
    let topic = |topic: &[u8]| match topic.len() > limits.message {
        true => {
            let (what, length) = ("a topic", topic.len() as u64);
            Err(Error::TooLarge { what, length, limit: limits.message })
        }
        false => Ok(topic.to_vec()),
    };
    match Command::parse(body)? {
        Command::Ping { context: given } => {
            let mut context = [0; PING_CONTEXT];
            context.iter_mut().zip(given).for_each(|(place, byte)| *place = *byte);
            return Ok(Some(Pong { context, len: given.len() }));
        }
        Command::Pong { .. } => events.push_back(Event::Pong),
        Command::Subscribe(prefix) if socket.publishes() => {
            events.push_back(Event::Subscribed(topic(prefix)?));
        }
        Command::Cancel(prefix) if socket.publishes() => {
            events.push_back(Event::Cancelled(topic(prefix)?));
        }
        Command::Error(reason) => return Err(Error::Refused(reason)),
        Command::Subscribe(_) | Command::Cancel(_) | Command::Other => {}
    }
    Ok(None)
}

/// Takes a part of a message.
fn part(
    socket: SocketType,
    (has_more, body): (bool, &[u8]),
    limits: Limits,
    partial: &mut Message,
    events: &mut VecDeque<Event>,
) -> Result<(), Error> {
    if partial.byte_len().saturating_add(body.len()) > limits.message {
        let (what, length) = ("a message", (partial.byte_len() + body.len()) as u64);
        return Err(Error::TooLarge { what, length, limit: limits.message });
    }
    if partial.part_count() >= limits.parts {
        return Err(Error::TooManyParts(limits.parts));
    }
    if socket.publishes()
        && !has_more
        && partial.part_count() == 0
        && let Some((&first @ (0 | 1), topic)) = body.split_first()
    {
        let topic = topic.to_vec();
        events.push_back(match first {
            1 => Event::Subscribed(topic),
            _ => Event::Cancelled(topic),
        });
        return Ok(());
    }
    partial.push(body);
    if !has_more {
        events.push_back(Event::Message(std::mem::take(partial)));
    }
    Ok(())
}
