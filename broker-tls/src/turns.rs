//! Turns at computing, so that handshakes leave the processor to established links.
//!
//! What a handshake costs is computed where it is polled, in a worker thread of the runtime: a
//! signature with an RSA key of 4096 bits takes milliseconds, and a stranger has it made by sending
//! one recorded packet. So only as many handshakes compute at the same time as [`Turns`] allows,
//! the others wait outside of the runtime's queue, and one that has computed gives its turn back
//! only after the tasks that were ready have been polled. Waiting for the other side takes no turn.
//!
//! Turns go round the addresses that wait for one, so a flood from one of them delays its own
//! handshakes, and others by one turn each.

use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use tokio::sync::{Notify, oneshot};
use tokio::task::yield_now;

/// The turns that there are.
#[derive(Debug, Clone)]
pub(crate) struct Turns(Arc<Mutex<Waiting>>);

#[derive(Debug)]
struct Waiting {
    free: usize,
    /// Who waits at which address, in order; no queue is empty, but those who wait may have left.
    queues: HashMap<IpAddr, VecDeque<oneshot::Sender<Turn>>>,
    /// The addresses in the order in which they get a turn.
    order: VecDeque<IpAddr>,
}

impl Waiting {
    fn enter(&mut self, origin: IpAddr, who: oneshot::Sender<Turn>) {
        let queue = self.queues.entry(origin).or_default();
        if queue.is_empty() {
            self.order.push_back(origin);
        }
        queue.push_back(who);
    }

    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        let origin = self.order.pop_front()?;
        let queue = self.queues.get_mut(&origin)?;
        // Those who have left cost their address no turn.
        while queue.len() > 1 && queue.front().is_some_and(oneshot::Sender::is_closed) {
            queue.pop_front();
        }
        let who = queue.pop_front();
        if queue.is_empty() {
            self.queues.remove(&origin);
        } else {
            self.order.push_back(origin);
        }
        who
    }
}

/// One turn; dropping it hands it over to the next who waits.
#[derive(Debug)]
struct Turn(Option<Turns>);

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.0.take() {
            turns.hand_over();
        }
    }
}

impl Turns {
    /// Half of the processors, so that the other half is left for everything else.
    pub(crate) fn for_this_machine() -> Self {
        Self::new(std::thread::available_parallelism().map_or(1, |count| count.get() / 2))
    }

    fn new(count: usize) -> Self {
        let (queues, order) = (HashMap::new(), VecDeque::new());
        Self(Arc::new(Mutex::new(Waiting { free: count.max(1), queues, order })))
    }

    /// Runs the handshake of a peer at this address, each step of it in a turn. Cancel safe if the
    /// handshake is.
    pub(crate) async fn run<F: Future>(&self, address: IpAddr, handshake: F) -> F::Output {
        let origin = origin(address);
        let mut handshake = pin!(handshake);
        let woken = Arc::new(Woken(Notify::new()));
        let waker = Waker::from(woken.clone());
        loop {
            let turn = self.take(origin).await;
            let step = handshake.as_mut().poll(&mut Context::from_waker(&waker));
            yield_now().await;
            drop(turn);
            match step {
                Poll::Ready(output) => return output,
                Poll::Pending => woken.0.notified().await,
            }
        }
    }

    async fn take(&self, origin: IpAddr) -> Turn {
        let granted = {
            let mut waiting = self.0.lock();
            if waiting.free > 0 {
                waiting.free -= 1;
                return Turn(Some(self.clone()));
            }
            let (grant, granted) = oneshot::channel();
            waiting.enter(origin, grant);
            granted
        };
        // The sender is dropped with all turns only.
        granted.await.unwrap_or(Turn(None))
    }

    fn hand_over(&self) {
        loop {
            let next = {
                let mut waiting = self.0.lock();
                let next = waiting.next();
                if next.is_none() {
                    waiting.free += 1;
                }
                next
            };
            let Some(next) = next else { return };
            match next.send(Turn(Some(self.clone()))) {
                Ok(()) => return,
                // Has left; its turn is this one still.
                Err(mut turn) => turn.0 = None,
            }
        }
    }
}

