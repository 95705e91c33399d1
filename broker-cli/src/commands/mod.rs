//! The commands, one module each.

pub(crate) mod convert;
pub(crate) mod demo;
pub(crate) mod node;
pub(crate) mod ping;
pub(crate) mod publish;
pub(crate) mod sub;
