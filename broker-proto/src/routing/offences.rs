use super::inbound::Notice;
use super::table::PeerCounters;
use crate::Failure;
use crate::Reason;
use std::sync::atomic::AtomicU64;

/// What a conforming peer does not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offence {
    /// A frame that is no envelope, or a payload that is not what its type says.
    Malformed,
    /// An envelope in the name of somebody else.
    Forged,
    /// A topic that is internal to an endpoint.
    Internal,
}

impl Offence {
    fn reason(self) -> Reason {
        match self {
            Self::Malformed => Reason::MalformedMessage,
            Self::Forged => Reason::ForgedSender,
            Self::Internal => Reason::InternalTopic,
        }
    }

    pub(super) fn counter(self, counters: &PeerCounters) -> &AtomicU64 {
        match self {
            Self::Malformed => &counters.malformed,
            Self::Forged => &counters.forged,
            Self::Internal => &counters.internal,
        }
    }
}

/// The bad messages of one peer, weighed against the good ones.
///
/// The first of each kind is worth a word. When there are too many more bad ones than good ones the
/// peer is of no use and is cut. A balance instead of a sum, so that a peer does not lose its
/// peering over one odd message a day, and instead of a rate, because nothing here reads a clock.
#[derive(Debug)]
pub(super) struct Offences {
    reported: [bool; 3],
    surplus: usize,
    limit: usize,
}

impl Offences {
    /// Up to `limit` more bad messages than good ones are put up with.
    pub(super) fn new(limit: usize) -> Self {
        Self { reported: [false; 3], surplus: 0, limit }
    }

    /// Good messages have come.
    pub(super) fn make_up_for(&mut self, messages: usize) {
        self.surplus = self.surplus.saturating_sub(messages);
    }

    /// A bad message has come; `what` says what the peer did.
    pub(super) fn add(&mut self, offence: Offence, what: String) -> Option<Notice> {
        self.surplus += 1;
        if self.surplus > self.limit {
            return Some(Notice::Cut(Failure::Misbehaved { limit: self.limit, last: what }));
        }
        let reported = self.reported.get_mut(offence as usize)?;
        let first = !std::mem::replace(reported, true);
        first.then_some(Notice::Misbehaved { reason: offence.reason(), what })
    }
}
