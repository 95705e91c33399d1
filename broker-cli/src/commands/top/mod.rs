//! A full screen about running nodes.

mod model;
mod screen;
mod terminal;
#[cfg(test)]
mod tests;

use crate::failure::{Exit, Failure};
use crate::http::{self, DEFAULT, HttpAddress, Status, WindowReport};
use crate::options::seconds;
use crate::output::{Format, Need, Output};
use crate::signals::Signals;
use clap::Args;
use model::{Model, Order};
use std::io::IsTerminal;
use std::time::Duration;
use terminal::{Key, Stops, Terminal};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

/// A node counts topics for some seconds after it has been asked, so it is asked this often.
const ATTENTION: Duration = Duration::from_secs(3);

/// Watch running nodes on a full screen
///
/// Peers and clients with their rates, drops and queues, which topics carry the load, and what
/// happens. The nodes have to run with --http; one that does not answer is said to be missing, and
/// asked again. Topics are those that a node forwards, counted in a sample while this runs.
///
/// Keys: r, d, a and n sort by rate, drops, age of the queue and name; arrows and page keys
/// scroll, p pauses, q ends. Needs a terminal, but for --once. Ends with 0, with 3 if it was asked
/// --once and no node could be reached.
#[derive(Args)]
pub(crate) struct Top {
    /// Where a node tells about itself: what it was given with --http [default: 127.0.0.1:9990]
    #[arg(value_name = "ADDR")]
    nodes: Vec<HttpAddress>,

    /// The same, as other commands have it; may be repeated
    #[arg(long, value_name = "ADDR")]
    http: Vec<HttpAddress>,

    /// Ask again after this time [default: 1]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    interval: Option<Duration>,

    /// What is on top: rate, drops, age (of the oldest waiting message) or name
    #[arg(long, value_name = "ORDER", value_enum, default_value = "rate")]
    sort: Order,

    /// Ask twice, with the interval between, print one table and end
    #[arg(long)]
    once: bool,
}

/// What a node said when it was asked, or why it did not.
struct Answer {
    status: Result<Status, Failure>,
    window: Option<WindowReport>,
}

impl Answer {
    /// Asks a node, for what has happened after this number as well.
    async fn of(node: &HttpAddress, happened: u64) -> Self {
        let (status, window) = tokio::join!(http::status(node), http::window(node, happened));
        // Nodes of other versions may have no window.
        let mut window = window.ok();
        if window.as_ref().is_some_and(|window| window.happened_last < happened) {
            // It has been started again, and counts anew.
            window = http::window(node, 0).await.ok();
        }
        Self { status, window }
    }
}

impl Top {
    pub(crate) async fn run(mut self) -> Result<(), Failure> {
        let mut nodes = std::mem::take(&mut self.nodes);
        nodes.append(&mut self.http);
        if nodes.is_empty() {
            nodes.push(DEFAULT.parse().map_err(Failure::usage)?);
        }
        let interval = self.interval.unwrap_or(Duration::from_secs(1));
        let mut model = Model::new(&nodes, self.sort);
        if self.once {
            return crate::signals::unless_interrupted(once(&nodes, interval, &mut model)).await?;
        }
        if !std::io::stdout().is_terminal() {
            let text = "standard output is no terminal; use --once for one table, or stats";
            return Err(Failure::usage(text));
        }
        let failed = |error: std::io::Error| Failure::other(format!("the terminal: {error}"));
        let signals = Signals::new().map_err(failed)?;
        let stops = Stops::new().map_err(failed)?;
        let mut terminal = Terminal::enter().map_err(failed)?;
        let ended = watch(&nodes, interval, &mut model, (signals, stops), &mut terminal).await;
        terminal.leave();
        ended
    }
}

/// One table, of two answers of each node.
async fn once(nodes: &[HttpAddress], interval: Duration, model: &mut Model) -> Result<(), Failure> {
    let mut failure = None;
    for round in 0..2 {
        if round > 0 {
            attend_until(nodes, Instant::now() + interval).await;
        }
        let mut asked = tokio::task::JoinSet::new();
        for (at, node) in nodes.iter().cloned().enumerate() {
            let happened = model.happened(at);
            asked.spawn(async move { (at, Answer::of(&node, happened).await) });
        }
        for (at, answer) in asked.join_all().await {
            if let Err(error) = &answer.status {
                failure = Some(error.clone());
            }
            model.take(at, answer);
        }
    }
    if let Some(failure) = failure.filter(|_| !model.has_answers()) {
        return Err(match nodes.len() {
            1 => failure,
            _ => Failure::new(Exit::CannotConnect, format!("no node answers: {failure}")),
        });
    }
    let mut out = Output::new(Format::Text, Need::Output)?;
    out.text(model.table().to_string().as_bytes());
    out.flush().await
}

/// Waits, and keeps nodes counting topics if that is for long.
async fn attend_until(nodes: &[HttpAddress], end: Instant) {
    loop {
        sleep_until(end.min(Instant::now() + ATTENTION)).await;
        if Instant::now() >= end {
            return;
        }
        for node in nodes {
            // Whoever does not answer is seen at the next round.
            let _ = http::window(node, u64::MAX).await;
        }
    }
}

/// Asks a node again and again for as long as somebody wants the answers.
async fn ask(
    at: usize,
    node: HttpAddress,
    pause: Duration,
    answers: mpsc::Sender<(usize, Answer)>,
) {
    let mut happened = 0;
    loop {
        let begun = Instant::now();
        let answer = Answer::of(&node, happened).await;
        if let Some(window) = &answer.window {
            happened = window.happened_last;
        }
        if answers.send((at, answer)).await.is_err() {
            return;
        }
        attend_until(std::slice::from_ref(&node), begun + pause).await;
    }
}

/// Shows the nodes until a key or a signal ends it.
async fn watch(
    nodes: &[HttpAddress],
    pause: Duration,
    model: &mut Model,
    (mut signals, mut stops): (Signals, Stops),
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::output(&error);
    let (sender, mut answers) = mpsc::channel(16);
    for (at, node) in nodes.iter().cloned().enumerate() {
        tokio::spawn(ask(at, node, pause, sender.clone()));
    }
    let mut keys = terminal::keys();
    let mut ticks = interval(pause.max(Duration::from_millis(50)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        terminal.draw(|frame| screen::draw(model, frame)).map_err(failed)?;
        let key = tokio::select! {
            _ = signals.next() => return Err(Failure::interrupted()),
            () = stops.next() => Some(Key::Stop),
            key = keys.recv() => Some(key.unwrap_or(Key::Quit)),
            _ = ticks.tick() => {
                model.tick();
                None
            }
            Some((at, answer)) = answers.recv() => {
                model.take(at, answer);
                // All that is there is shown at once.
                while let Ok((at, answer)) = answers.try_recv() {
                    model.take(at, answer);
                }
                None
            }
        };
        match key {
            Some(Key::Quit) => return Ok(()),
            Some(Key::Stop) => terminal.suspend().map_err(failed)?,
            Some(key) => model.press(key),
            None => {}
        }
    }
}
