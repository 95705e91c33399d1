//! Receiving messages from threads and event loops.

use crate::message::{Message, topic};
use crate::ready::Ready;
use crate::runtime::{Unforked, limit, refuse_forked, wait_in_slices};
use crate::values::{self, Flavor};
use parking_lot::Mutex;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use std::collections::VecDeque;
use std::task::Poll;

/// Receives messages. Several threads may use it.
#[pyclass(frozen, module = "zeek_broker._zeek_broker")]
pub(crate) struct Subscriber {
    state: Unforked<Mutex<State>>,
    ready: Ready,
}

struct State {
    /// Gone when it has been closed.
    subscriber: Option<broker::Subscriber>,
    /// Messages that were taken from the queue by somebody who waited for more of them.
    taken: VecDeque<broker::Message>,
    dropped: u64,
    ended: bool,
}

impl State {
    fn len(&self) -> usize {
        self.taken.len() + self.subscriber.as_ref().map_or(0, broker::Subscriber::len)
    }

    fn next(&mut self) -> Option<broker::Message> {
        self.taken.pop_front().or_else(|| self.next_queued())
    }

    fn next_queued(&mut self) -> Option<broker::Message> {
        self.subscriber.as_mut()?.try_recv().ok()
    }

    /// Makes the descriptor say whether there is something: a message, or the end.
    fn update(&mut self, ready: &Ready) {
        ready.update(|context| {
            if !self.taken.is_empty() {
                return Poll::Ready(());
            }
            let Some(subscriber) = &mut self.subscriber else {
                self.ended = true;
                return Poll::Ready(());
            };
            let poll = subscriber.poll_ready(context);
            self.ended = poll.is_ready() && subscriber.is_empty();
            poll
        });
    }
}

impl Subscriber {
    pub(crate) fn new(subscriber: broker::Subscriber) -> PyResult<Self> {
        let ready = Ready::new()?;
        let mut state = State {
            subscriber: Some(subscriber),
            taken: VecDeque::new(),
            dropped: 0,
            ended: false,
        };
        state.update(&ready);
        Ok(Self { state: Unforked::new(Mutex::new(state)), ready })
    }

    /// Waits until there are `least` messages, or nothing more comes, or the time is over.
    fn wait_for(&self, py: Python<'_>, least: usize, timeout: Option<f64>) -> PyResult<()> {
        let enough = || {
            let mut state = self.state.lock();
            if state.taken.len() < least {
                // What is in the queue would keep the descriptor readable.
                while state.taken.len() < least
                    && let Some(message) = state.next_queued()
                {
                    state.taken.push_back(message);
                }
            }
            if state.taken.len() >= least {
                return true;
            }
            let taken = std::mem::take(&mut state.taken);
            state.update(&self.ready);
            state.taken = taken;
            state.ended
        };
        if least == 0 || enough() {
            return Ok(());
        }
        let outcome = wait_in_slices(py, limit(timeout), |slice| {
            self.ready.wait(slice);
            enough().then_some(())
        });
        self.state.lock().update(&self.ready);
        outcome.map(drop)
    }
}

#[pymethods]
impl Subscriber {
    /// Up to `most` messages, after waiting until there are `least`, the time is over or the
    /// endpoint has shut down. The interpreter's lock is free while it waits, and handlers of
    /// signals run; when one raises an exception no message is lost.
    #[pyo3(signature = (least, most, timeout=None))]
    fn receive(
        &self,
        py: Python<'_>,
        least: usize,
        most: usize,
        timeout: Option<f64>,
    ) -> PyResult<Vec<Message>> {
        refuse_forked()?;
        self.wait_for(py, least.min(most), timeout)?;
        let mut state = self.state.lock();
        let messages = std::iter::from_fn(|| state.next()).take(most).map(Message::new).collect();
        state.update(&self.ready);
        Ok(messages)
    }

    /// As `receive`, as pairs of topic and value. A message that has no such form raises an
    /// exception and is gone; those before it stay.
    #[pyo3(signature = (least, most, timeout, flavor))]
    fn receive_pairs<'py>(
        &self,
        py: Python<'py>,
        least: usize,
        most: usize,
        timeout: Option<f64>,
        flavor: u8,
    ) -> PyResult<Bound<'py, PyList>> {
        refuse_forked()?;
        let flavor = Flavor::from_number(flavor)?;
        self.wait_for(py, least.min(most), timeout)?;
        let (mut taken, list) = (Vec::new(), PyList::empty(py));
        let mut outcome = Ok(());
        while list.len() < most {
            // Decoding may run Python, so not under the lock.
            let Some(message) = self.state.lock().next() else { break };
            match pair(py, &message, flavor) {
                Ok(pair) => list.append(pair)?,
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
            taken.push(message);
        }
        let mut state = self.state.lock();
        if outcome.is_err() {
            taken.into_iter().rev().for_each(|message| state.taken.push_front(message));
        }
        state.update(&self.ready);
        outcome.map(|()| list)
    }

    /// How many messages are there.
    #[getter]
    fn pending(&self) -> PyResult<usize> {
        refuse_forked()?;
        Ok(self.state.lock().len())
    }

    /// How many messages were dropped because this was too slow.
    #[getter]
    fn dropped(&self) -> PyResult<u64> {
        refuse_forked()?;
        let state = self.state.lock();
        Ok(state.subscriber.as_ref().map_or(state.dropped, broker::Subscriber::dropped))
    }

    /// Whether nothing is there, and nothing will come any more.
    #[getter]
    fn ended(&self) -> PyResult<bool> {
        refuse_forked()?;
        let mut state = self.state.lock();
        state.update(&self.ready);
        Ok(state.ended)
    }

    /// Readable while there is something to receive, or the end to be seen.
    fn fileno(&self) -> i32 {
        self.ready.fileno()
    }

    /// Receives these topics as well.
    fn add(&self, topics: Vec<Vec<u8>>) -> PyResult<()> {
        refuse_forked()?;
        match &mut self.state.lock().subscriber {
            Some(subscriber) => subscriber.add(topics).map_err(refused),
            None => Ok(()),
        }
    }

    /// No longer receives these topics.
    fn remove(&self, topics: Vec<Vec<u8>>) -> PyResult<()> {
        refuse_forked()?;
        if let Some(subscriber) = &mut self.state.lock().subscriber {
            subscriber.remove(topics);
        }
        Ok(())
    }

    /// Takes the subscriptions back. What has not been received is gone.
    fn close(&self) -> PyResult<()> {
        refuse_forked()?;
        let mut state = self.state.lock();
        let subscriber = state.subscriber.take();
        state.dropped = subscriber.as_ref().map_or(state.dropped, broker::Subscriber::dropped);
        state.taken.clear();
        state.update(&self.ready);
        drop(state);
        drop(subscriber);
        Ok(())
    }
}

fn pair<'py>(
    py: Python<'py>,
    message: &broker::Message,
    flavor: Flavor,
) -> PyResult<Bound<'py, PyTuple>> {
    let value = values::decode(py, message.view(), flavor)?;
    PyTuple::new(py, [topic(py, message)?.into_any(), value])
}

pub(crate) fn refused(error: impl ToString) -> PyErr {
    PyValueError::new_err(error.to_string())
}
