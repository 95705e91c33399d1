//! ZMTP, the wire protocol of ZeroMQ, as far as clusters of Zeek use it, without I/O.
//!
//! A [`Connection`] is one TCP connection of a socket: bytes that were received go in, [`Event`]s
//! and bytes to send come out. It knows versions 3.0 and 3.1, the mechanisms NULL and CURVE, the
//! sockets that publish ([`SocketType::XPub`], [`SocketType::Pub`]), those that subscribe
//! ([`SocketType::XSub`], [`SocketType::Sub`]) and the two ends of a pipeline
//! ([`SocketType::Push`], [`SocketType::Pull`]). Dialling, time limits and coming back after a loss
//! are up to the caller.
//!
//! Nothing is allocated ahead of bytes that were received, everything is bounded by [`Limits`], and
//! no input makes it panic. After an error a connection is of no use any more.
//!
//! ```
//! use broker_zmtp::{Config, Connection, Event, SocketType};
//!
//! let mut publisher = Connection::new(Config::new(SocketType::XPub));
//! let mut subscriber = Connection::new(Config::new(SocketType::XSub));
//! subscriber.subscribe(b"news");
//! publisher.send(&[b"news", b"all is well"]);
//! let (mut at_publisher, mut at_subscriber) = (Vec::new(), Vec::new());
//! for _ in 0..3 {
//!     publisher.received(&subscriber.take_output())?;
//!     while let Some(event) = publisher.next_event()? {
//!         at_publisher.push(event);
//!     }
//!     subscriber.received(&publisher.take_output())?;
//!     while let Some(event) = subscriber.next_event()? {
//!         at_subscriber.push(event);
//!     }
//! }
//! assert_eq!(at_publisher[1..], [Event::Subscribed(b"news".to_vec())]);
//! let Event::Message(message) = &at_subscriber[1] else { panic!() };
//! assert_eq!(message.parts().collect::<Vec<_>>(), [&b"news"[..], b"all is well"]);
//! # Ok::<(), broker_zmtp::Error>(())
//! ```

mod command;
mod connection;
mod curve;
mod error;
mod frame;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod greeting;
mod keys;
mod message;
mod socket;

pub use connection::{Config, Connection, ENTROPY, Event, Limits, Mechanism, Peer};
pub use error::Error;
pub use keys::{ClientKeys, InvalidKey, KEY_LEN, PublicKey, SecretKey, ServerKeys};
pub use message::Message;
pub use socket::SocketType;
