//! The one tokio runtime of the process, and waiting for it from Python.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use std::ops::Deref;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::thread::ThreadId;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

/// How long a signal may have to wait for its handler.
const SLICE: Duration = Duration::from_millis(100);

/// More threads do not help, as what they deliver has to wait for the interpreter anyway.
const WORKERS: usize = 4;

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// Set in a child process whose parent had the runtime: its threads are not there any more, and its
/// locks may be held by them forever.
static FORKED: AtomicBool = AtomicBool::new(false);

/// The runtime, which starts at the first use.
pub(crate) fn runtime() -> PyResult<&'static Runtime> {
    refuse_forked()?;
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = Builder::new_multi_thread()
        .worker_threads(cores.min(WORKERS))
        .thread_name("zeek-broker")
        .enable_all()
        .build()?;
    // The interpreter's lock is held, so nobody else is here.
    Ok(RUNTIME.get_or_init(|| runtime))
}

/// Fails in a process that was forked off one with endpoints.
pub(crate) fn refuse_forked() -> PyResult<()> {
    if FORKED.load(Relaxed) {
        return Err(PyRuntimeError::new_err(
            "this process was forked from one that uses zeek_broker, and endpoints do not survive \
             that: make endpoints after the fork only, or start processes by 'spawn' \
             (multiprocessing.set_start_method)",
        ));
    }
    Ok(())
}

/// To be called in the child after a fork.
#[pyfunction]
pub(crate) fn after_fork_in_child() {
    if RUNTIME.get().is_some() {
        FORKED.store(true, Relaxed);
    }
}

/// Set when the interpreter ends, to the thread that ends it. A thread that asked for the
/// interpreter's lock after that would be ended by force, in the middle of Rust code.
static ENDING: OnceLock<ThreadId> = OnceLock::new();

/// Threads that wait without the interpreter's lock, or to have it back.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// To be called when the interpreter begins to end: takes care that no other thread comes back from
/// a wait.
#[pyfunction]
pub(crate) fn end_waits(py: Python<'_>) {
    let _ = ENDING.set(std::thread::current().id());
    py.detach(|| {
        let deadline = Instant::now() + 10 * SLICE;
        while WAITING.load(SeqCst) > 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
}

/// Runs something without the interpreter's lock.
fn without_lock<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> T {
    WAITING.fetch_add(1, SeqCst);
    let result = py.detach(|| {
        let result = work();
        if ENDING.get().is_some_and(|thread| *thread != std::thread::current().id()) {
            WAITING.fetch_sub(1, SeqCst);
            loop {
                std::thread::park();
            }
        }
        result
    });
    WAITING.fetch_sub(1, SeqCst);
    result
}

/// Something whose destructor must not run in a forked child, where it could wait forever.
pub(crate) struct Unforked<T>(Option<T>);

impl<T> Unforked<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Some(value))
    }
}

impl<T> Deref for Unforked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // It is only taken out when this is dropped.
        self.0.as_ref().unwrap_or_else(|| unreachable!())
    }
}

impl<T> Drop for Unforked<T> {
    fn drop(&mut self) {
        if FORKED.load(Relaxed) {
            std::mem::forget(self.0.take());
        }
    }
}

/// A time limit from Python: seconds, `None` for no limit. Negative ones and NaN count as zero.
pub(crate) fn limit(seconds: Option<f64>) -> Option<Duration> {
    let seconds = seconds?;
    if seconds > 0.0 {
        // What is too large for a duration is no limit.
        Duration::try_from_secs_f64(seconds).ok()
    } else {
        Some(Duration::ZERO)
    }
}

/// Calls `wait` without the interpreter's lock, with the time it may take, until it returns
/// something or `limit` is over. In between handlers of signals run, whose exceptions end this.
pub(crate) fn wait_in_slices<T: Send>(
    py: Python<'_>,
    limit: Option<Duration>,
    mut wait: impl FnMut(Duration) -> Option<T> + Send,
) -> PyResult<Option<T>> {
    let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    loop {
        refuse_forked()?;
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let slice = left.map_or(SLICE, |left| left.min(SLICE));
        if let Some(result) = without_lock(py, || wait(slice)) {
            return Ok(Some(result));
        }
        py.check_signals()?;
        if left.is_some_and(|left| left <= slice) {
            return Ok(None);
        }
    }
}
