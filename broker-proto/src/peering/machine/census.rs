use super::{PeeringMachine, Stage};
use crate::EndpointId;
use crate::peering::{ConnectionId, DialId, Time};

/// Everything the machine keeps, for those who check that nothing is left behind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Census {
    /// Connections that shake hands, and until when.
    pub shaking: Vec<(ConnectionId, Time)>,
    /// The connections that are peered, and with whom.
    pub peered: Vec<(ConnectionId, EndpointId)>,
    /// Peerings that wait for the answer to a bye, and until when.
    pub leaving: Vec<(ConnectionId, Time)>,
    /// Connections that are being closed.
    pub over: usize,
    /// Requests.
    pub dials: Vec<DialId>,
    /// Endpoints that shake hands.
    pub pending: usize,
    /// Timers that run.
    pub timers: usize,
}

impl PeeringMachine {
    /// Counts what the machine holds.
    pub fn census(&self) -> Census {
        let mut census = Census {
            dials: self.dials.iter().map(|(id, _)| *id).collect(),
            pending: self.pending.len(),
            timers: self.timers.len(),
            ..Census::default()
        };
        for (id, conn) in &self.conns {
            match &conn.stage {
                Stage::Shaking(shaking) => census.shaking.push((*id, shaking.deadline)),
                Stage::Peered(peering) => {
                    census.peered.push((*id, peering.peer));
                    census.leaving.extend(peering.bye.as_ref().map(|(_, until)| (*id, *until)));
                }
                Stage::Over => census.over += 1,
            }
        }
        census
    }
}
