use crate::failure::Failure;
use crate::options::{EndpointOptions, seconds};
use crate::output::{Format, Need, Output, diagnose};
use crate::session::{Persistence, Session, Stop, elapsed};
use crate::settings::{Layers, Settings};
use crate::signals::Signal;
use broker::OverflowPolicy;
use clap::Args;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The time between attempts to peer, as in Zeek.
const RETRY: Duration = Duration::from_secs(1);

/// Run an endpoint that connects others: a hub, a gateway, a bridge
///
/// Runs until it is told to stop: SIGTERM, `admin drain` and the end of --wait end it with exit
/// code 0, SIGINT with 130, and all of them tell the peers first. Messages of one peer are passed
/// on to the others that want them if this endpoint has asked for their topics with --forward.
///
/// Certificates and keys whose files have changed serve the next connection, without a restart and
/// without an end of the existing ones. SIGHUP and `reload` read them and the configuration file at
/// once, put into force what can be changed in a running node, and say what was done.
///
/// Clients of the JSON API are served at ws:// listeners. A peer at ws:// joins the overlay with a
/// server of that API, and its address says for each topic which way it goes, as in
/// --peer 'ws://127.0.0.1:27759?to=/to/zeek/&from=/from/zeek/'.
///
/// With --retry 0 it ends as soon as a peering cannot be made (3, 4), or when all are lost and it
/// does not listen (1).
#[derive(Args)]
pub(crate) struct Node {
    /// Stop after this time [default: run until told to stop]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    wait: Option<Duration>,

    /// Serve a page for a browser, /metrics, /v1/status/json, /health and /ready at this address.
    /// Without a value 127.0.0.1:9990, where `peers` and `stats` look [default: do not serve them]
    #[cfg(feature = "http")]
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = crate::http::DEFAULT)]
    http: Option<crate::http::HttpAddress>,

    /// See whether the options and the configuration file are in order, and start nothing: 0 if
    /// they are, else 2
    #[arg(long, visible_alias = "check-config")]
    check: bool,

    /// Print what is in force as a configuration file, with where each value comes from, and start
    /// nothing. Secrets are shown
    #[arg(long, conflicts_with = "check")]
    dump_config: bool,

    /// Take orders of `reload` and `admin` at this Unix socket, from the same user and root
    /// [default: none]
    #[arg(long, value_name = "PATH")]
    admin: Option<PathBuf>,

    /// Tell the others of the overlay about this node, and learn about those that do the same: what
    /// `map` and the page show [default: only what is known of direct peers]
    #[arg(long)]
    announce: bool,

    /// Count the messages and bytes on topics with this prefix, for `stats --topics` and /metrics;
    /// may be repeated, up to 64 times [default: none]
    #[cfg(feature = "http")]
    #[arg(long, value_name = "PREFIX")]
    count_prefix: Vec<String>,

    #[command(flatten)]
    endpoint: EndpointOptions,
}

