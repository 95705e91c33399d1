use crate::Carried;
use broker_core::EndpointId;
use broker_core::data::View;
use broker_core::transport::{Protection, TransportError};
use std::collections::VecDeque;
use std::time::Duration;

/// How long the other side may take to agree to the end, where nothing is left to be said.
pub(crate) const CLOSE_TIME: Duration = Duration::from_millis(300);

/// Makes connections to the other side of one bridge. A kind of bridge is a
/// [`BridgeKind`](crate::BridgeKind) and an implementation of this and of [`OtherSide`]; everything
/// else is shared.
pub(crate) trait Connector: Send + Sync + 'static {
    type Side: OtherSide;

    /// Connects and subscribes to these topics. Dropping the future leaves no connection.
    fn connect(
        &self,
        topics: Vec<String>,
    ) -> impl Future<Output = Result<(Self::Side, Introduction), TransportError>> + Send;
}

/// A connection to the other side of a bridge.
pub(crate) trait OtherSide: Send + 'static {
    /// A message in the form in which it is sent.
    type Parcel: Send;

    /// Puts a message of the overlay into what is to be sent, which may make several parcels, or
    /// says why parts of it are not sent.
    fn encode(&mut self, topic: &[u8], value: View<'_>, parcels: &mut Parcels<Self::Parcel>);

    /// Subscribes to exactly these topics from now on. Returns whether that is possible on this
    /// connection; if not, another one is made.
    fn subscribe(&mut self, topics: &[String]) -> bool {
        let _ = topics;
        false
    }

    /// Sends from the front of `outgoing` as there is room, and receives meanwhile, so that two
    /// sides that both write first do not wait for each other. Returns after each step; `None` if
    /// the connection has ended. Cancel safe.
    fn exchange(
        &mut self,
        outgoing: &mut VecDeque<Outgoing<Self::Parcel>>,
    ) -> impl Future<Output = Option<Incoming>> + Send;

    /// Ends the connection in an orderly way, within `limit`.
    fn close(self, limit: Duration) -> impl Future<Output = ()> + Send;
}

/// What a message of the overlay has become for the other side.
#[derive(Debug)]
pub(crate) struct Parcels<P> {
    /// Each with its length in bytes as it is sent.
    pub(crate) ready: Vec<(P, usize)>,
    /// Why messages are not sent, one entry for each.
    pub(crate) left: Vec<Carried>,
}

impl<P> Parcels<P> {
    pub(crate) fn new() -> Self {
        Self { ready: Vec::new(), left: Vec::new() }
    }

    /// Adds a parcel of so many bytes.
    pub(crate) fn push(&mut self, parcel: P, length: usize) {
        self.ready.push((parcel, length));
    }

    /// Notes a message that is not sent.
    pub(crate) fn leave(&mut self, why: Carried) {
        self.left.push(why);
    }
}

/// What waits to be sent.
#[derive(Debug)]
pub(crate) enum Outgoing<P> {
    Message(P),
    /// Asks for [`Incoming::Confirmed`] with this number, when everything sent before was read. A
    /// kind whose other side cannot tell confirms what it has sent.
    Ping(u64),
}

/// What happens on a connection.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// The front of what was outgoing has been sent.
    Sent,
    /// A message for the overlay, with its value in binary form.
    Message { topic: Vec<u8>, payload: Vec<u8> },
    /// So many messages were not taken, because those before them still wait for the overlay.
    Dropped(u64),
    /// So many messages were not carried, and why: those from there that had crossed other bridges,
    /// or some of those that were sent there.
    Left { why: Carried, count: u64, text: String },
    /// Everything sent before the ping with this number has been read.
    Confirmed(u64),
    /// Something that was sent is refused, and why. The connection stays.
    Refused(String),
    /// Something was received that has no meaning, and why. The connection stays.
    Unexpected(String),
    /// A member of what is at the other side has come or gone, where that has members.
    Member { id: String, name: Option<String>, is_there: bool },
    /// Something about the connection that is worth a line in the log.
    Noted(String),
    /// The connection is lost.
    Lost(TransportError),
}

/// What the other side says of itself.
#[derive(Debug)]
pub(crate) struct Introduction {
    pub(crate) version: String,
    /// The endpoint that is there, if it is one and names itself.
    pub(crate) endpoint: Option<EndpointId>,
    pub(crate) protection: Protection,
}
