//! Clusters that use ZeroMQ as peers, with libzmq at the other side: a forwarder as Zeek runs it,
//! and nodes that behave like Zeek's. They need a Python that has pyzmq: `python3` or what
//! BROKER_PYTHON names. Without one these tests say so and pass.

#![allow(clippy::unwrap_used, clippy::panic)]

mod circles;
mod curve;
mod logs;
mod members;
mod observer;
mod support;
mod vectors;