impl Node {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let node = Arc::new(self);
        let layers = node.layers()?;
        layers.notes.iter().for_each(diagnose);
        if node.dump_config {
            let mut out = Output::new(Format::Text, Need::Output)?;
            out.text(layers.dump()?.as_bytes());
            return out.flush().await;
        }
        let settings = Self::settle(layers)?;
        if node.check {
            return Self::examine(settings);
        }
        let retry = settings.retry.unwrap_or(RETRY);
        let admin = settings.admin.clone();
        #[cfg(feature = "http")]
        let (announce, name) = (settings.announce, settings.name.clone());
        #[cfg(feature = "http")]
        let forward = settings.forward.clone();
        #[cfg(feature = "http")]
        let http = match &settings.http.listen {
            Some(address) => Some(crate::http::Server::bind(address, settings.http.clone()).await?),
            None => None,
        };
        let mut session = Session::new(settings, Need::Service)?;
        session.reload_on_hangup()?;
        #[cfg(unix)]
        let orders = admin.as_deref().map(crate::admin::serve).transpose()?;
        #[cfg(not(unix))]
        let orders = None;
        let again = Arc::clone(&node);
        session.obey_orders(Box::new(move || Self::settle(again.layers()?)), orders);
        #[cfg(feature = "http")]
        {
            use crate::http::{Called, Overlay, Window};
            let bridges = session.bridges();
            let certificates = session.certificates();
            let called = Called { own: name, others: session.names.clone(), bridges, certificates };
            let overlay = Overlay::default();
            if announce {
                overlay.announce(&session.endpoint, called.clone())?;
            }
            called.learn(&session.endpoint, &forward);
            if let Some(http) = http {
                session.also_listening(http.url());
                let window = Window::new(&session.endpoint, called, overlay, forward);
                tokio::spawn(http.serve(session.endpoint.clone(), window));
            }
        }
        let mut served = node.serve(&mut session, Persistence::always(Some(retry))).await;
        if let Err(Stop::Drain(drain)) = served {
            served = session.drain(drain).await;
        }
        let outcome = match served {
            Ok(()) | Err(Stop::Signal(Signal::Terminate)) => Ok(()),
            Err(stop) => Err(stop.into()),
        };
        let outcome = session.finish(outcome).await;
        if let Some(path) = admin {
            let _ = std::fs::remove_file(path);
        }
        outcome
    }

    /// The file, the environment and the options as they are now.
    fn layers(&self) -> Result<Layers, Failure> {
        let mut layers = self.endpoint.layers(OverflowPolicy::default())?;
        layers.default("retry", RETRY.as_secs_f64());
        layers.path("--admin", "admin", self.admin.as_ref())?;
        layers.switch("--announce", "announce", self.announce, true);
        #[cfg(feature = "http")]
        {
            layers.option("--http", "http.listen", self.http.clone().map(String::from));
            let prefixes = self.count_prefix.iter().cloned();
            layers.list("--count-prefix", "count-prefixes", prefixes);
        }
        Ok(layers)
    }

    /// What they come to.
    fn settle(layers: Layers) -> Result<Settings, Failure> {
        #[cfg_attr(not(feature = "bridge"), allow(unused_mut))]
        let mut settings = EndpointOptions::complete(layers)?;
        if settings.listen.is_empty() && settings.has_no_peers() {
            return Err(Failure::usage(
                "a node without --listen and --peer has nothing to do; give it one of them",
            ));
        }
        #[cfg(feature = "bridge")]
        let mut forward = Vec::new();
        #[cfg(feature = "bridge")]
        for url in settings.all_peers() {
            let Some((from, says_anything)) = crate::bridge_options::topics_from(url) else {
                continue;
            };
            if !says_anything {
                return Err(Failure::usage(format!(
                    "{url}: say which topics go which way: ?to=PREFIX for those that go to this \
                     server, ?from=PREFIX for those that come from it; join several with &"
                )));
            }
            forward.extend(from);
        }
        #[cfg(feature = "bridge")]
        settings.forward.extend(forward);
        #[cfg(feature = "bridge")]
        if let Some(url) = crate::bridge_options::said_twice(settings.all_peers()) {
            return Err(Failure::usage(format!(
                "{url}: there is another --peer with this address, and an address has one peering; \
                 say all that goes to and comes from a server in one"
            )));
        }
        Ok(settings)
    }

    /// Finds out whether a node could start like this, certificates included, and starts none.
    fn examine(settings: Settings) -> Result<(), Failure> {
        #[cfg(feature = "http")]
        settings.http.check().map_err(Failure::usage)?;
        // What a start would warn of is said.
        Session::new(settings, Need::Service)?.catch_up();
        diagnose("the configuration is in order");
        Ok(())
    }

    async fn serve(&self, session: &mut Session, persistence: Persistence) -> Result<(), Stop> {
        let end = elapsed(self.wait);
        session.listen().await?;
        session.dial(persistence);
        session.during(end).await
    }
}
