use crate::other_side::Outgoing;
use std::collections::VecDeque;
use tokio::sync::oneshot;

/// What waits to be sent to the other side, and what of it and of what was sent is not confirmed.
///
/// The bridge takes nothing more from its queue while there is something in here, except at the end
/// and in front of a question, so it holds what was in that queue at most.
#[derive(Debug)]
pub(crate) struct Outbox<T> {
    pub(crate) outgoing: VecDeque<Outgoing<T>>,
    delivery: DeliveryTracker,
    /// Messages among those that are not confirmed that will not be handed over.
    left: u64,
}

impl<T> Outbox<T> {
    pub(crate) fn new() -> Self {
        Self { outgoing: VecDeque::new(), delivery: DeliveryTracker::default(), left: 0 }
    }

    pub(crate) fn push(&mut self, message: T) {
        self.delivery.add();
        self.outgoing.push_back(Outgoing::Message(message));
    }

    /// Puts a ping behind what waits, if none is in flight and something is not confirmed.
    pub(crate) fn ping(&mut self) {
        if let Some(number) = self.delivery.next_ping() {
            self.outgoing.push_back(Outgoing::Ping(number));
        }
    }

    /// Asks for a confirmation of everything that was pushed so far.
    pub(crate) fn ask(&mut self, asked_by: oneshot::Sender<()>) {
        let number = self.delivery.ping(Some(asked_by));
        self.outgoing.push_back(Outgoing::Ping(number));
    }

    /// Takes the answer to a ping, and returns how many messages it confirms.
    pub(crate) fn confirm(&mut self, number: u64) -> u64 {
        let confirmed = self.delivery.confirm(number);
        self.without_left(confirmed)
    }

    /// Notes messages that were pushed and are counted by the cause for which they do not go on.
    pub(crate) fn leave(&mut self, count: u64) {
        self.left += count;
    }

    fn without_left(&mut self, count: u64) -> u64 {
        let left = self.left.min(count);
        self.left -= left;
        count - left
    }

    /// Whether everything was sent and is confirmed.
    pub(crate) fn is_settled(&self) -> bool {
        self.outgoing.is_empty() && self.delivery.open() == 0
    }

    /// Empties it at the end of a connection, and returns how many messages are lost by that.
    pub(crate) fn lose(&mut self) -> u64 {
        self.outgoing.clear();
        let lost = self.delivery.lose();
        self.without_left(lost)
    }
}

/// Which of the messages that were handed to the other side it has confirmed.
///
/// Behind messages goes a ping, and the answer to it confirms all of them; one ping is in flight at
/// most, unless somebody asks for a confirmation.
#[derive(Debug, Default)]
struct DeliveryTracker {
    /// Messages handed over so far.
    count: u64,
    confirmed: u64,
    /// The number of the last ping.
    last: u64,
    pings: VecDeque<Ping>,
}

#[derive(Debug)]
struct Ping {
    number: u64,
    /// Messages handed over before it.
    behind: u64,
    asked_by: Option<oneshot::Sender<()>>,
}

impl DeliveryTracker {
    /// Notes a message.
    fn add(&mut self) {
        self.count += 1;
    }

    /// Messages that are not confirmed.
    fn open(&self) -> u64 {
        self.count - self.confirmed
    }

    /// The number of the ping to send now, if one is needed.
    fn next_ping(&mut self) -> Option<u64> {
        (self.pings.is_empty() && self.open() > 0).then(|| self.ping(None))
    }

    /// The number of a ping whose answer somebody waits for.
    fn ping(&mut self, asked_by: Option<oneshot::Sender<()>>) -> u64 {
        self.last += 1;
        self.pings.push_back(Ping { number: self.last, behind: self.count, asked_by });
        self.last
    }

    /// Takes the answer to a ping, and returns how many messages it confirms.
    fn confirm(&mut self, number: u64) -> u64 {
        let before = self.confirmed;
        while self.pings.front().is_some_and(|ping| ping.number <= number)
            && let Some(ping) = self.pings.pop_front()
        {
            self.confirmed = ping.behind;
            if let Some(asked_by) = ping.asked_by {
                // Who asked may have gone.
                let _ = asked_by.send(());
            }
        }
        self.confirmed - before
    }

    /// Forgets everything, as at the end of a connection, and returns how many messages that leaves
    /// without a confirmation.
    fn lose(&mut self) -> u64 {
        let open = self.open();
        self.pings.clear();
        self.confirmed = self.count;
        open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_confirms_what_was_handed_over_before_its_ping() {
        let mut delivery = DeliveryTracker::default();
        assert_eq!(delivery.next_ping(), None);
        delivery.add();
        assert_eq!(delivery.next_ping(), Some(1));
        delivery.add();
        assert_eq!(delivery.next_ping(), None);
        assert_eq!((delivery.confirm(1), delivery.open()), (1, 1));
        assert_eq!(delivery.next_ping(), Some(2));
        assert_eq!((delivery.lose(), delivery.open()), (1, 0));
        assert_eq!(delivery.confirm(2), 0);
    }

    #[test]
    fn what_was_left_is_neither_confirmed_nor_lost() {
        let mut outbox = Outbox::new();
        (0..5).for_each(|number| outbox.push(number));
        outbox.ping();
        outbox.leave(2);
        assert_eq!(outbox.confirm(1), 3);
        (0..3).for_each(|number| outbox.push(number));
        outbox.leave(1);
        assert_eq!((outbox.lose(), outbox.lose()), (2, 0));
    }

    #[test]
    fn who_asks_is_answered_in_order_and_not_at_all_after_a_loss() {
        let mut delivery = DeliveryTracker::default();
        let (first, mut answered) = oneshot::channel();
        let (second, mut lost) = oneshot::channel();
        delivery.ping(Some(first));
        delivery.ping(Some(second));
        delivery.confirm(1);
        assert_eq!(answered.try_recv(), Ok(()));
        assert_eq!(lost.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        delivery.lose();
        assert_eq!(lost.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    }
}
