//! The `broker-cli` command.
fn main() {}
