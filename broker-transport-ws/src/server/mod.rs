//! The JSON API, at the server's side: each client is a session next to the endpoint's peerings.

pub(crate) mod answers;
mod exchange;
mod input;
mod members;
mod queue;
mod session;
mod subscriptions;

pub(crate) use exchange::Exchange;
pub(crate) use session::{Accepted, serve};
pub(crate) use subscriptions::read_subscriptions;
