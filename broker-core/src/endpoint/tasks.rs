//! Where the tasks of an endpoint run, the clock they share, when they have to end, and the one
//! among them that waits for deadlines.

use super::drops;
use super::shared::Shared;
use broker_proto::peering::Time;
use broker_proto::queue::Clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The tasks of an endpoint, their clock and their end.
#[derive(Debug)]
pub(super) struct Tasks {
    /// Where they run, whichever thread causes them to be started.
    runtime: Handle,
    tracker: TaskTracker,
    started: Instant,
    /// Wakes the timer when the next deadline has changed.
    timer: Notify,
    /// Cancelled when nobody is accepted any more.
    pub(super) accepting: CancellationToken,
    /// Cancelled when nothing new may begin.
    pub(super) stopping: CancellationToken,
    /// Says the same to publishers, who ask before every message.
    refuses: AtomicBool,
    /// Cancelled when all peerings have ended.
    pub(super) stopped: CancellationToken,
}

impl Tasks {
    pub(super) fn new(runtime: Handle) -> Self {
        let stopping = CancellationToken::new();
        Self {
            runtime,
            tracker: TaskTracker::new(),
            started: Instant::now(),
            timer: Notify::new(),
            accepting: stopping.child_token(),
            stopping,
            refuses: AtomicBool::new(false),
            stopped: CancellationToken::new(),
        }
    }

    /// Starts a task. The caller need not be on a runtime, and if it is on one, that may be another
    /// one.
    pub(super) fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tracker.spawn_on(task, &self.runtime)
    }

    /// The clock of the machines.
    pub(super) fn now(&self) -> Time {
        self.started.elapsed()
    }

    /// The same clock for those who have nothing else of the endpoint.
    pub(super) fn clock(&self) -> Clock {
        let started = self.started;
        Arc::new(move || started.elapsed())
    }

    /// When a time of the machines is for the timers of tasks.
    pub(super) fn instant(&self, time: Time) -> Instant {
        self.started + time
    }

    /// Has the timer ask again when it has to do something.
    pub(super) fn rearm(&self) {
        self.timer.notify_one();
    }

    /// Whether nothing may be published any more.
    pub(super) fn refuses(&self) -> bool {
        self.refuses.load(Ordering::Relaxed)
    }

    /// Says that nothing new may begin. Returns whether it is the first to say so.
    pub(super) fn stop(&self) -> bool {
        let first = !self.refuses.swap(true, Ordering::Relaxed);
        self.stopping.cancel();
        first
    }

    /// Waits until all peerings and then all tasks have ended.
    pub(super) async fn ended(&self) {
        self.stopped.cancelled().await;
        self.tracker.close();
        self.tracker.wait().await;
    }

    async fn at(&self, time: Option<Time>) {
        match time {
            Some(time) => sleep_until(self.instant(time)).await,
            None => std::future::pending().await,
        }
    }
}

/// Tells the machine when something is due, and starts the windows of the statistics.
pub(super) async fn run_timer(shared: Arc<Shared>) {
    let stopped = shared.tasks.stopped.clone();
    stopped.run_until_cancelled(tick(&shared)).await;
}

async fn tick(shared: &Arc<Shared>) {
    let mut windows = every(shared.config.stats_window.max(Duration::from_millis(1)));
    let mut reports = every(drops::INTERVAL);
    let (tasks, reporting) = (&shared.tasks, &shared.reporting);
    loop {
        let armed = shared.lock().armed;
        tokio::select! {
            () = tasks.at(reporting.events.due()) => reporting.events.release(tasks.now()),
            () = tasks.at(armed) => shared.control(|control, now| control.tick(now)),
            () = tasks.timer.notified() => {}
            _ = reports.tick() => {
                shared.router.peers().iter().for_each(|peer| peer.tell_drops(shared.id));
                let news = reporting.drops.report(|| shared.router.peers());
                news.into_iter().for_each(|event| shared.emit(event));
            }
            _ = windows.tick() => {
                for peer in shared.router.peers() {
                    peer.queue.start_window();
                }
            }
        }
    }
}

fn every(time: Duration) -> Interval {
    let mut interval = interval_at(Instant::now() + time, time);
    interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    interval
}
