//! What an endpoint reports.

use crate::ready::Ready;
use crate::runtime::{Unforked, limit, refuse_forked, wait_in_slices};
use broker::event::{EndpointInfo, Event, StatusCode};
use broker::{EventStream, Reason};
use parking_lot::Mutex;
use pyo3::prelude::*;
use std::collections::VecDeque;
use std::task::Poll;

/// One event: what it is, the number of its code, the id of the endpoint, host, port and URL of its
/// address, the text, and the reason.
type Report =
    (&'static str, u8, Option<String>, Option<(String, u16, String)>, String, Option<&'static str>);

/// The events of an endpoint. Several threads may use it.
#[pyclass(frozen, module = "zeek_broker._zeek_broker")]
pub(crate) struct Events {
    state: Unforked<Mutex<State>>,
    ready: Ready,
    wanted: Wanted,
}

/// Which events are of interest.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) statuses: bool,
    /// Whether endpoints that come into reach are of interest, and not only peers.
    pub(crate) reachability: bool,
    pub(crate) errors: bool,
    pub(crate) logs: bool,
}

impl Wanted {
    fn includes(self, event: &Event) -> bool {
        match event {
            Event::Status(status) => {
                let is_about_a_path = matches!(
                    status.code,
                    StatusCode::EndpointDiscovered | StatusCode::EndpointUnreachable
                );
                let is_wanted = self.reachability || !is_about_a_path;
                self.statuses && is_wanted && status.client.is_none()
            }
            Event::Error(_) => self.errors,
            Event::Log(_) => self.logs,
            _ => false,
        }
    }
}

struct State {
    stream: EventStream,
    taken: VecDeque<Event>,
    ended: bool,
}

impl State {
    /// Takes over what is wanted of what has come, and makes the descriptor say whether there is
    /// something.
    fn update(&mut self, wanted: Wanted, ready: &Ready) {
        let Self { stream, taken, ended } = self;
        ready.update(|context| {
            loop {
                let poll = stream.poll_ready(context);
                match stream.try_next() {
                    Some(event) if wanted.includes(&event) => taken.push_back(event),
                    Some(_) => {}
                    None => {
                        *ended = poll.is_ready();
                        return if taken.is_empty() { poll } else { Poll::Ready(()) };
                    }
                }
            }
        });
    }
}

impl Events {
    pub(crate) fn new(stream: EventStream, wanted: Wanted) -> PyResult<Self> {
        let ready = Ready::new()?;
        let mut state = State { stream, taken: VecDeque::new(), ended: false };
        state.update(wanted, &ready);
        Ok(Self { state: Unforked::new(Mutex::new(state)), ready, wanted })
    }
}

#[pymethods]
impl Events {
    /// Up to `most` events, after waiting as `Subscriber.receive` does.
    #[pyo3(signature = (least, most, timeout=None))]
    fn receive(
        &self,
        py: Python<'_>,
        least: usize,
        most: usize,
        timeout: Option<f64>,
    ) -> PyResult<Vec<Report>> {
        refuse_forked()?;
        let enough = || {
            let mut state = self.state.lock();
            state.update(self.wanted, &self.ready);
            let enough = state.taken.len() >= least || state.ended;
            if !enough {
                // The descriptor has to wait for more, not for what is there.
                let taken = std::mem::take(&mut state.taken);
                state.update(self.wanted, &self.ready);
                let late = std::mem::replace(&mut state.taken, taken);
                state.taken.extend(late);
                return state.taken.len() >= least || state.ended;
            }
            enough
        };
        if !enough() {
            let outcome = wait_in_slices(py, limit(timeout), |slice| {
                self.ready.wait(slice);
                enough().then_some(())
            });
            self.state.lock().update(self.wanted, &self.ready);
            outcome?;
        }
        let mut state = self.state.lock();
        let most = most.min(state.taken.len());
        let reports = state.taken.drain(..most).map(|event| report(&event)).collect();
        state.update(self.wanted, &self.ready);
        Ok(reports)
    }

    /// How many events are there.
    #[getter]
    fn pending(&self) -> PyResult<usize> {
        refuse_forked()?;
        let mut state = self.state.lock();
        state.update(self.wanted, &self.ready);
        Ok(state.taken.len())
    }

    /// How many events were lost because nobody took them.
    #[getter]
    fn missed(&self) -> PyResult<u64> {
        refuse_forked()?;
        Ok(self.state.lock().stream.missed())
    }

    /// Whether nothing is there, and nothing will come any more.
    #[getter]
    fn ended(&self) -> PyResult<bool> {
        refuse_forked()?;
        let mut state = self.state.lock();
        state.update(self.wanted, &self.ready);
        Ok(state.ended && state.taken.is_empty())
    }

    /// Readable while there is something to take, or the end to be seen.
    fn fileno(&self) -> i32 {
        self.ready.fileno()
    }
}

fn report(event: &Event) -> Report {
    let (kind, code, reason) = match event {
        Event::Status(status) => (status.code.event_name(), 0, None),
        Event::Error(error) => ("error", error.code.number(), error.reason.map(Reason::name)),
        Event::Log(log) => (log.level.name(), 0, log.reason.map(Reason::name)),
        // Not wanted.
        _ => ("other", 0, None),
    };
    let id = event.endpoint().map(|endpoint| endpoint.id.to_string());
    let network = event.endpoint().and_then(network);
    (kind, code, id, network, event.message().to_owned(), reason)
}

fn network(endpoint: &EndpointInfo) -> Option<(String, u16, String)> {
    let url = &endpoint.network.as_ref()?.url;
    Some((url.host().to_owned(), url.port(), url.to_string()))
}
