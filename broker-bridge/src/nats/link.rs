//! Keeps a connection to one of the servers, one after the other.

use crate::Carried;
use crate::nats::consumer::Delivery;
use crate::nats::parcel::Parcel;
use crate::nats::session::Session;
use crate::nats::side::Shared;
use crate::other_side::Incoming;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(10);
/// Servers that others tell of are remembered, up to so many.
const SERVERS: usize = 64;

/// What outlives a connection.
pub(super) struct Link {
    pub(super) shared: Arc<Shared>,
    /// The topics to receive.
    pub(super) wish: watch::Receiver<Arc<Vec<String>>>,
    /// Messages with a number below this one are with NATS, or safe in files while it is away.
    pub(super) confirmed: watch::Sender<u64>,
    pub(super) deliveries: mpsc::Sender<Delivery>,
    /// Where deliveries are acknowledged that the overlay has.
    pub(super) acknowledged: mpsc::UnboundedReceiver<async_nats::Subject>,
    pub(super) flying: Flying,
    /// Those that others have told of.
    pub(super) servers: Vec<String>,
    /// Cancelled when the bridge has ended.
    pub(super) ended: CancellationToken,
}

/// Messages that were taken out of the spool and that NATS has not acknowledged, in order.
#[derive(Default)]
pub(super) struct Flying {
    pub(super) messages: VecDeque<Sent>,
    /// So many from the front were sent on this connection.
    pub(super) sent: usize,
    pub(super) bytes: usize,
}

/// A message on its way.
pub(super) struct Sent {
    pub(super) number: u64,
    pub(super) parcel: Parcel,
    pub(super) at: Instant,
    pub(super) is_stored: bool,
}

impl Flying {
    pub(super) fn push(&mut self, number: u64, parcel: Parcel) {
        self.bytes += parcel.length();
        self.messages.push_back(Sent { number, parcel, at: Instant::now(), is_stored: false });
    }

    /// Notes that NATS has a message, or that it will never take it.
    pub(super) fn settle(&mut self, number: u64) {
        let at = self.messages.partition_point(|sent| sent.number < number);
        if let Some(sent) = self.messages.get_mut(at).filter(|sent| sent.number == number) {
            sent.is_stored = true;
        }
        while self.messages.front().is_some_and(|sent| sent.is_stored) {
            self.pop();
        }
    }

    pub(super) fn pop(&mut self) {
        if let Some(sent) = self.messages.pop_front() {
            self.bytes -= sent.parcel.length();
            self.sent = self.sent.saturating_sub(1);
        }
    }
}

impl Link {
    /// Serves the bridge until that has ended, on this connection and those that follow it.
    pub(super) async fn run(mut self, first: Session) {
        let mut next = Some(first);
        while let Some(mut session) = next.take() {
            self.learn(&session);
            self.tell(&session, true);
            // What a connection before has left behind is sent again, in order.
            self.flying.sent = 0;
            let ended = self.ended.clone();
            let reason = tokio::select! {
                reason = session.run(&mut self) => reason,
                () = ended.cancelled() => {
                    session.finish(&mut self).await;
                    return;
                }
            };
            self.tell(&session, false);
            drop(session);
            self.give_up_unacknowledged();
            let text = format!("NATS is away: {reason}");
            self.shared.inbox.push(Incoming::Noted(text));
            self.vouch_for_files();
            next = self.connect().await;
        }
    }

    /// The next connection; `None` if the bridge ends before there is one.
    async fn connect(&mut self) -> Option<Session> {
        let mut delay = FIRST_DELAY;
        loop {
            let jitter = 0.5 + fastrand::f64() / 2.0;
            tokio::select! {
                () = self.ended.cancelled() => return None,
                () = sleep(delay.mul_f64(jitter)) => {}
            }
            delay = (delay * 2).min(LONGEST_DELAY);
            let Shared { options, inbox, .. } = &*self.shared;
            tokio::select! {
                () = self.ended.cancelled() => return None,
                connected = Session::connect(options, &self.servers, inbox) => {
                    if let Ok(session) = connected {
                        return Some(session);
                    }
                }
            }
            self.vouch_for_files();
        }
    }

    fn learn(&mut self, session: &Session) {
        for server in session.others() {
            if self.servers.len() < SERVERS && !self.servers.contains(&server) {
                self.servers.push(server);
            }
        }
    }

    fn tell(&self, session: &Session, is_there: bool) {
        let (id, name) = (session.server_id(), Some(session.server_name()));
        self.shared.inbox.push(Incoming::Member { id, name, is_there });
    }

    /// Tells the bridge how far messages are with NATS.
    pub(super) fn report_progress(&mut self) {
        let mut spool = self.shared.spool.lock();
        let end = match self.flying.messages.front() {
            Some(first) => first.number,
            None if spool.is_empty() => spool.next(),
            None => return,
        };
        if spool.done(end).is_err() {
            let text = "the spool cannot be written to".to_owned();
            self.shared.inbox.push(Incoming::Noted(text));
        }
        drop(spool);
        self.confirmed.send_if_modified(|before| {
            let is_more = end > *before;
            *before = end.max(*before);
            is_more
        });
    }

    /// Without a stream nobody tells what of the last messages has arrived, and none is sent twice.
    fn give_up_unacknowledged(&mut self) {
        let count = self.flying.sent;
        if self.shared.options.stream.is_some() || count == 0 {
            return;
        }
        (0..count).for_each(|_| self.flying.pop());
        let text = "the connection ended while messages were sent, which are lost".to_owned();
        let (why, count) = (Carried::Lost, count as u64);
        self.shared.inbox.push(Incoming::Left { why, count, text });
    }

    /// While NATS is away, what is in files is in safe hands.
    fn vouch_for_files(&self) {
        let spool = self.shared.spool.lock();
        if spool.is_in_files() {
            self.confirmed.send_replace(spool.next());
        }
    }
}
