//! Clusters that use ZeroMQ as peers, with libzmq at the other side: a forwarder as Zeek runs it,
//! and nodes that behave like Zeek's. Where pyzmq cannot be had,
//! these tests say so and pass.

#![allow(clippy::unwrap_used, clippy::panic)]

mod circles;
mod curve;
mod logs;
mod members;
mod observer;
mod support;
mod vectors;
