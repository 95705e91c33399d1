use broker_core::EndpointId;
use broker_core::data::View;
use broker_core::transport::{Protection, TransportError};
use std::collections::VecDeque;
use std::time::Duration;

/// How long the other side may take to agree to the end, where nothing is left to be said.
pub(crate) const CLOSE_TIME: Duration = Duration::from_millis(300);

/// Makes connections to the other side of one bridge. A kind of bridge is an implementation of
/// this and of [`OtherSide`]; everything else is shared.
pub(crate) trait Connector: Send + Sync + 'static {
    type Side: OtherSide;

    /// Connects and subscribes to these topics. Dropping the future leaves no connection.
    fn connect(
        &self,
        topics: Vec<String>,
    ) -> impl Future<Output = Result<(Self::Side, Introduction), TransportError>> + Send;
}

/// A connection to the other side of a bridge.
///
/// Its subscriptions hold as long as it does; other ones need another connection.
pub(crate) trait OtherSide: Send + 'static {
    /// A message in the form in which it is sent.
    type Text: AsRef<[u8]> + Send;

    /// A message of the overlay as what to send, which may be several, and how many messages in it
    /// the other side does not take.
    fn encode(&self, topic: &[u8], value: View<'_>) -> (Vec<Self::Text>, u64);

    /// Sends from the front of `outgoing` as there is room, and receives meanwhile, so that two
    /// sides that both write first do not wait for each other. Returns after each step; `None` if
    /// the connection has ended. Cancel safe.
    fn exchange(
        &mut self,
        outgoing: &mut VecDeque<Outgoing<Self::Text>>,
    ) -> impl Future<Output = Option<Incoming>> + Send;

    /// Ends the connection in an orderly way, within `limit`.
    fn close(self, limit: Duration) -> impl Future<Output = ()> + Send;
}

/// What waits to be sent.
#[derive(Debug)]
pub(crate) enum Outgoing<T> {
    Message(T),
    /// Asks for [`Incoming::Confirmed`] with this number, when everything sent before was read.
    Ping(u64),
}

/// What happens on a connection.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// The front of what was outgoing has been sent.
    Sent,
    /// A message for the overlay, with its value in binary form.
    Message { topic: Vec<u8>, payload: Vec<u8> },
    /// Everything sent before the ping with this number has been read.
    Confirmed(u64),
    /// Something that was sent is refused, and why. The connection stays.
    Refused(String),
    /// Something was received that has no meaning, and why. The connection stays.
    Unexpected(String),
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
