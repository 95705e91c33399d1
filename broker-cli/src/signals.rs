//! The signals that end a command, and the one that makes a service look at its files again.

use crate::failure::Failure;
use std::io;

/// A request to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// The regular end of a service.
    Terminate,
}

#[cfg(unix)]
mod listening {
    use super::{Signal, io};
    use tokio::signal::unix::{self, SignalKind};

    /// Receives SIGHUP once [`Self::listen`] has been called; until then it ends the process, as
    /// ever.
    #[derive(Default)]
    pub(crate) struct Hangups(Option<unix::Signal>);

    impl Hangups {
        pub(crate) fn listen(&mut self) -> io::Result<()> {
            self.0 = Some(unix::signal(SignalKind::hangup())?);
            Ok(())
        }

        /// Waits for the next one. Cancel safe.
        pub(crate) async fn next(&mut self) {
            match &mut self.0 {
                Some(signal) => drop(signal.recv().await),
                None => std::future::pending().await,
            }
        }
    }

    /// Receives the signals from its creation on.
    pub(crate) struct Signals {
        interrupt: unix::Signal,
        terminate: unix::Signal,
    }

    impl Signals {
        pub(crate) fn new() -> io::Result<Self> {
            Ok(Self {
                interrupt: unix::signal(SignalKind::interrupt())?,
                terminate: unix::signal(SignalKind::terminate())?,
            })
        }

        /// Waits for the next signal. Cancel safe.
        pub(crate) async fn next(&mut self) -> Signal {
            tokio::select! {
                _ = self.interrupt.recv() => Signal::Interrupt,
                _ = self.terminate.recv() => Signal::Terminate,
            }
        }
    }
}

#[cfg(not(unix))]
mod listening {
    use super::{Signal, io};

    /// There is no such signal.
    #[derive(Default)]
    pub(crate) struct Hangups;

    impl Hangups {
        pub(crate) fn listen(&mut self) -> io::Result<()> {
            Ok(())
        }

        pub(crate) async fn next(&mut self) {
            std::future::pending().await
        }
    }

    /// Receives the signals while [`Self::next`] is awaited.
    pub(crate) struct Signals;

    impl Signals {
        pub(crate) fn new() -> io::Result<Self> {
            Ok(Self)
        }

        /// Waits for the next signal. Cancel safe.
        pub(crate) async fn next(&mut self) -> Signal {
            match tokio::signal::ctrl_c().await {
                Ok(()) => Signal::Interrupt,
                Err(_) => std::future::pending().await,
            }
        }
    }
}

pub(crate) use listening::{Hangups, Signals};

/// Runs `work` until it is done or a signal comes.
///
/// # Errors
///
/// A signal came first.
pub(crate) async fn unless_interrupted<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let mut signals = Signals::new()
        .map_err(|error| Failure::other(format!("cannot wait for signals: {error}")))?;
    tokio::select! {
        done = work => Ok(done),
        _ = signals.next() => Err(Failure::interrupted()),
    }
}
