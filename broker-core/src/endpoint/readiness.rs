//! Waiting for messages and events outside of tokio: threads that sleep, loops that watch
//! descriptors.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

#[cfg(unix)]
pub use descriptor::ReadyFd;

/// Polls on this thread, which sleeps in between, until there is an answer; `None` when there is
/// none within `timeout`.
pub(super) fn poll_on_thread<T>(
    timeout: Option<Duration>,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Option<T> {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    // A time that is too far away to be told is none.
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        if let Poll::Ready(answer) = poll(&mut context) {
            return Some(answer);
        }
        match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
            Some(Duration::ZERO) => return None,
            Some(left) => std::thread::park_timeout(left),
            None => std::thread::park(),
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(unix)]
mod descriptor {
    use parking_lot::Mutex;
    use std::io::{self, Read, Write};
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;
    use std::task::{Context, Poll, Wake, Waker};

    /// A descriptor that is readable while there is something to receive, for loops around
    /// `select`, `poll` and the like. Only look at it: what can be read from it means nothing.
    ///
    /// Whoever receives calls [`Self::update`] afterwards, as between two calls the descriptor only
    /// becomes readable. It costs a system call when the first message arrives and one when the
    /// last is received, and none in between.
    ///
    /// ```no_run
    /// # fn main() -> std::io::Result<()> {
    /// # let mut subscriber: broker_core::endpoint::Subscriber = todo!();
    /// use broker_core::endpoint::ReadyFd;
    ///
    /// let ready = ReadyFd::new()?;
    /// ready.update(|context| subscriber.poll_ready(context));
    /// // Whenever a loop finds `ready` readable:
    /// let _message = subscriber.try_recv();
    /// ready.update(|context| subscriber.poll_ready(context));
    /// # Ok(())
    /// # }
    /// ```
    #[derive(Debug, Clone)]
    pub struct ReadyFd {
        pair: Arc<Pair>,
        waker: Waker,
    }

    #[derive(Debug)]
    struct Pair {
        readable: UnixStream,
        writable: UnixStream,
        /// Whether there is a byte to read.
        is_set: Mutex<bool>,
    }

    impl ReadyFd {
        /// A descriptor that is not readable.
        ///
        /// # Errors
        ///
        /// The process has no descriptors left; this takes two.
        pub fn new() -> io::Result<Self> {
            let (readable, writable) = UnixStream::pair()?;
            readable.set_nonblocking(true)?;
            writable.set_nonblocking(true)?;
            let pair = Arc::new(Pair { readable, writable, is_set: Mutex::new(false) });
            Ok(Self { waker: Waker::from(Arc::clone(&pair)), pair })
        }

        /// Makes the descriptor say what `poll` says, and become readable when `poll` wants to be
        /// called again. `poll` is called once or twice.
        pub fn update(&self, mut poll: impl FnMut(&mut Context<'_>) -> Poll<()>) {
            let mut context = Context::from_waker(&self.waker);
            let mut answer = poll(&mut context);
            if answer.is_pending() && self.pair.clear() {
                // What has happened before the descriptor was cleared would be missed.
                answer = poll(&mut context);
            }
            if answer.is_ready() {
                self.pair.set();
            }
        }

        /// Makes the descriptor readable.
        pub fn set(&self) {
            self.pair.set();
        }
    }

    impl AsFd for ReadyFd {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.pair.readable.as_fd()
        }
    }

    impl AsRawFd for ReadyFd {
        fn as_raw_fd(&self) -> RawFd {
            self.pair.readable.as_raw_fd()
        }
    }

    impl Pair {
        fn set(&self) {
            let mut is_set = self.is_set.lock();
            if !*is_set {
                // There is room for a byte where there is none.
                *is_set = (&self.writable).write(&[0]).is_ok();
            }
        }

        /// Returns whether it was set.
        fn clear(&self) -> bool {
            let mut is_set = self.is_set.lock();
            let was_set = *is_set;
            if was_set {
                *is_set = (&self.readable).read(&mut [0]).is_err();
            }
            was_set
        }
    }

    impl Wake for Pair {
        fn wake(self: Arc<Self>) {
            self.set();
        }

        fn wake_by_ref(self: &Arc<Self>) {
            self.set();
        }
    }
}
