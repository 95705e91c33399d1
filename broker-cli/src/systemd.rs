//! What systemd, or another supervisor with its protocols, gives a node and is told by it.
//! Without one all of this does nothing.

#[cfg(all(unix, feature = "tcp"))]
use crate::failure::Failure;
use crate::output::diagnose;
use broker::Endpoint;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// How often it is looked at whether there is something new to say.
const LOOK: Duration = Duration::from_secs(1);

/// Keeps the sockets that this process was started with (`LISTEN_FDS`) for listeners at their
/// addresses. To be called while the process has one thread, as it changes the environment.
///
/// # Errors
///
/// One of them is nothing that can be listened at.
#[cfg(all(unix, feature = "tcp"))]
pub(crate) fn take_sockets() -> Result<(), Failure> {
    use std::os::fd::OwnedFd;
    let mut given = listenfd::ListenFd::from_env();
    for number in 0..given.len() {
        let socket = match given.take_tcp_listener(number) {
            Ok(tcp) => tcp.map(OwnedFd::from),
            Err(_) => match given.take_unix_listener(number) {
                Ok(unix) => unix.map(OwnedFd::from),
                Err(_) => given.take_udp_socket(number).ok().flatten().map(OwnedFd::from),
            },
        };
        let kept = match socket {
            Some(socket) => broker::tcp::inherited::give(socket),
            None => Err(std::io::Error::other("it is no TCP, UDP or Unix stream socket")),
        };
        kept.map_err(|error| {
            Failure::usage(format!("inherited socket number {}: {error}", number + 1))
        })?;
    }
    Ok(())
}

/// Fails if there are inherited sockets that no listener has taken: what connects there would wait
/// for nobody.
#[cfg(all(unix, feature = "tcp"))]
pub(crate) fn check_taken() -> Result<(), Failure> {
    let left = broker::tcp::inherited::left();
    if left.is_empty() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "inherited sockets without a --listen or --http at the same address: {}",
        left.join(", ")
    )))
}

/// Tells the supervisor how a node is.
#[derive(Default)]
pub(crate) struct Supervisor {
    /// Nobody to tell without it.
    ticks: Option<Interval>,
    has_watchdog: bool,
    status: String,
    probe: Option<JoinHandle<()>>,
}

impl Supervisor {
    /// As the environment says (`NOTIFY_SOCKET`, `WATCHDOG_USEC`).
    pub(crate) fn from_env() -> Self {
        #[cfg(unix)]
        return Self::new(
            std::env::var_os("NOTIFY_SOCKET").is_some(),
            sd_notify::watchdog_enabled(),
        );
        #[cfg(not(unix))]
        Self::default()
    }

    fn new(is_told: bool, watchdog: Option<Duration>) -> Self {
        let period = watchdog.map_or(LOOK, |time| LOOK.min(time / 2));
        let ticks = is_told.then(|| {
            let mut ticks = interval(period.max(Duration::from_millis(1)));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        Self { ticks, has_watchdog: watchdog.is_some(), status: String::new(), probe: None }
    }

    /// Tells nothing if nobody has asked to be told.
    fn tell(&self, state: &str) {
        #[cfg(unix)]
        if self.ticks.is_some()
            && let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Custom(state)])
        {
            diagnose(format_args!("cannot tell the supervisor: {error}"));
        }
    }

    /// The node listens at all its addresses, or has read its settings again.
    pub(crate) fn ready(&self) {
        self.tell("READY=1");
    }

    /// It begins to read its settings again; [`Self::ready`] says that this is done.
    pub(crate) fn reloading(&self) {
        #[cfg(unix)]
        if let Ok(now) = sd_notify::NotifyState::monotonic_usec_now() {
            self.tell(&format!("RELOADING=1\n{now}"));
        }
    }

    /// It ends.
    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// Waits until it is time to say that the node makes progress, and until it does: a thread of
    /// the runtime has taken a task, and the lock of the endpoint has been free meanwhile. Whoever
    /// awaits this in its own loop adds that the loop goes round. Cancel safe.
    pub(crate) async fn progress(&mut self, endpoint: &Endpoint) {
        let Some(ticks) = &mut self.ticks else { return std::future::pending().await };
        let probe = match &mut self.probe {
            Some(probe) => probe,
            none => {
                ticks.tick().await;
                let endpoint = endpoint.clone();
                none.insert(tokio::spawn(async move { drop(endpoint.filter()) }))
            }
        };
        let _ = probe.await;
        self.probe = None;
    }

    /// Says so, and what has changed in the status.
    pub(crate) fn report(&mut self, endpoint: &Endpoint) {
        if self.has_watchdog {
            self.tell("WATCHDOG=1");
        }
        let status = status(endpoint);
        if status != self.status {
            self.tell(&format!("STATUS={status}"));
            self.status = status;
        }
    }
}

/// The node in a line, for `systemctl status`.
fn status(endpoint: &Endpoint) -> String {
    let (peers, clients) = (endpoint.peer_count(), endpoint.client_count());
    let missing = endpoint.peers().into_iter().filter(|peer| peer.id.is_none()).count();
    let mut text = format!("{peers} peers, {clients} clients");
    if missing > 0 {
        text += &format!(", {missing} addresses without a peering");
    }
    if endpoint.is_draining() {
        text.insert_str(0, "draining: ");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::sync::mpsc;
    use std::task::{Context, Waker};

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn there_is_no_progress_while_no_thread_of_the_runtime_is_free() {
        let endpoint = Endpoint::builder().build().unwrap();
        let mut supervisor = Supervisor::new(true, None);
        let (free, gate) = mpsc::channel::<()>();
        let (busy, is_busy) = mpsc::channel();
        tokio::spawn(async move {
            busy.send(()).unwrap();
            gate.recv().unwrap_err();
        });
        is_busy.recv().unwrap();
        let mut progress = pin!(supervisor.progress(&endpoint));
        for _ in 0..100 {
            let mut context = Context::from_waker(Waker::noop());
            assert!(progress.as_mut().poll(&mut context).is_pending());
        }
        drop(free);
        progress.await;
    }
}
