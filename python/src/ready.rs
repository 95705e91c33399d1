//! The descriptor that loops watch, and that threads wait for.

use broker::ReadyFd;
use pyo3::prelude::*;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::fd::AsRawFd;
use std::task::{Context, Poll};
use std::time::Duration;

/// Readable while there is something to take.
#[derive(Clone)]
pub(crate) struct Ready(ReadyFd);

impl Ready {
    pub(crate) fn new() -> PyResult<Self> {
        Ok(Self(ReadyFd::new()?))
    }

    pub(crate) fn fileno(&self) -> i32 {
        self.0.as_raw_fd()
    }

    pub(crate) fn set(&self) {
        self.0.set();
    }

    pub(crate) fn update(&self, poll: impl FnMut(&mut Context<'_>) -> Poll<()>) {
        self.0.update(poll);
    }

    /// Waits until it is readable, that long at most. May return earlier.
    pub(crate) fn wait(&self, time: Duration) {
        let Ok(time) = Timespec::try_from(time) else { return };
        // Interrupted by a signal or not: whoever waits looks again.
        let _ = poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&time));
    }
}
