//! The native part of the Python package `zeek-broker`: endpoints on a runtime of their own, and
//! values. Everything that Python can do as well is in Python.

mod data;
mod endpoint;
mod events;
mod fault;
mod message;
mod operation;
mod ready;
mod runtime;
mod subscriber;
mod values;

use pyo3::prelude::*;

/// The native part of `zeek_broker`.
#[pymodule]
mod _zeek_broker {
    #[pymodule_export]
    use crate::endpoint::{Endpoint, shown_url};
    #[pymodule_export]
    use crate::events::Events;
    #[pymodule_export]
    use crate::message::Message;
    #[pymodule_export]
    use crate::operation::{Completions, Operation};
    #[pymodule_export]
    use crate::runtime::{after_fork_in_child, end_waits};
    #[pymodule_export]
    use crate::subscriber::Subscriber;
    #[pymodule_export]
    use crate::values::{Count, Enum, Port, RawData, Timespan, Timestamp};
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