/// An address as far as somebody has it for nothing: of IPv6 that is a network.
fn origin(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

/// Remembers that the handshake can go on, while its task does something else.
struct Woken(Notify);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const HERE: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

    type Log = Arc<Mutex<Vec<String>>>;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Starts a handshake of two steps that are written down, the other side taking its time in
    /// between.
    fn start(turns: &Turns, log: &Log, name: &str, address: IpAddr) -> tokio::task::JoinHandle<()> {
        let (turns, log, name) = (turns.clone(), log.clone(), name.to_owned());
        tokio::spawn(async move {
            let steps = async {
                log.lock().push(name.clone());
                yield_now().await;
                log.lock().push(name.clone());
            };
            turns.run(address, steps).await;
        })
    }

    #[tokio::test]
    async fn established_links_are_polled_between_any_two_computations() {
        let (turns, log) = (Turns::new(1), Log::default());
        let links = log.clone();
        let link = tokio::spawn(async move {
            loop {
                links.lock().push("link".to_owned());
                yield_now().await;
            }
        });
        let handshakes: Vec<_> = (0..50).map(|_| start(&turns, &log, "handshake", HERE)).collect();
        for handshake in handshakes {
            handshake.await.unwrap();
        }
        link.abort();
        let log = log.lock();
        assert_eq!(log.iter().filter(|who| *who == "handshake").count(), 100);
        assert!(log.windows(2).all(|two| two != ["handshake", "handshake"]), "{log:?}");
    }

    #[tokio::test]
    async fn turns_go_round_the_addresses_that_wait() {
        let (turns, log) = (Turns::new(1), Log::default());
        let turn = turns.take(HERE).await;
        let mut all = Vec::new();
        for (name, at) in [("a", "192.0.2.1"), ("n", "2001:db8::"), ("b", "192.0.2.2")] {
            let neighbours = (0..9).map(|n| match address(at) {
                IpAddr::V6(at) => IpAddr::from(Ipv6Addr::from_bits(at.to_bits() + n)),
                v4 => v4,
            });
            let count = if name == "b" { 1 } else { 9 };
            all.extend(neighbours.take(count).map(|at| start(&turns, &log, name, at)));
        }
        yield_now().await;
        drop(turn);
        for handshake in all {
            handshake.await.unwrap();
        }
        let log = log.lock();
        assert_eq!(log[..3], ["a", "n", "b"], "{log:?}");
        assert!(log[3..7].contains(&"b".to_owned()), "{log:?}");
    }

    #[tokio::test]
    async fn waiting_for_the_other_side_takes_no_turn() {
        let (turns, log) = (Turns::new(1), Log::default());
        let silent = turns.clone();
        let silent = tokio::spawn(async move { silent.run(HERE, pending::<()>()).await });
        yield_now().await;
        start(&turns, &log, "other", HERE).await.unwrap();
        assert!(!silent.is_finished());
        silent.abort();
    }

    #[tokio::test]
    async fn who_leaves_leaves_the_turn_to_others() {
        let (turns, log) = (Turns::new(1), Log::default());
        let turn = turns.take(HERE).await;
        let leaving: Vec<_> = (0..5).map(|_| start(&turns, &log, "leaving", HERE)).collect();
        let staying = start(&turns, &log, "staying", HERE);
        yield_now().await;
        leaving.iter().for_each(tokio::task::JoinHandle::abort);
        yield_now().await;
        drop(turn);
        staying.await.unwrap();
        // One that is given up while it has a turn.
        let computing = start(&turns, &log, "computing", HERE);
        yield_now().await;
        computing.abort();
        let _ = computing.await;

        let waiting = turns.0.lock();
        assert_eq!(waiting.free, 1);
        assert!(waiting.queues.is_empty() && waiting.order.is_empty());
        assert_eq!(*log.lock(), ["staying", "staying", "computing"]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_more_compute_at_the_same_time_than_there_are_turns() {
        let (turns, computing) = (Turns::new(2), Arc::new(AtomicUsize::new(0)));
        let handshakes: Vec<_> = (0..64)
            .map(|_| {
                let (turns, computing) = (turns.clone(), computing.clone());
                tokio::spawn(async move {
                    let steps = async {
                        for _ in 0..4 {
                            assert!(computing.fetch_add(1, Ordering::SeqCst) < 2);
                            std::thread::yield_now();
                            computing.fetch_sub(1, Ordering::SeqCst);
                            yield_now().await;
                        }
                    };
                    turns.run(HERE, steps).await;
                })
            })
            .collect();
        for handshake in handshakes {
            handshake.await.unwrap();
        }
    }
}
