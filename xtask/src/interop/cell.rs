use super::log::Log;
use super::needs::{Need, Places};
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// The result of a check; the error says what is wrong.
pub(super) type Check<T = ()> = Result<T, String>;

/// How long a cell may take, unless it says otherwise.
const LIMIT: Duration = Duration::from_secs(30);

/// How the two sides talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Nothing goes over a network.
    Recorded,
    /// TCP without encryption.
    Plain,
    /// TLS 1.2 without certificates, or TLS 1.3 where both sides have it: nobody is authenticated.
    Anonymous,
    Certificates,
    WebSocket,
    Quic,
    ZeroMq,
}

impl Mode {
    /// The scheme of addresses.
    pub(super) fn scheme(self) -> &'static str {
        match self {
            Self::Recorded | Self::Plain => "tcp",
            Self::Anonymous | Self::Certificates => "tls",
            Self::WebSocket => "ws",
            Self::Quic => "quic",
            Self::ZeroMq => "zeromq",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Recorded => "recorded",
            Self::Plain => "plain",
            Self::Anonymous => "anonymous TLS",
            Self::Certificates => "certificates",
            Self::WebSocket => "WebSocket",
            Self::Quic => "QUIC",
            Self::ZeroMq => "ZeroMQ",
        })
    }
}

/// Which side opens the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dials {
    Nobody,
    We,
    They,
    /// One connection each.
    Both,
}

impl fmt::Display for Dials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nobody => "nobody",
            Self::We => "we",
            Self::They => "they",
            Self::Both => "both",
        })
    }
}

/// One thing to check with one peer.
#[derive(Clone)]
pub(super) struct Cell {
    pub(super) peer: &'static str,
    pub(super) mode: Mode,
    pub(super) dials: Dials,
    /// What is exercised.
    pub(super) what: String,
    needs: &'static [Need],
    limit: Duration,
    check: Rc<dyn Fn(Context) -> Running>,
}

type Running = Pin<Box<dyn Future<Output = Check<String>>>>;

/// What a cell works with.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) mode: Mode,
    pub(super) dials: Dials,
    pub(super) places: Arc<Places>,
    pub(super) log: Log,
}

/// A cell that has been dealt with.
pub(super) struct Finished {
    pub(super) peer: &'static str,
    pub(super) mode: Mode,
    pub(super) dials: Dials,
    pub(super) what: String,
    pub(super) outcome: Outcome,
    pub(super) took: Duration,
}

pub(super) enum Outcome {
    /// With a word on what was checked.
    Passed(String),
    Failed {
        reason: String,
        log: Vec<String>,
    },
    Skipped(String),
}

impl Cell {
    /// A cell that runs `check`, in which the other side dials without encryption unless
    /// [`Self::variants`] says otherwise.
    pub(super) fn new<F>(
        peer: &'static str,
        what: impl Into<String>,
        needs: &'static [Need],
        check: impl Fn(Context) -> F + 'static,
    ) -> Self
    where
        F: Future<Output = Check<String>> + 'static,
    {
        Self {
            peer,
            mode: Mode::Plain,
            dials: Dials::They,
            what: what.into(),
            needs,
            limit: LIMIT,
            check: Rc::new(move |context| Box::pin(check(context))),
        }
    }

    /// Gives the cell another time limit.
    pub(super) fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The same in each of these modes, with each of these dialling.
    pub(super) fn variants(self, modes: &[Mode], dials: &[Dials]) -> Vec<Self> {
        let in_mode = |mode: &Mode| {
            let (mode, cell) = (*mode, self.clone());
            dials.iter().map(move |dials| Self { mode, dials: *dials, ..cell.clone() })
        };
        modes.iter().flat_map(in_mode).collect()
    }

    /// Whether the program of this repository is all that it lacks.
    pub(super) fn wants_cli(&self, places: &Places) -> bool {
        let others: Vec<Need> =
            self.needs.iter().copied().filter(|need| *need != Need::Cli).collect();
        self.needs.contains(&Need::Cli) && places.missing(&others).is_none()
    }

    /// All that tells it from the others.
    pub(super) fn name(&self) -> String {
        format!("{}, {}, {} dial: {}", self.peer, self.mode, self.dials, self.what)
    }

    /// Runs the check. Whatever it started is gone afterwards.
    pub(super) async fn run(self, places: &Arc<Places>) -> Finished {
        let began = Instant::now();
        let Self { peer, mode, dials, what, needs, limit, check } = self;
        let outcome = match places.missing(needs) {
            Some(reason) => Outcome::Skipped(reason),
            None => {
                let log = Log::new();
                let context = Context { mode, dials, places: places.clone(), log: log.clone() };
                let reason = match timeout(limit, check(context)).await {
                    Ok(Ok(detail)) => Ok(detail),
                    Ok(Err(reason)) => Err(reason),
                    Err(_) => Err(format!("not done within {} s", limit.as_secs())),
                };
                match reason {
                    Ok(detail) => Outcome::Passed(detail),
                    Err(reason) => Outcome::Failed { reason, log: log.lines() },
                }
            }
        };
        Finished { peer, mode, dials, what, outcome, took: began.elapsed() }
    }
}

/// Fails a check unless two things are the same.
pub(super) fn same<T: PartialEq + fmt::Debug>(what: &str, found: &T, expected: &T) -> Check {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what} is {found:?}, should be {expected:?}"))
}

/// Fails a check unless something holds.
pub(super) fn ensure(holds: bool, otherwise: impl Into<String>) -> Check {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_cell_whose_needs_are_not_there_is_skipped_with_the_reason() {
        let cell = Cell::new("a", "b", &[Need::Tool("broker-node")], async |_| Ok(String::new()));
        let finished = cell.run(&Arc::default()).await;
        let Outcome::Skipped(reason) = finished.outcome else { panic!("not skipped") };
        assert_eq!(reason, "no broker-node: say where with --reference DIR");
    }

    #[tokio::test(start_paused = true)]
    async fn a_cell_that_hangs_fails_with_its_log() {
        let cell = Cell::new("a", "b", &[], async |context: Context| {
            context.log.note("cell", "waits");
            std::future::pending().await
        });
        let finished = cell.within(Duration::from_secs(5)).run(&Arc::default()).await;
        let Outcome::Failed { reason, log } = finished.outcome else { panic!("not failed") };
        assert_eq!(reason, "not done within 5 s");
        assert!(log[0].ends_with("cell: waits"));
    }

    #[test]
    fn the_variants_of_a_cell_have_names_of_their_own() {
        let cell = Cell::new("a", "b", &[], async |_| Ok(String::new()));
        let cells = cell.variants(&[Mode::Plain, Mode::Quic], &[Dials::We, Dials::They]);
        let names: std::collections::BTreeSet<String> = cells.iter().map(Cell::name).collect();
        assert_eq!(names.len(), 4);
        assert!(names.contains("a, QUIC, we dial: b"));
    }
}
