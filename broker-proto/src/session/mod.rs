//! What is between the machines and the tasks that drive them: still without I/O, so that whoever
//! brings bytes and time, an endpoint or a simulation, does the same with them.

mod core;
mod reception;

pub use self::core::{Core, Outside};
pub use reception::{Host, Reception, Wants, finish};
