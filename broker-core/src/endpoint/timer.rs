use super::drops;
use super::shared::Shared;
use broker_proto::peering::Time;
use std::sync::Arc;
use tokio::time::{MissedTickBehavior, interval_at, sleep_until};

/// Tells the machine when something is due, and starts the windows of the statistics.
pub(super) async fn run(shared: Arc<Shared>) {
    let stopped = shared.stopped.clone();
    stopped.run_until_cancelled(tick(&shared)).await;
}

async fn tick(shared: &Arc<Shared>) {
    let window = shared.config.stats_window.max(std::time::Duration::from_millis(1));
    let mut windows = interval_at(tokio::time::Instant::now() + window, window);
    windows.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut reports = interval_at(tokio::time::Instant::now() + drops::INTERVAL, drops::INTERVAL);
    reports.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let armed = shared.lock().armed;
        let due = at(shared, armed);
        let events_due = at(shared, shared.events.due());
        tokio::select! {
            () = events_due => shared.events.release(shared.now()),
            () = due => shared.control(|control, now| control.tick(now)),
            () = shared.timer.notified() => {}
            _ = reports.tick() => {
                let news = shared.drops.report(|| shared.router.peers());
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

async fn at(shared: &Shared, time: Option<Time>) {
    match time {
        Some(time) => sleep_until(shared.instant(time)).await,
        None => std::future::pending().await,
    }
}
