//! What is between the machines and the tasks that drive them: still without I/O, so that whoever
//! brings bytes and time, an endpoint or a simulation, does the same with them.

mod core;
mod reception;

pub(crate) use self::core::{Core, Outside};
pub(crate) use reception::{Host, Reception, Wants, finish};
