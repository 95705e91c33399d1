use super::connection;
use super::shared::Shared;
use super::table::ListenerInfo;
use crate::event::{Event, LogEvent, LogId, Severity};
use crate::transport::{Established, Evicted, Incoming, Listener, Place, TransportError};
use crate::{Address, Failure, Reason};
use broker_proto::InvalidAddress;
use broker_proto::peering::Opened;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How long accepting pauses after an error, which is mostly a lack of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Starts listening, and accepts until the endpoint shuts down.
pub(super) async fn listen(
    shared: &Arc<Shared>,
    at: Result<Address, InvalidAddress>,
) -> Result<Address, TransportError> {
    if shared.tasks.accepting.is_cancelled() {
        let detail = "listening: the endpoint is being shut down";
        return Err(TransportError::new(Reason::Closed, detail));
    }
    let open = async {
        let at = at?;
        shared.transport(&at)?.listen(&at).await
    };
    let listener = open.await.inspect_err(|error| {
        let reason = Some(error.reason());
        log_failure(shared, Severity::Warning, LogId::ListenFailed, error.to_string(), reason);
    })?;
    let url = listener.url().clone();
    let protection = listener.protection();
    let text = format!("listening on {url} ({protection})");
    log(shared, Severity::Info, LogId::ListenSuccess, text);
    shared.listeners.lock().push(ListenerInfo { url: url.clone(), protection });
    let (endpoint, at) = (Arc::clone(shared), url.clone());
    shared.tasks.spawn(async move {
        let accepting = accept(Arc::clone(&endpoint), listener);
        endpoint.tasks.accepting.run_until_cancelled(accepting).await;
        endpoint.listeners.lock().retain(|listener| listener.url != at);
    });
    Ok(url)
}

fn log(shared: &Shared, level: Severity, id: LogId, description: String) {
    log_failure(shared, level, id, description, None);
}

fn log_failure(
    shared: &Shared,
    level: Severity,
    id: LogId,
    description: String,
    reason: Option<Reason>,
) {
    shared.emit(Event::Log(LogEvent { level, id, description, reason }));
}

async fn accept(shared: Arc<Shared>, mut listener: Box<dyn Listener>) {
    loop {
        shared.admission.keep_up().await;
        match listener.accept().await {
            Ok(incoming) => admit(&shared, incoming),
            Err(error) => {
                let text = format!("accepting on {}: {error}", listener.url());
                let reason = Some(error.reason());
                log_failure(&shared, Severity::Warning, LogId::AcceptFailed, text, reason);
                let full = error.reason() == Reason::OutOfResources;
                if full && shared.admission.make_room() {
                    // Until it is closed; if that takes long, the next oldest has to go as well.
                    let _ = timeout(PAUSE, shared.admission.room_made()).await;
                } else {
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Gives a new connection a place and its own task.
fn admit(shared: &Arc<Shared>, incoming: Incoming) {
    let place = shared.admission.enter(&incoming.remote, incoming.holds_descriptor);
    let task = establish(Arc::clone(shared), incoming, place);
    shared.tasks.spawn(task);
}

async fn establish(shared: Arc<Shared>, incoming: Incoming, place: Place) {
    let began = shared.tasks.now();
    let limit = shared.config.limits.handshake_time;
    let Incoming { remote, establish, .. } = incoming;
    let accepting = shared.tasks.accepting.clone();
    let established = tokio::select! {
        biased;
        // Nobody is let in any more, and a shutdown waits for every task.
        () = accepting.cancelled() => return,
        why = place.lost() => Err(failure(why)),
        established = timeout(limit, establish) => match established {
            Ok(Ok(established)) => Ok(established),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(Failure::HandshakeTimeout { waiting_for: "the handshake of the transport", limit }),
        }
    };
    match established {
        Ok(Established::Peer(connection)) => {
            connection::run(shared, connection, Opened::Accepted { began }, Some(place)).await;
        }
        Ok(Established::Client(serve)) => serve(place).await,
        Ok(Established::Handled) => {}
        Err(failure) => {
            let text = format!("{remote}: {failure}");
            let (level, reason) = (failure.severity(), Some(failure.reason()));
            log_failure(&shared, level, LogId::HandshakeFailed, text, reason);
        }
    }
}

/// What becomes of a connection that has lost its place.
pub(super) fn failure(why: Evicted) -> Failure {
    match why {
        Evicted::HalfOpen(_) => Failure::LimitReached(why.to_string()),
        Evicted::Connections(_) | Evicted::Descriptors => {
            TransportError::new(Reason::OutOfResources, why.to_string()).into()
        }
    }
}
