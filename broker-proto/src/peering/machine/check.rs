use super::{ConnectionState, DialState, Opened, PeeringMachine, Pending, Phase, Stage, Timer};
use crate::peering::{ConnectionId, PeerStatus};
use std::collections::BTreeSet;

impl PeeringMachine {
    /// Checks that what the machine knows fits together. Called between any two things it is told.
    pub fn check(&self) {
        let mut timers = BTreeSet::new();
        self.check_connections(&mut timers);
        self.check_handshakes(&mut timers);
        self.check_requests(&mut timers);
        timers.extend(self.pace.due().map(|at| (at, Timer::Announce)));
        timers.extend(self.news.due().map(|at| (at, Timer::News)));
        timers.extend(self.forget_at.map(|at| (at, Timer::Forget)));
        self.overlay.check();
        let shutdown = self.timers.iter().filter(|(_, timer)| *timer == Timer::Shutdown);
        let alone = shutdown.clone().count() == 0 || self.phase != Phase::Running;
        assert!(alone, "a timer for a shutdown that has not begun");
        timers.extend(shutdown);
        assert!(self.timers.iter().eq(timers), "a timer is missing or left behind");
    }

    fn check_connections(&self, timers: &mut BTreeSet<(crate::peering::Time, Timer)>) {
        for (id, conn) in &self.conns {
            match &conn.stage {
                Stage::Shaking(shaking) => {
                    timers.insert((shaking.deadline, Timer::Handshake(*id)));
                }
                Stage::Peered(peering) => {
                    let record = self.registry.get(peering.peer);
                    let registered = record.map(|record| (record.conn, record.status));
                    assert_eq!(registered, Some((*id, PeerStatus::Peered)), "{}", peering.peer);
                    timers.extend(peering.bye.iter().map(|(_, at)| (*at, Timer::Bye(*id))));
                    timers.extend(peering.check.iter().map(|(_, at)| (*at, Timer::Liveness(*id))));
                    timers.extend(peering.pace.due().map(|at| (at, Timer::Filter(*id))));
                    assert_eq!(peering.pace.due().is_some(), peering.next_filter.is_some());
                    let told = peering.announced.generation == self.filter_generation();
                    let linked = self.is_link(peering.dialect);
                    let later = self.pace.due().is_some() || self.news.due().is_some();
                    let ends = self.phase != Phase::Running;
                    assert!(told || linked || later || ends, "nobody tells {}", peering.peer);
                    let dial = peering.dial.and_then(|dial| self.dials.get(dial));
                    let attached = dial.is_none_or(|dial| dial.state == DialState::Attached(*id));
                    assert!(attached, "the request of {id} is elsewhere");
                }
                Stage::Over => {}
            }
        }
    }

    fn check_handshakes(&self, timers: &mut BTreeSet<(crate::peering::Time, Timer)>) {
        for (peer, pending) in &self.pending {
            let shakes = |id| match self.conns.get(id).map(|conn| &conn.stage) {
                Some(Stage::Shaking(shaking)) => shaking.peer == Some(*peer),
                _ => false,
            };
            let Pending { active, paused, .. } = pending;
            assert!(active.iter().all(shakes), "nobody shakes hands with {peer}");
            assert!(paused.iter().all(|id| !active.contains(id) && shakes(id)));
            let is_accepted =
                |id: &ConnectionId| self.conns.get(id).is_some_and(ConnectionState::is_accepted);
            assert!(active.len() == 1 || active.iter().all(is_accepted), "{peer}");
            timers.extend(pending.due.map(|at| (at, Timer::Paused(*peer))));
            let waits = active.iter().all(is_accepted) && paused.iter().any(is_accepted);
            assert!(!waits || pending.due.is_some(), "somebody waits for {peer} for too long");
            let record = self.registry.get(*peer);
            assert!(record.is_some_and(|record| record.status.is_shaking_hands()));
            assert_eq!(record.map(|record| record.conn), pending.active.first().copied());
        }
        let mut disconnected = 0;
        let mut peered = 0;
        for (&id, record) in self.registry.iter() {
            let stage = self.conns.get(&record.conn).map(|conn| &conn.stage);
            match record.status {
                PeerStatus::Peered => {
                    peered += 1;
                    let there = matches!(stage, Some(Stage::Peered(peering)) if peering.peer == id);
                    assert!(there, "{id} is registered as peered and is not");
                }
                PeerStatus::Disconnected => disconnected += 1,
                status => {
                    assert!(status.is_shaking_hands() && self.pending.contains_key(&id));
                }
            }
        }
        assert!(disconnected <= self.settings.remembered_peers, "{disconnected} are remembered");
        assert_eq!(peered, self.peered, "peerings, and how many are counted");
        assert!(peered <= self.settings.peers, "{peered} peers");
    }

    fn check_requests(&self, timers: &mut BTreeSet<(crate::peering::Time, Timer)>) {
        for (id, dial) in self.dials.iter() {
            match dial.state {
                DialState::Connecting => {}
                DialState::Shaking(conn) => {
                    let conn = self.conns.get(&conn);
                    assert!(conn.is_some_and(|conn| conn.opened == Opened::Dialled(*id)
                        && matches!(conn.stage, Stage::Shaking(_))));
                }
                DialState::Awaiting(peer) => {
                    let peered = self.registry.status(peer) == Some(PeerStatus::Peered);
                    assert!(peered || self.pending.contains_key(&peer), "waits for nobody");
                }
                DialState::Waiting(at) => {
                    timers.insert((at, Timer::Retry(*id)));
                }
                DialState::Attached(conn) => {
                    let stage = self.conns.get(&conn).map(|conn| &conn.stage);
                    assert!(matches!(stage, Some(Stage::Peered(peering))
                        if peering.dial == Some(*id)));
                }
            }
        }
        assert!(self.phase == Phase::Running || self.dials.is_empty(), "requests in a shutdown");
    }
}
