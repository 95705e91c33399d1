use crate::failure::Failure;
use crate::options::{EndpointOptions, seconds};
use crate::output::Need;
use crate::session::{Persistence, Session, Stop, elapsed};
use crate::signals::Signal;
use broker::OverflowPolicy;
use clap::Args;
use std::time::Duration;

/// The time between attempts to peer, as in Zeek.
const RETRY: Duration = Duration::from_secs(1);

/// Run an endpoint that connects others: a hub, a gateway, a bridge
///
/// Runs until it is told to stop: SIGTERM and the end of --wait end it with exit code 0, SIGINT
/// with 130, and all of them tell the peers first. Messages of one peer are passed on to the others
/// that want them if this endpoint has asked for their topics with --forward.
///
/// Certificates and keys whose files have changed serve the next connection, without a restart and
/// without an end of the existing ones. SIGHUP reads them at once, and says whether they are
/// usable.
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

    /// Serve /metrics, /v1/status/json and /health at this address. Without a value 127.0.0.1:9990,
    /// where `peers` and `stats` look [default: do not serve them]
    #[cfg(feature = "http")]
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = crate::http::DEFAULT)]
    http: Option<crate::http::HttpAddress>,

    #[command(flatten)]
    endpoint: EndpointOptions,
}

impl Node {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        #[cfg_attr(not(feature = "bridge"), allow(unused_mut))]
        let mut settings = self.endpoint.settle(OverflowPolicy::default())?;
        if settings.listen.is_empty() && settings.peers.is_empty() {
            return Err(Failure::usage(
                "a node without --listen and --peer has nothing to do; give it one of them",
            ));
        }
        #[cfg(feature = "bridge")]
        for url in &settings.peers {
            let Some((from, says_anything)) = crate::bridge_options::topics_from(url) else {
                continue;
            };
            if !says_anything {
                return Err(Failure::usage(format!(
                    "{url}: say which topics go which way: ?to=PREFIX for those that go to this \
                     server, ?from=PREFIX for those that come from it; join several with &"
                )));
            }
            settings.forward.extend(from);
        }
        #[cfg(feature = "bridge")]
        if let Some(url) = crate::bridge_options::said_twice(&settings.peers) {
            return Err(Failure::usage(format!(
                "{url}: there is another --peer with this address, and an address has one peering; \
                 say all that goes to and comes from a server in one"
            )));
        }
        let retry = settings.retry.unwrap_or(RETRY);
        #[cfg(feature = "http")]
        let http = match &self.http {
            Some(address) => Some(crate::http::Server::bind(address, settings.http.clone()).await?),
            None => None,
        };
        let mut session = Session::new(&self.endpoint, settings, Need::Service)?;
        session.reload_on_hangup()?;
        #[cfg(feature = "http")]
        if let Some(http) = http {
            session.also_listening(http.url());
            tokio::spawn(http.serve(session.endpoint.clone()));
        }
        let outcome = match self.serve(&mut session, Persistence::always(Some(retry))).await {
            Ok(()) | Err(Stop::Signal(Signal::Terminate)) => Ok(()),
            Err(stop) => Err(stop.into()),
        };
        session.finish(outcome).await
    }

    async fn serve(&self, session: &mut Session, persistence: Persistence) -> Result<(), Stop> {
        let end = elapsed(self.wait);
        session.listen().await?;
        session.dial(persistence);
        session.during(end).await
    }
}
