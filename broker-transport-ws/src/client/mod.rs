//! A client of the JSON API, of this server and of those in Zeek and the C++ library.

mod connection;
mod event;
mod options;
mod task;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use event::understand;
pub use event::{ClientEvent, ReceivedMessage};
pub use options::ClientOptions;

use crate::options::MAX_DURATION;
use crate::security::Security;
use broker_core::Address;
use broker_core::data::json::{ToJson, encode_data_message};
use broker_transport_tcp::TcpTransport;
use connection::Dialler;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

/// A program's link to a server of the JSON API, which is made again when it breaks.
///
/// The server is chosen by URL, as in `ws://127.0.0.1:27759`; the path is
/// [`JSON_PATH`](crate::JSON_PATH) unless the URL has one, and a query is passed on.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use broker_core::data::Value;
/// use broker_transport_ws::client::{ClientEvent, ClientOptions, JsonClient};
///
/// let url = "ws://127.0.0.1:27759".parse()?;
/// let options = ClientOptions { subscriptions: vec!["/alerts/".into()], ..Default::default() };
/// let mut client = JsonClient::start(url, options);
/// client.sender().publish("/hello", &Value::from("world")).await?;
/// while let Some(event) = client.next().await {
///     if let ClientEvent::Message(message) = event {
///         println!("{}: {}", message.topic, message.data()?);
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct JsonClient {
    events: mpsc::Receiver<ClientEvent>,
    sender: ClientSender,
    closing: Arc<Notify>,
    task: JoinHandle<bool>,
}

/// Publishes through a [`JsonClient`]. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ClientSender {
    outgoing: mpsc::Sender<Outgoing>,
}

/// What the user wants to be sent.
#[derive(Debug)]
enum Outgoing {
    Text(String),
    /// A ping with this number in it.
    Ping(u64),
}

/// The client has ended, and with it the last chance to send something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client has ended")]
pub struct ClientEnded;

impl JsonClient {
    /// Starts connecting, and returns at once. Has to be called on a tokio runtime. For `wss` see
    /// `start_with_tls`.
    #[must_use]
    pub fn start(url: Address, options: ClientOptions) -> Self {
        Self::over(Security::plain(TcpTransport::default()), url, options)
    }

    /// Like [`Self::start`], for both `ws` and `wss`.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn start_with_tls(
        tcp: TcpTransport,
        tls: broker_transport_tcp::tls::TlsTransport,
        url: Address,
        options: ClientOptions,
    ) -> Self {
        Self::over(Security::with_tls(tcp, tls), url, options)
    }

    pub(crate) fn over(security: Security, url: Address, options: ClientOptions) -> Self {
        let ping_interval = options.ping_interval.min(MAX_DURATION);
        let options = ClientOptions { ping_interval, ..options };
        let (to_user, events) = mpsc::channel(options.queue_messages.max(1));
        let (outgoing, from_user) = mpsc::channel(options.queue_messages.max(1));
        let closing = Arc::new(Notify::new());
        let dialler = Dialler { url, security, options };
        let task = task::Task { dialler, to_user, from_user, closing: Arc::clone(&closing) };
        let task = tokio::spawn(task.run());
        Self { events, sender: ClientSender { outgoing }, closing, task }
    }

    /// Waits for what happens next; `None` when the client has ended: after [`Self::close`], or
    /// because connecting has failed and is not to be tried again. Cancel safe.
    ///
    /// A client that does not ask is not read for either; what waits at the server is the server's
    /// business then.
    pub async fn next(&mut self) -> Option<ClientEvent> {
        self.events.recv().await
    }

    /// A handle for publishing.
    #[must_use]
    pub fn sender(&self) -> ClientSender {
        self.sender.clone()
    }

    /// Sends what has been published so far, closes the connection in an orderly way and ends,
    /// however long the server takes to read; `tokio::time::timeout` sets a limit. Dropping the
    /// future ends the client at once. Returns whether everything was handed to the server.
    pub async fn close(mut self) -> bool {
        self.closing.notify_one();
        // Makes room, so that nothing holds up the end.
        while self.events.recv().await.is_some() {}
        (&mut self.task).await.unwrap_or(false)
    }
}

impl Drop for JsonClient {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ClientSender {
    /// Publishes a value. Waits as long as too much is waiting already, for example because there
    /// is no connection; returning is no promise that the server has it.
    ///
    /// Cancel safe: a message whose future is dropped has been queued or not.
    ///
    /// # Errors
    ///
    /// The client has ended.
    pub async fn publish(
        &self,
        topic: impl AsRef<[u8]>,
        value: &(impl ToJson + ?Sized),
    ) -> Result<(), ClientEnded> {
        let mut text = Vec::new();
        encode_data_message(topic, value, &mut text);
        let text = String::from_utf8(text).map_err(|_| ClientEnded)?;
        self.publish_text(text).await
    }

    /// Waits until there is room for one message. Cancel safe: a slot that is dropped is free
    /// again.
    ///
    /// # Errors
    ///
    /// The client has ended.
    pub async fn reserve(&self) -> Result<SendPermit<'_>, ClientEnded> {
        self.outgoing.reserve().await.map(SendPermit).map_err(|_| ClientEnded)
    }

    /// Publishes a data message that is JSON already.
    ///
    /// # Errors
    ///
    /// The client has ended.
    pub async fn publish_text(&self, text: String) -> Result<(), ClientEnded> {
        self.outgoing.send(Outgoing::Text(text)).await.map_err(|_| ClientEnded)
    }

    /// Asks the server for a sign that it has read what was published before: a ping behind it. The
    /// answer is [`ClientEvent::Confirmed`]; if the connection is lost before, there is none.
    ///
    /// # Errors
    ///
    /// The client has ended.
    pub async fn ask(&self, number: u64) -> Result<(), ClientEnded> {
        self.outgoing.send(Outgoing::Ping(number)).await.map_err(|_| ClientEnded)
    }
}

/// Room for one message of a client.
#[derive(Debug)]
pub struct SendPermit<'a>(mpsc::Permit<'a, Outgoing>);

impl SendPermit<'_> {
    /// As [`ClientSender::publish_text`], without waiting.
    pub fn publish_text(self, text: String) {
        self.0.send(Outgoing::Text(text));
    }

    /// As [`ClientSender::ask`], without waiting.
    pub fn ask(self, number: u64) {
        self.0.send(Outgoing::Ping(number));
    }
}
