//! The commands, one module each.

pub(crate) mod node;
pub(crate) mod publish;
pub(crate) mod sub;
