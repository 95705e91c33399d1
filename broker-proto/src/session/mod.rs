//! What is between the machines and the tasks that drive them: still without I/O, so that whoever
//! brings bytes and time, an endpoint or a simulation, does the same with them.

mod connection_table;
mod receiver;

pub use self::connection_table::{ActionHandler, ConnectionTable};
pub use receiver::{EndpointContext, ReadInterest, Receiver, finish};
