use super::{
    Action, Close, Dial, DialId, DialState, PeeringMachine, PendingDial, Phase, Stage, Timer,
};
use crate::Failure;
use crate::HangUpGuess;
use crate::fact::{Fact, NetworkInfo};
use crate::limits::MAX_DURATION;
use crate::peering::Time;
use crate::peering::registry::same_address;
use crate::{Address, EndpointId};
use std::time::Duration;

impl PeeringMachine {
    /// Asks for a peering with an address. There is one request for each address: asking again
    /// changes the retry time of the one that exists, and makes it try at once.
    pub fn peer(&mut self, url: Address, retry: Option<Duration>, now: Time) -> DialId {
        let retry = retry.map(|retry| retry.min(MAX_DURATION));
        if let Some(dial) = self.find_dial(&url) {
            self.renew_dial(dial, retry, now);
            return dial;
        }
        self.last_dial += 1;
        let id = DialId(self.last_dial);
        if self.phase != Phase::Running {
            self.act(Action::Resolve { dial: id, outcome: Err(Failure::ShuttingDown) });
            return id;
        }
        let state = DialState::Waiting(now);
        let dial = Dial {
            url,
            retry,
            state,
            failures: 0,
            last_error: None,
            since: now,
            has_been_peered: false,
            redial_after_removal: false,
        };
        self.dials.insert(id, dial);
        self.start_dial(id, now);
        id
    }

    fn renew_dial(&mut self, id: DialId, retry: Option<Duration>, now: Time) {
        let Some(dial) = self.dials.get_mut(id) else { return };
        dial.retry = retry.or(dial.retry);
        let (retry, state) = (dial.retry, dial.state);
        match state {
            DialState::Attached(conn) => {
                let Some(Stage::Peered(peering)) = self.conns.get(&conn).map(|conn| &conn.stage)
                else {
                    return;
                };
                let peer = peering.peer;
                if peering.removal.is_some() {
                    dial.redial_after_removal = true;
                } else {
                    if let Some(record) = self.registry.get_mut(peer) {
                        record.network.retry = retry;
                    }
                    self.act(Action::Resolve { dial: id, outcome: Ok(peer) });
                }
            }
            DialState::Waiting(at) => {
                self.timers.cancel(at, Timer::Retry(id));
                self.start_dial(id, now);
            }
            DialState::Connecting | DialState::Shaking(_) | DialState::Awaiting(_) => {}
        }
    }

    pub(super) fn start_dial(&mut self, id: DialId, now: Time) {
        let Some(dial) = self.dials.get_mut(id) else { return };
        dial.state = DialState::Connecting;
        if dial.failures == 0 {
            dial.since = now;
        }
        let url = dial.url.clone();
        self.act(Action::Dial { dial: id, url });
    }

    /// A connection could not be opened, or did not get through the handshake.
    pub fn dial_failed(&mut self, id: DialId, failure: Failure, now: Time) {
        let Some(dial) = self.dials.get_mut(id) else { return };
        let mut failure = failure;
        if let Failure::ClosedInHandshake { guess, .. } = &mut failure
            && dial.has_been_peered
        {
            *guess = HangUpGuess::WasPeered;
        }
        dial.failures = dial.failures.saturating_add(1);
        dial.last_error = Some(failure.clone());
        let (retry, failures) = (dial.retry, dial.failures);
        let network = NetworkInfo { url: dial.url.clone(), retry };
        self.report(Fact::DialFailed { network, failure: failure.clone() });
        match retry {
            Some(retry) => {
                let at = now + self.pause(retry, failures);
                if let Some(dial) = self.dials.get_mut(id) {
                    dial.state = DialState::Waiting(at);
                }
                self.timers.set(at, Timer::Retry(id));
            }
            None => self.resolve_and_forget(id, failure),
        }
    }

    fn resolve_and_forget(&mut self, id: DialId, failure: Failure) {
        self.dials.remove(id);
        self.act(Action::Resolve { dial: id, outcome: Err(failure) });
    }

    /// The time until the next attempt: what was asked for, doubled with every failure if so
    /// configured, and a little more so that many endpoints do not come back at one instant.
    fn pause(&mut self, retry: Duration, failures: u32) -> Duration {
        let base = match self.settings.retry_max {
            Some(max) => {
                let doublings = failures.saturating_sub(1).min(16);
                retry.saturating_mul(1 << doublings).min(max.max(retry))
            }
            None => retry,
        };
        base + base.mul_f64(self.settings.retry_jitter * self.random.f64())
    }

