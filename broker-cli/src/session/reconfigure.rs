//! Changing a command while it runs: by reading its settings again, or by an order.

use super::{Session, Stop};
use crate::failure::Failure;
use crate::options::{dialable, retry};
use crate::output::{Listening, diagnose};
use crate::settings::Settings;
use broker::event::Severity;
use broker::{Address, Config};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Makes the settings of a command as its start did.
pub(crate) type Resettle = Box<dyn Fn() -> Result<Settings, Failure> + Send + Sync>;

/// Orders, and where the answer to each goes: what was done, or why nothing was.
pub(crate) type Orders = mpsc::Receiver<(Order, oneshot::Sender<Result<Vec<String>, String>>)>;

/// What a running command can be told.
#[derive(Debug)]
pub(crate) enum Order {
    /// Read the settings again.
    Reload,
    AddPeer(Address),
    RemovePeer(Address),
    LogLevel(Severity),
    /// End without haste.
    Drain(Drain),
}

/// How a node ends without haste.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Drain {
    /// The time over which peers are told, one after the other.
    pub(crate) over: Duration,
    /// How long each may take to read what is queued for it.
    pub(crate) within: Duration,
}

/// Waits for the next order; forever if nobody gives any. Cancel safe.
pub(super) async fn next(
    orders: &mut Option<Orders>,
) -> (Order, oneshot::Sender<Result<Vec<String>, String>>) {
    if let Some(orders) = orders
        && let Some(order) = orders.recv().await
    {
        return order;
    }
    std::future::pending().await
}

impl Session {
    /// Lets the settings be changed while the command runs.
    pub(crate) fn obey_orders(&mut self, resettle: Resettle, orders: Option<Orders>) {
        self.resettle = Some(resettle);
        self.orders = orders;
    }

    pub(super) async fn obey(
        &mut self,
        (order, answer): (Order, oneshot::Sender<Result<Vec<String>, String>>),
    ) -> Result<(), Stop> {
        let mut drain = None;
        let outcome = match order {
            Order::Reload | Order::AddPeer(_) | Order::Drain(_) if self.endpoint.is_draining() => {
                Err("the node is draining".to_owned())
            }
            Order::Drain(asked) => {
                drain = Some(asked);
                let (peers, clients) = (self.endpoint.peer_count(), self.endpoint.client_count());
                Ok(vec![format!("draining: {peers} peers, {clients} clients")])
            }
            Order::Reload => {
                self.supervisor.reloading();
                let done = self.reload_settings().await;
                self.supervisor.ready();
                done
            }
            Order::AddPeer(url) => {
                let url = dialable(url);
                match super::check_scheme(&self.endpoint, &url) {
                    Ok(()) => {
                        self.settings.peers.push(url.clone());
                        Ok(vec![self.add_peer(&url)])
                    }
                    Err(failure) => Err(failure.to_string()),
                }
            }
            Order::RemovePeer(url) => {
                let url = dialable(url);
                self.settings.peers.retain(|peer| *peer != url);
                match self.endpoint.unpeer(&url) {
                    true => Ok(vec![format!("peer removed: {url}")]),
                    false => Err(format!("{url}: there is no such peer")),
                }
            }
            Order::LogLevel(level) => {
                self.set_level(level);
                Ok(vec![format!("log level: {}", level.name())])
            }
        };
        if let Ok(done) = &outcome {
            drain.iter().flat_map(|_| done).for_each(diagnose);
        }
        // Who asked may have gone.
        let _ = answer.send(outcome);
        drain.map_or(Ok(()), |drain| Err(Stop::Drain(drain)))
    }

    fn add_peer(&self, url: &Address) -> String {
        let time = self.settings.retry.unwrap_or(Duration::from_secs(1));
        drop(self.endpoint.peer(url, retry(Some(time))));
        format!("peer added: {url}")
    }

    fn set_level(&mut self, level: Severity) {
        self.level = level;
        self.settings.config.log_level = level;
        if let Some(reporter) = &mut self.reporter {
            reporter.set_level(level);
        }
    }

