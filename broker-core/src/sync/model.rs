//! Models of the primitives, with every step in the hands of the scheduler.

use std::fmt;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

pub(crate) use shuttle::sync::MutexGuard;
pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicUsize};

/// A lock without poisoning.
#[derive(Default)]
pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap()
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mutex")
    }
}

/// A shared value that is exchanged as a whole.
#[derive(Default)]
pub(crate) struct ArcSwap<T>(Mutex<Arc<T>>);

/// What a reader holds on to.
pub(crate) struct Guard<T>(T);

impl<T> ArcSwap<T> {
    pub(crate) fn load(&self) -> Guard<Arc<T>> {
        Guard(Arc::clone(&self.0.lock()))
    }

    pub(crate) fn store(&self, value: Arc<T>) {
        *self.0.lock() = value;
    }
}

impl<T> Deref for Guard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for ArcSwap<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ArcSwap")
    }
}

/// What the documentation of tokio's promises, and nothing more.
#[derive(Default)]
pub(crate) struct Notify {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    permit: bool,
    /// How often everyone was notified.
    rounds: u64,
    last: u64,
    waiters: Vec<Waiter>,
}

struct Waiter {
    number: u64,
    waker: Waker,
    notified: bool,
}

impl Notify {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn notified(&self) -> Notified<'_> {
        Notified { notify: self, round: self.state.lock().rounds, number: None }
    }

    pub(crate) fn notify_one(&self) {
        let mut state = self.state.lock();
        match state.waiters.iter_mut().find(|waiter| !waiter.notified) {
            Some(waiter) => {
                waiter.notified = true;
                let waker = waiter.waker.clone();
                drop(state);
                waker.wake();
            }
            None => state.permit = true,
        }
    }

    pub(crate) fn notify_waiters(&self) {
        let mut state = self.state.lock();
        state.rounds += 1;
        let waiters = std::mem::take(&mut state.waiters);
        // Whoever was notified alone and has not seen it takes that along.
        drop(state);
        waiters.into_iter().for_each(|waiter| waiter.waker.wake());
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notify")
    }
}

pub(crate) struct Notified<'a> {
    notify: &'a Notify,
    round: u64,
    number: Option<u64>,
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let notify = self.notify;
        let mut state = notify.state.lock();
        if state.rounds != self.round {
            self.number = None;
            return Poll::Ready(());
        }
        if let Some(number) = self.number {
            let at = state.waiters.iter().position(|waiter| waiter.number == number);
            let Some(waiter) = at.and_then(|at| state.waiters.get_mut(at)) else {
                return Poll::Ready(());
            };
            if waiter.notified {
                state.waiters.retain(|waiter| waiter.number != number);
                self.number = None;
                return Poll::Ready(());
            }
            waiter.waker = context.waker().clone();
            return Poll::Pending;
        }
        if std::mem::take(&mut state.permit) {
            return Poll::Ready(());
        }
        state.last += 1;
        let number = state.last;
        let waker = context.waker().clone();
        state.waiters.push(Waiter { number, waker, notified: false });
        self.number = Some(number);
        Poll::Pending
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let mut state = self.notify.state.lock();
        let notified = state.waiters.iter().any(|w| w.number == number && w.notified);
        state.waiters.retain(|waiter| waiter.number != number);
        drop(state);
        if notified {
            // The notification was not seen; it belongs to the next one.
            self.notify.notify_one();
        }
    }
}
