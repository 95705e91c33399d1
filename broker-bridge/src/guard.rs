use crate::mark::{crossed, has_been_in, marked};
use crate::overlay::{Around, Overlay};
use crate::repeats::{Repeats, WINDOW};
use crate::{Carried, Directions};
use broker_core::EndpointId;
use broker_core::data::View;
use std::sync::Arc;

/// Keeps messages from going in circles.
///
/// The other side takes a topic and a value, and nothing that says where they have been. So an
/// event carries a mark, which says how many bridges it has crossed. Into an overlay it may have
/// crossed one, out of an overlay none: on its way round a circle it meets a bridge that has to
/// refuse, even if something in between drops marks. What has no place for a mark, and what comes
/// back around all bridges without one, is bounded by how often one message is carried.
///
/// None of this concerns an endpoint that has no other peer and no client: from there nothing can
/// go on.
pub(crate) struct Guard {
    overlay: Arc<Overlay>,
    /// The peer that stands for the other side.
    bridge: EndpointId,
    /// The endpoint at the other side, if it is one and names itself.
    other: Option<EndpointId>,
    transit: u64,
    outward: Repeats,
    inward: Repeats,
}

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Out of the overlay.
    Outward,
    /// Into the overlay.
    Inward,
}

/// What to do with a message.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    Carry,
    /// Carry this payload instead.
    CarryInstead(Vec<u8>),
    Leave(Carried),
}

impl Guard {
    pub(crate) fn new(
        overlay: Arc<Overlay>,
        directions: &Directions,
        bridge: EndpointId,
        other: Option<EndpointId>,
    ) -> Self {
        Self {
            overlay,
            bridge,
            other,
            transit: directions.transit.into(),
            outward: Repeats::new(directions.repeats),
            inward: Repeats::new(directions.repeats),
        }
    }

    /// What is around the endpoint now.
    pub(crate) fn around(&self) -> Around {
        self.overlay.around(self.bridge, self.other)
    }

    pub(crate) fn judge(&mut self, way: Way, topic: &[u8], value: View<'_>) -> Verdict {
        if !self.around().others {
            return Verdict::Carry;
        }
        let own = self.overlay.id();
        let (allowed, repeats, leaves, enters) = match way {
            Way::Outward => (0, &mut self.outward, own, self.other),
            Way::Inward => (1, &mut self.inward, self.other, own),
        };
        let has_been_there = enters.is_some_and(|endpoint| has_been_in(value, endpoint));
        if has_been_there || crossed(value) > allowed + self.transit {
            return Verdict::Leave(Carried::Crossed);
        }
        if !repeats.allow(topic, value.raw()) {
            return Verdict::Leave(Carried::Repeated);
        }
        marked(value, leaves).map_or(Verdict::Carry, Verdict::CarryInstead)
    }
}

/// Why a message was left, and what to do if that is not wanted.
pub(crate) fn explain(left: Carried, way: Way, topic: &[u8]) -> String {
    let topic = String::from_utf8_lossy(topic);
    let to = match way {
        Way::Outward => "to the server",
        Way::Inward => "into the overlay",
    };
    match left {
        Carried::Crossed => format!(
            "a message on the topic {topic:?} has been carried by another bridge and does not go \
             on {to}; transit=1 in the address lets it unless it has been there before, which is \
             safe only if there is no way back"
        ),
        Carried::NoEvent => format!(
            "a message on the topic {topic:?} is no event, and the server takes nothing else"
        ),
        Carried::NotAllowed => format!(
            "a message on the topic {topic:?} has an event that must not go {to}, by event=NAME in \
             the address or because it would do harm there"
        ),
        Carried::Refused => {
            format!("a message on the topic {topic:?} cannot go {to}: nothing there would take it")
        }
        _ => format!(
            "the same message on the topic {topic:?} came so often within {} s that it seems to go \
             in circles, and goes no more {to}; repeats=N in the address sets how often it may",
            WINDOW.as_secs()
        ),
    }
}