    /// Reads the settings again and puts what has changed into force, as far as that can be done
    /// in a running program. Says what was done. With an error nothing has changed.
    pub(super) async fn reload_settings(&mut self) -> Result<Vec<String>, String> {
        let Some(resettle) = &self.resettle else { return Ok(Vec::new()) };
        let checked = resettle().and_then(|new| {
            for url in new.listen.iter().chain(new.all_peers()) {
                super::check_scheme(&self.endpoint, url)?;
            }
            Ok(new)
        });
        let outcome = match checked {
            Ok(new) => Ok(self.put_into_force(new).await),
            Err(failure) => Err(format!("nothing was changed: {failure}")),
        };
        match &outcome {
            Ok(done) => done.iter().for_each(|done| diagnose(format_args!("reload: {done}"))),
            Err(reason) => diagnose(format_args!("reload: {reason}")),
        }
        outcome
    }

    async fn put_into_force(&mut self, new: Settings) -> Vec<String> {
        let mut done = Vec::new();
        let old = std::mem::replace(&mut self.settings, new);
        let new = self.settings.clone();
        for url in new.peers.iter().filter(|url| !old.peers.contains(url)) {
            done.push(self.add_peer(url));
        }
        for url in old.peers.iter().filter(|url| !new.peers.contains(url)) {
            self.endpoint.unpeer(url);
            done.push(format!("peer removed: {url}"));
        }
        let more: Vec<String> =
            new.forward.iter().filter(|topic| !old.forward.contains(topic)).cloned().collect();
        if !more.is_empty() {
            done.push(match self.endpoint.forward(&more) {
                Ok(()) => format!("forward added: {}", more.join(", ")),
                Err(error) => format!("forward: {error}"),
            });
        }
        for url in new.listen.iter().filter(|url| !old.listen.contains(url)) {
            done.push(match self.endpoint.listen(url).await {
                Ok(bound) => {
                    self.out.record(&Listening::of(&self.endpoint, &bound));
                    format!("listening on {bound}")
                }
                Err(error) => format!("listening on {url}: {error}"),
            });
        }
        if new.names != old.names {
            self.names.configure(new.names.clone());
            done.push("names changed".to_owned());
        }
        if new.config.log_level != old.config.log_level {
            self.set_level(new.config.log_level);
            done.push(format!("log level: {}", new.config.log_level.name()));
        }
        let restart = needs_restart(&old, &new);
        if !restart.is_empty() {
            done.push(format!("changed, and needs a restart: {}", restart.join(", ")));
        }
        if done.is_empty() {
            done.push("nothing has changed".to_owned());
        }
        done
    }
}

/// What is another setting now and cannot be put into force.
fn needs_restart(old: &Settings, new: &Settings) -> Vec<&'static str> {
    let config = |settings: &Settings| Config {
        log_level: Severity::Debug,
        endpoint_id: None,
        ..settings.config.clone()
    };
    let gone = |old: &[String], new: &[String]| old.iter().any(|topic| !new.contains(topic));
    let mut found = Vec::new();
    let mut note = |name, differs: bool| found.extend(differs.then_some(name));
    note("listen (an address less)", old.listen.iter().any(|url| !new.listen.contains(url)));
    note("peer (a list of several)", old.choices != new.choices);
    note("forward (a topic less)", gone(&old.forward, &new.forward));
    note("limits, forwarding or policies", config(old) != config(new));
    note("endpoint-id", old.config.endpoint_id != new.config.endpoint_id);
    let transports = |settings: &Settings| format!("{:?}", settings.transports);
    note("tls, ws or quic", transports(old) != transports(new));
    #[cfg(feature = "http")]
    note("http", old.http != new.http);
    note("name", old.name != new.name);
    note("admin", old.admin != new.admin);
    note("announce", old.announce != new.announce);
    let form = |settings: &Settings| (settings.events, settings.output, settings.log_format);
    note("events, output or log-format", form(old) != form(new));
    found
}
