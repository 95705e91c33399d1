use super::log::Log;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// The result of a check; the error says what is wrong.
pub(super) type Check<T = ()> = Result<T, String>;

/// How long a cell may take, unless it says otherwise.
const LIMIT: Duration = Duration::from_secs(30);

/// One thing to check.
pub(super) struct Cell {
    pub(super) name: String,
    tools: &'static [&'static str],
    limit: Duration,
    check: Box<dyn FnOnce(Context) -> Running>,
}

type Running = Pin<Box<dyn Future<Output = Check<String>>>>;

/// What a cell works with.
#[derive(Clone)]
pub(super) struct Context {
    /// Where the tools of the other implementation are; empty for cells that use none.
    pub(super) tools: PathBuf,
    pub(super) log: Log,
}

/// A cell that has been dealt with.
pub(super) struct Finished {
    pub(super) name: String,
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

impl Context {
    /// Where a program is: among the tools, or on PATH.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        let among_tools = self.tools.join(name);
        match among_tools.is_file() {
            true => among_tools,
            false => on_path(name).unwrap_or(among_tools),
        }
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|place| place.join(name)).find(|place| place.is_file())
}

impl Cell {
    /// A cell that runs `check`, which needs these tools.
    pub(super) fn new<F>(
        name: impl Into<String>,
        tools: &'static [&'static str],
        check: impl FnOnce(Context) -> F + 'static,
    ) -> Self
    where
        F: Future<Output = Check<String>> + 'static,
    {
        let check = Box::new(|context| Box::pin(check(context)) as Running);
        Self { name: name.into(), tools, limit: LIMIT, check }
    }

    /// Gives the cell another time limit.
    pub(super) fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs the check. Whatever it started is gone afterwards.
    pub(super) async fn run(self, reference: Option<&Path>) -> Finished {
        let began = Instant::now();
        let Self { name, tools, limit, check } = self;
        let outcome = match missing(tools, reference) {
            Some(reason) => Outcome::Skipped(reason),
            None => {
                let log = Log::new();
                let tools = reference.unwrap_or(Path::new("")).to_owned();
                let context = Context { tools, log: log.clone() };
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
        Finished { name, outcome, took: began.elapsed() }
    }
}

/// Tools that are also taken from PATH.
const INSTALLED: &[&str] = &["zeek"];

/// Why a cell cannot run, if something that it needs is not there.
fn missing(tools: &[&str], reference: Option<&Path>) -> Option<String> {
    let is_there = |tool: &str| {
        reference.is_some_and(|reference| reference.join(tool).is_file())
            || INSTALLED.contains(&tool) && on_path(tool).is_some()
    };
    let absent: Vec<&str> = tools.iter().copied().filter(|tool| !is_there(tool)).collect();
    let list = absent.join(" and ");
    match (absent.is_empty(), reference) {
        (true, _) => None,
        (false, None) => Some(format!("needs {list}; say where with --reference DIR")),
        (false, Some(reference)) => Some(format!("{} has no {list}", reference.display())),
    }
}

/// Fails a check unless two things are the same.
pub(super) fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Check {
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

    fn reason(finished: &Finished) -> &str {
        match &finished.outcome {
            Outcome::Passed(text) | Outcome::Skipped(text) => text,
            Outcome::Failed { reason, .. } => reason,
        }
    }

    #[tokio::test]
    async fn a_cell_whose_tools_are_not_there_is_skipped_with_the_reason() {
        let cell = || Cell::new("a", &["broker-node"], async |_| Ok(String::new()));
        let finished = cell().run(None).await;
        assert!(matches!(finished.outcome, Outcome::Skipped(_)));
        assert_eq!(reason(&finished), "needs broker-node; say where with --reference DIR");
        let finished = cell().run(Some(Path::new("/nowhere"))).await;
        assert_eq!(reason(&finished), "/nowhere has no broker-node");
    }

    #[tokio::test(start_paused = true)]
    async fn a_cell_that_hangs_fails_with_its_log() {
        let cell = Cell::new("a", &[], async |context: Context| {
            context.log.note("cell", "waits");
            std::future::pending().await
        });
        let finished = cell.within(Duration::from_secs(5)).run(None).await;
        let Outcome::Failed { reason, log } = finished.outcome else { panic!("not failed") };
        assert_eq!(reason, "not done within 5 s");
        assert!(log[0].ends_with("cell: waits"));
    }
}
