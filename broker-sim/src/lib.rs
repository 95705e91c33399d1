//! Many endpoints in one process, under a virtual clock, with faults that follow from a seed.
//!
//! The endpoints are the real machines and the real data path; only the bytes travel through
//! `wire`s instead of sockets, and time passes when nothing else happens. Everything follows
//! from the seed, so a run that breaks a rule can be repeated with a trace.
//!
//! After every step, and at the end, the rules of `check` and `ledger` are checked:
//!
//! * at most one installed peering per pair, on the two ends of one connection;
//! * every `endpoint_discovered` and `peer_added` is closed by one `peer_lost` or `peer_removed`
//!   and one `endpoint_unreachable`, in this order;
//! * every message goes to exactly those who want it, in order on each path, and never twice;
//! * no message comes over a connection twice, and in an overlay that does not change a message
//!   comes to each relay once;
//! * what is sent is delivered, dropped and counted, or in flight;
//! * queues stay under their bounds;
//! * when the faults are over, what should be peered is peered, filters agree, and what relays
//!   know of an overlay is what there is;
//! * filters say what consumers want, requests are answered, and no timer is left behind;
//! * an endpoint that has been shut down leaves nothing behind.

mod ledger;
mod message;
mod node;
mod oracle;
mod plan;
mod target;
mod wire;
mod world;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What a run was made of, for those who want to know that something happened in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Things that happened, one after the other.
    pub steps: u64,
    /// Virtual time.
    pub time: Duration,
    /// Peerings that were installed, counted at both ends.
    pub peerings: u64,
    /// Faults and requests.
    pub interventions: u64,
    /// Messages that were published.
    pub published: u64,
    /// Messages that were received by consumers.
    pub delivered: u64,
    /// Messages that were dropped by a policy or with a queue.
    pub dropped: u64,
    /// Bytes that were lost with a connection.
    pub lost: u64,
    /// A number that two runs of a seed have in common, and other runs do not.
    pub fingerprint: u64,
    /// How often something happened, by kind and name: faults and requests, and those of them that
    /// met a handshake; rare moments; what endpoints reported.
    pub seen: BTreeMap<(&'static str, &'static str), u64>,
}

impl Summary {
    fn note(&mut self, kind: &'static str, name: &'static str) {
        *self.seen.entry((kind, name)).or_default() += 1;
    }

    /// Takes another run into account.
    pub fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.time += other.time;
        self.peerings += other.peerings;
        self.interventions += other.interventions;
        self.published += other.published;
        self.delivered += other.delivered;
        self.dropped += other.dropped;
        self.lost += other.lost;
        self.fingerprint ^= other.fingerprint;
        for (what, count) in &other.seen {
            *self.seen.entry(*what).or_default() += count;
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { steps, time, peerings, interventions, published, .. } = self;
        let Self { delivered, dropped, lost, .. } = self;
        write!(
            f,
            "{steps} steps in {:.0} virtual hours, {interventions} interventions, {peerings} \
             peerings installed, {published} messages published, {delivered} delivered, \
             {dropped} dropped, {lost} bytes lost with connections",
            time.as_secs_f64() / 3600.0
        )
    }
}

/// A rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "seed {seed}, after {:.6} s: {what}\nreplay it with: cargo xtask sim --seed {seed}",
    .time.as_secs_f64()
)]
pub struct Broken {
    /// The seed of the run.
    pub seed: u64,
    /// The virtual time.
    pub time: Duration,
    /// Which rule, by whom.
    pub what: String,
}

/// Runs one seed.
///
/// # Errors
///
/// A rule was broken.
pub fn run(seed: u64) -> Result<Summary, Box<Broken>> {
    world::World::new(seed, None).run().1
}

/// Runs one seed, and says what happens in it, a line for each thing; with `steps`, down to the
/// turns of readers, writers and consumers.
pub fn trace(seed: u64, steps: bool) -> (Vec<String>, Result<Summary, Box<Broken>>) {
    world::World::new(seed, Some(world::Trace::new(steps))).run()
}
