//! The commands, one module each.

pub(crate) mod bench;
pub(crate) mod call;
#[cfg(feature = "http")]
pub(crate) mod check;
pub(crate) mod convert;
pub(crate) mod demo;
#[cfg(feature = "tcp")]
pub(crate) mod doctor;
pub(crate) mod generate;
#[cfg(feature = "http")]
pub(crate) mod map;
pub(crate) mod node;
#[cfg(feature = "http")]
pub(crate) mod peers;
pub(crate) mod ping;
pub(crate) mod publish;
#[cfg(feature = "http")]
mod rates;
#[cfg(feature = "http")]
pub(crate) mod stats;
pub(crate) mod sub;
mod times;
#[cfg(feature = "top")]
pub(crate) mod top;
#[cfg(feature = "http")]
mod topics;
#[cfg(feature = "http")]
mod watch;
