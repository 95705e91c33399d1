use super::connection::{Dialler, Over};
use super::{ClientEvent, Outgoing};
use broker_core::transport::TransportError;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc};
use tokio::time::sleep;

/// Keeps a client connected.
pub(super) struct Task {
    pub(super) dialler: Dialler,
    pub(super) to_user: mpsc::Sender<ClientEvent>,
    pub(super) from_user: mpsc::Receiver<Outgoing>,
    pub(super) closing: Arc<Notify>,
}

impl Task {
    /// Runs until the user or a failure ends it; true if everything was handed to the server.
    pub(super) async fn run(mut self) -> bool {
        loop {
            let error = match self.dialler.connect().await {
                Ok(mut link) => {
                    let over = link.run(&self.to_user, &mut self.from_user, &self.closing).await;
                    // What the server said last is often why it is the last.
                    for event in link.events.drain(..) {
                        if self.to_user.send(event).await.is_err() {
                            return false;
                        }
                    }
                    link.abandon().await;
                    match over {
                        Over::Closed => return true,
                        Over::Lost(error) => error,
                    }
                }
                Err(error) => error,
            };
            if !self.wait(error).await {
                return self.from_user.is_empty();
            }
        }
    }

    /// Reports a loss and waits for the next attempt. Returns whether there is to be one.
    async fn wait(&self, error: TransportError) -> bool {
        let retry = self.dialler.options.retry;
        if self.to_user.send(ClientEvent::Disconnected { error, retry }).await.is_err() {
            return false;
        }
        let Some(retry) = retry else { return false };
        // Clients that lost the same server do not all come back at one instant.
        let retry = retry.mul_f64(1.0 + fastrand::f64() / 10.0);
        tokio::select! {
            () = sleep(retry) => true,
            () = self.closing.notified() => false,
        }
    }
}
