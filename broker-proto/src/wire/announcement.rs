//! The payload of an announcement: what relays of version 2 tell each other about the overlay.
//!
//! Each relay makes claims: who its neighbours are, whom it serves, and what those want. Every
//! change of a claim has a number, its stamp, which is never given twice in one life of the relay;
//! the largest one is the generation of all its claims together. An update says what has changed
//! since an older generation, so it can be applied to that one and to every later one.

use super::{Reader, put_string};
use crate::EndpointId;
use bytes::Bytes;

/// Something that a relay says of itself and of those it serves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Claim {
    /// It is peered with this relay, which counts if that one says so too.
    Neighbour(EndpointId),
    /// It serves this endpoint, which is no relay or does not speak version 2.
    Serves(EndpointId),
    /// The endpoint, itself or one that it serves, wants the topics with this prefix.
    Wants(EndpointId, Bytes),
}

/// A claim that was made, or withdrawn, at a certain generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamped {
    /// The generation.
    pub stamp: u64,
    /// What is claimed.
    pub claim: Claim,
    /// Whether it holds from then on.
    pub holds: bool,
}

/// What has changed of the claims of one relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// Whose claims these are.
    pub relay: EndpointId,
    /// Which of its lives, the later the larger.
    pub life: u64,
    /// The generation that the changes are based on; at 0 they replace everything.
    pub base: u64,
    /// The generation that they lead to; 0 if the sender has forgotten what it was told of the
    /// relay, and wants to be told again.
    pub generation: u64,
    /// The changes in ascending order of their stamps.
    pub changes: Vec<Stamped>,
}

/// What a relay tells a neighbour at once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Announcement {
    /// Whether the neighbour has been told everything by now.
    pub complete: bool,
    /// About different relays.
    pub updates: Vec<Update>,
}

const NEIGHBOUR: u8 = 1;
const SERVES: u8 = 2;
const WANTS: u8 = 3;
/// In the byte of the kind: the claim is withdrawn.
const WITHDRAWN: u8 = 0x80;

impl Stamped {
    /// About how many bytes it takes, in a message as in memory.
    #[must_use]
    pub fn size(&self) -> usize {
        self.claim.size()
    }
}

impl Claim {
    /// About how many bytes it takes, in a message as in memory.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::Neighbour(_) | Self::Serves(_) => 32,
            Self::Wants(_, topic) => 40 + topic.len(),
        }
    }
}

impl Announcement {
    /// Appends the payload.
    pub fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.complete));
        for update in &self.updates {
            out.extend_from_slice(update.relay.as_bytes());
            for number in [update.life, update.base, update.generation] {
                put_number(out, number);
            }
            put_number(out, update.changes.len() as u64);
            let mut last = update.base;
            for Stamped { stamp, claim, holds } in &update.changes {
                put_number(out, stamp.saturating_sub(last));
                last = *stamp;
                let (kind, id, topic) = match claim {
                    Claim::Neighbour(id) => (NEIGHBOUR, id, None),
                    Claim::Serves(id) => (SERVES, id, None),
                    Claim::Wants(id, topic) => (WANTS, id, Some(topic)),
                };
                out.push(if *holds { kind } else { kind | WITHDRAWN });
                out.extend_from_slice(id.as_bytes());
                topic.inspect(|topic| put_string(out, topic));
            }
        }
    }

    /// Reads a payload. What is allocated follows what has arrived.
    ///
    /// # Errors
    ///
    /// Something is missing, or the stamps are not in order.
    pub fn decode(payload: &[u8]) -> Result<Self, InvalidAnnouncement> {
        let mut reader = Reader::new(payload);
        let mut updates = Vec::new();
        let complete = reader.bool();
        while complete.is_some() && !reader.rest().is_empty() {
            let before = reader.rest().len();
            let update = update(&mut reader);
            updates.push(update.ok_or(InvalidAnnouncement(payload.len() - before))?);
        }
        Ok(Self { complete: complete.ok_or(InvalidAnnouncement(0))?, updates })
    }
}

/// An announcement is not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the update at byte {0} is malformed")]
pub struct InvalidAnnouncement(usize);

fn update(reader: &mut Reader<'_>) -> Option<Update> {
    let relay = reader.id()?;
    let (life, base, generation) = (number(reader)?, number(reader)?, number(reader)?);
    let count = number(reader)?;
    let mut changes = Vec::new();
    let mut stamp = base;
    for _ in 0..count {
        let step = number(reader).filter(|step| *step > 0)?;
        stamp = stamp.checked_add(step).filter(|stamp| *stamp <= generation)?;
        let kind = reader.u8()?;
        let id = reader.id().filter(|id| !id.is_nil())?;
        let claim = match kind & !WITHDRAWN {
            NEIGHBOUR => Claim::Neighbour(id),
            SERVES => Claim::Serves(id),
            WANTS => Claim::Wants(id, Bytes::copy_from_slice(reader.string()?)),
            _ => return None,
        };
        changes.push(Stamped { stamp, claim, holds: kind & WITHDRAWN == 0 });
    }
    let fits = !relay.is_nil() && base <= generation;
    fits.then_some(Update { relay, life, base, generation, changes })
}

/// Appends a number in groups of seven bits, the lowest first.
fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn number(reader: &mut Reader<'_>) -> Option<u64> {
    let mut number = 0_u64;
    for group in 0..10 {
        let byte = reader.u8()?;
        let bits = u64::from(byte & 0x7f);
        number |= bits.checked_shl(7 * group).filter(|shifted| shifted >> (7 * group) == bits)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(byte: u8) -> EndpointId {
        EndpointId::from_bytes([byte; 16])
    }

    fn example() -> Announcement {
        let changes = vec![
            Stamped { stamp: 4, claim: Claim::Neighbour(id(2)), holds: true },
            Stamped { stamp: 300, claim: Claim::Serves(id(3)), holds: false },
            Stamped { stamp: u64::MAX, claim: Claim::Wants(id(3), "/a".into()), holds: true },
        ];
        let update =
            Update { relay: id(1), life: u64::MAX, base: 3, generation: u64::MAX, changes };
        Announcement { complete: true, updates: vec![update.clone(), update] }
    }

    #[test]
    fn what_is_written_is_read_and_every_cut_is_refused_or_ends_between_updates() {
        let mut payload = Vec::new();
        example().put(&mut payload);
        assert_eq!(Announcement::decode(&payload), Ok(example()));
        let whole = [1, 1 + (payload.len() - 1) / 2, payload.len()];
        for length in 0..=payload.len() {
            let decoded = Announcement::decode(&payload[..length]);
            assert_eq!(decoded.is_ok(), whole.contains(&length), "{length}: {decoded:?}");
        }
    }

    #[test]
    fn stamps_go_up_and_never_beyond_the_generation() {
        for (generation, stamps) in [(9, [5, 5]), (9, [6, 5]), (5, [4, 6]), (9, [3, 4])] {
            let mut announcement = example();
            announcement.updates.truncate(1);
            let update = &mut announcement.updates[0];
            update.generation = generation;
            update.changes.truncate(2);
            update.changes[0].stamp = stamps[0];
            update.changes[1].stamp = stamps[1];
            let mut payload = Vec::new();
            announcement.put(&mut payload);
            assert!(Announcement::decode(&payload).is_err(), "{stamps:?} up to {generation}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(payload in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(announcement) = Announcement::decode(&payload) {
                let mut again = Vec::new();
                announcement.put(&mut again);
                prop_assert_eq!(Announcement::decode(&again), Ok(announcement));
            }
        }
    }
}
