//! Bridges: an overlay of endpoints joined with something that is none.
//!
//! To an endpoint, what is at the other side of a bridge is a peer like any other: it is dialled,
//! retried and given up, shows in the events and the statistics, and has a queue with a policy. In
//! between stands a small endpoint in this process that speaks the native protocol on one side;
//! what is at the other side depends on the kind of the bridge. So far there is one kind,
//! [`websocket`].
//!
//! A kind is a feature and a folder: an implementation of `Connector` and `OtherSide`, which make a
//! connection, send and receive on it, and say what has been read, and a transport that opens
//! bridges for addresses of that kind. What may pass, the account of it, the end and the retries
//! are shared.
//!
//! Which topics go which way is part of the address, see [`Directions`]. No topic goes both ways,
//! so no message comes back through the bridge that carried it.
//!
//! # Several bridges
//!
//! Bridges that do not know of each other can form a circle: two in parallel between one overlay
//! and one server, or many in a ring. The other side need not have anything like the hop limit of
//! the native protocol, so the bridges stop what goes round:
//!
//! * *Marks.* A bridge notes in the metadata of an event how many bridges have carried it
//!   ([`BRIDGES_CROSSED`]). It carries an event to the other side only if no bridge has carried it
//!   before, and into the overlay only if at most one has. So an event crosses one bridge out of an
//!   overlay and one into another, and cannot go round more than once, even if what is in between
//!   drops the marks, as Zeek's own server does.
//! * *Places.* A bridge also notes the endpoints that an event has been in, as far as it knows them
//!   ([`ENDPOINTS_CROSSED`]), and carries it into none of these again. So nodes that serve each
//!   other do not get their own events back. Zeek's server names no endpoint and drops this, too.
//! * *Repeats.* Values that are no events have no place for a mark, and what comes back around all
//!   bridges has lost it. Each bridge carries equal messages at most [`Directions::repeats`] times
//!   within ten seconds.
//! * *Refusals.* A server is not accepted as the other side if it is the endpoint itself or one of
//!   its peers, or if another bridge of the endpoint carries some of the topics the other way.
//!
//! What is left out is counted and reported in the log. A bridge of an endpoint that has no other
//! peer and no client marks nothing and bounds nothing, because from there nothing can go on.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `websocket` | yes | Servers of the JSON API of WebSocket as peers. |

#![cfg_attr(docsrs, feature(doc_cfg))]
// What is shared has no user in a build without any kind.
#![cfg_attr(not(feature = "websocket"), allow(dead_code))]

mod bridges;
mod delivery;
mod directions;
mod guard;
mod mark;
mod other_side;
mod overlay;
mod passage;
mod reader;
mod repeats;
mod stand_in;
mod status;
mod task;
#[cfg(feature = "websocket")]
pub mod websocket;

pub use directions::{Directions, InvalidDirections};
pub use mark::{BRIDGES_CROSSED, ENDPOINTS_CROSSED};
pub use status::{BridgeStatus, Carried};
