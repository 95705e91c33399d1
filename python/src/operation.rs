//! Things that take their time: waited for by threads, or by an event loop.

use crate::fault::Fault;
use crate::ready::Ready;
use crate::runtime::{limit, runtime, wait_in_slices};
use parking_lot::{Condvar, Mutex};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyTimeoutError;
use pyo3::prelude::*;
use std::sync::Arc;
use std::task::Poll;
use tokio::task::AbortHandle;

/// What an operation brings.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Nothing,
    Bool(bool),
    Text(String),
    Seconds(f64),
}

impl Outcome {
    fn to_python(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self {
            Self::Nothing => Ok(py.None()),
            Self::Bool(answer) => answer.into_py_any(py),
            Self::Text(text) => text.into_py_any(py),
            Self::Seconds(seconds) => seconds.into_py_any(py),
        }
    }
}

type Result = std::result::Result<Outcome, Fault>;

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    done: Condvar,
}

#[derive(Default)]
struct State {
    result: Option<Result>,
    observers: Vec<(Arc<Finished>, u64)>,
}

impl Shared {
    fn finish(&self, result: Result) {
        let mut state = self.state.lock();
        if state.result.is_none() {
            state.result = Some(result);
            for (finished, token) in state.observers.drain(..) {
                finished.push(token);
            }
            self.done.notify_all();
        }
    }
}

/// Makes sure that an operation ends with its task, however that ends.
struct Finisher(Arc<Shared>);

impl Drop for Finisher {
    fn drop(&mut self) {
        self.0.finish(Err(Fault::closed("the operation was given up")));
    }
}

/// Something that runs in the background until it is done.
#[pyclass(frozen, module = "zeek_broker._zeek_broker")]
pub(crate) struct Operation {
    shared: Arc<Shared>,
    task: AbortHandle,
}

impl Operation {
    pub(crate) fn start<F>(future: F) -> PyResult<Self>
    where
        F: Future<Output = Result> + Send + 'static,
    {
        let shared = Arc::<Shared>::default();
        let finisher = Finisher(Arc::clone(&shared));
        let task = runtime()?.spawn(async move { finisher.0.finish(future.await) });
        Ok(Self { shared, task: task.abort_handle() })
    }
}

#[pymethods]
impl Operation {
    /// Whether there is a result.
    #[getter]
    fn done(&self) -> bool {
        self.shared.state.lock().result.is_some()
    }

    /// The result, or its exception; waits for it. TimeoutError if that takes longer than allowed.
    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Py<PyAny>> {
        let shared = &self.shared;
        let result = wait_in_slices(py, limit(timeout), |slice| {
            let mut state = shared.state.lock();
            if state.result.is_none() {
                shared.done.wait_for(&mut state, slice);
            }
            state.result.clone()
        })?;
        match result {
            Some(Ok(outcome)) => outcome.to_python(py),
            Some(Err(fault)) => Err(fault.raise(py)),
            None => Err(PyTimeoutError::new_err("not done in time")),
        }
    }

    /// Tells `completions` the token as soon as there is a result.
    fn notify(&self, completions: &Completions, token: u64) {
        let mut state = self.shared.state.lock();
        match state.result {
            Some(_) => completions.finished.push(token),
            None => state.observers.push((Arc::clone(&completions.finished), token)),
        }
    }

    /// Gives it up, if it is not done.
    fn cancel(&self) {
        self.task.abort();
    }
}

struct Finished {
    tokens: Mutex<Vec<u64>>,
    ready: Ready,
}

impl Finished {
    fn push(&self, token: u64) {
        self.tokens.lock().push(token);
        self.ready.set();
    }
}

/// Tells an event loop which of its operations are done, by a descriptor.
#[pyclass(frozen, module = "zeek_broker._zeek_broker")]
pub(crate) struct Completions {
    finished: Arc<Finished>,
}

#[pymethods]
impl Completions {
    #[new]
    fn new() -> PyResult<Self> {
        let finished = Finished { tokens: Mutex::default(), ready: Ready::new()? };
        Ok(Self { finished: Arc::new(finished) })
    }

    /// Readable while there is something to take.
    fn fileno(&self) -> i32 {
        self.finished.ready.fileno()
    }

    /// The tokens of the operations that are done and have not been taken.
    fn take(&self) -> Vec<u64> {
        let tokens = std::mem::take(&mut *self.finished.tokens.lock());
        self.finished.ready.update(|_| match self.finished.tokens.lock().is_empty() {
            true => Poll::Pending,
            false => Poll::Ready(()),
        });
        tokens
    }
}
