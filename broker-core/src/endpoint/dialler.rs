use super::connection::{self, Opened};
use super::shared::Shared;
use crate::Url;
use crate::transport::{Connection, TransportError, TransportErrorKind};
use broker_proto::peering::DialId;
use std::sync::Arc;
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// Opens a connection and drives it.
pub(super) fn spawn(shared: &Arc<Shared>, dial: DialId, url: Url) -> AbortHandle {
    let dialling = Arc::clone(shared);
    let task = shared.spawn(async move {
        let shared = dialling;
        match open(&shared, &url).await {
            Ok(connection) => {
                // From here on the machine ends the connection, not whoever gives up the request.
                let run = connection::run(Arc::clone(&shared), connection, Opened::Dialled(dial));
                shared.spawn(run);
            }
            Err(error) => {
                shared.control(|control, now| control.dial_failed(dial, error.into(), now));
            }
        }
    });
    task.abort_handle()
}

async fn open(shared: &Shared, url: &Url) -> Result<Connection, TransportError> {
    let transport = shared.transport(url)?;
    let limit = shared.config.limits.dial_time;
    timeout(limit, transport.connect(url)).await.unwrap_or_else(|_| {
        let detail = format!("connecting to {url}: no connection within {} s", limit.as_secs_f64());
        Err(TransportError::new(TransportErrorKind::TimedOut, detail))
    })
}