    /// A connection of this request turned out to be one too many.
    pub(super) fn dial_redundant(&mut self, id: DialId, peer: EndpointId, now: Time) {
        if self.is_peered(peer) && !self.is_leaving(peer) {
            self.attach_or_forget(id, peer);
        } else if self.is_peered(peer) || self.pending.contains_key(&peer) {
            if let Some(dial) = self.dials.get_mut(id) {
                dial.state = DialState::Awaiting(peer);
            }
        } else {
            self.dial_failed(id, Failure::Redundant(peer), now);
        }
    }

    /// The peering that a request wanted exists. An address with a retry time replaces one without,
    /// so that the peering comes back after a loss; otherwise the request has done its work.
    fn attach_or_forget(&mut self, id: DialId, peer: EndpointId) {
        self.act(Action::Resolve { dial: id, outcome: Ok(peer) });
        let Some(dial) = self.dials.get_mut(id) else { return };
        let network = NetworkInfo { url: dial.url.clone(), retry: dial.retry };
        let adopted = self.registry.get_mut(peer).map(|record| {
            let adopt = network.retry.is_some() && record.network.retry.is_none();
            if adopt {
                record.network = network;
            }
            adopt.then_some(record.conn)
        });
        let Some(Some(conn)) = adopted else {
            self.dials.remove(id);
            return;
        };
        dial.state = DialState::Attached(conn);
        dial.failures = 0;
        let Some(Stage::Peered(peering)) = self.conns.get_mut(&conn).map(|conn| &mut conn.stage)
        else {
            return;
        };
        if let Some(replaced) = peering.dial.replace(id) {
            self.dials.remove(replaced);
        }
    }

    /// Lets requests that waited for `peer` try on their own.
    pub(super) fn retry_awaiting(&mut self, peer: EndpointId, now: Time) {
        for id in self.awaiting(peer) {
            self.start_dial(id, now);
        }
    }

    /// Requests that wait for the outcome of a handshake with `peer`, or for its leaving.
    pub(super) fn awaiting(&self, peer: EndpointId) -> Vec<DialId> {
        let waits = |dial: &Dial| dial.state == DialState::Awaiting(peer);
        self.dials.iter().filter(|(_, dial)| waits(dial)).map(|(id, _)| *id).collect()
    }

    /// Gives up a request that has no peering. Returns whether there was one for this address.
    pub(super) fn cancel_dial(&mut self, url: &Address, failure: Failure, now: Time) -> bool {
        let Some(id) = self.find_dial(url) else { return false };
        let Some(dial) = self.dials.get(id) else { return false };
        match dial.state {
            DialState::Attached(_) => return false,
            DialState::Connecting => self.act(Action::AbandonDial { dial: id }),
            DialState::Waiting(at) => self.timers.cancel(at, Timer::Retry(id)),
            DialState::Awaiting(_) => {}
            DialState::Shaking(conn) => {
                self.dials.remove(id);
                self.handshake_failed(conn, failure.clone(), now);
                self.act(Action::Close { conn, how: Close::Now });
            }
        }
        self.resolve_and_forget(id, failure);
        self.report(Fact::DialCancelled(url.clone()));
        true
    }

    pub(super) fn find_dial(&self, url: &Address) -> Option<DialId> {
        let same = |dial: &Dial| same_address(&dial.url, url);
        self.dials.iter().find(|(_, dial)| same(dial)).map(|(id, _)| *id)
    }

    /// Whether this endpoint has asked for a peering with this address and still wants it.
    pub fn is_outbound(&self, url: &Address) -> bool {
        let wanted = |dial: &Dial| match dial.state {
            DialState::Attached(conn) => {
                dial.redial_after_removal
                    || matches!(self.conns.get(&conn).map(|conn| &conn.stage),
                        Some(Stage::Peered(peering)) if peering.removal.is_none())
            }
            _ => true,
        };
        self.find_dial(url).and_then(|id| self.dials.get(id)).is_some_and(wanted)
    }

    /// Gives up all requests.
    pub(super) fn cancel_all_dials(&mut self) {
        let ids: Vec<DialId> = self.dials.iter().map(|(id, _)| *id).collect();
        for id in ids {
            let Some(dial) = self.dials.remove(id) else { continue };
            match dial.state {
                DialState::Connecting => self.act(Action::AbandonDial { dial: id }),
                DialState::Waiting(at) => self.timers.cancel(at, Timer::Retry(id)),
                DialState::Shaking(_) | DialState::Awaiting(_) | DialState::Attached(_) => {}
            }
            self.act(Action::Resolve { dial: id, outcome: Err(Failure::ShuttingDown) });
        }
    }
}

impl Dial {
    /// What others may know of it as long as it has no peering.
    pub(super) fn open(&self) -> Option<PendingDial> {
        (!matches!(self.state, DialState::Attached(_))).then(|| PendingDial {
            url: self.url.clone(),
            retry: self.retry,
            since: self.since,
            failures: self.failures,
            last_error: self.last_error.clone(),
        })
    }
}
