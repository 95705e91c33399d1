//! Messages on several topics that are published together.

use super::Endpoint;
use super::shared::To;
use broker_proto::data::Encode;
use broker_proto::routing::{Frames, Origin, PublishError, Published};

/// Messages that are published together, in much less time than one by one: those on the same
/// topic that follow each other are handed over at once. See [`Endpoint::batch`].
///
/// What is fed and never flushed is never published.
#[derive(Debug)]
#[must_use = "what is fed has to be flushed"]
pub struct Batch {
    endpoint: Endpoint,
    origin: Origin,
    /// The topic of what was fed and not published.
    topic: Vec<u8>,
    fed: Frames,
}

impl Batch {
    pub(super) fn new(endpoint: Endpoint, origin: Origin) -> Self {
        Self { endpoint, origin, topic: Vec::new(), fed: Frames::default() }
    }

    /// Adds a message. Those that were added before are published when the topic is another one or
    /// they have become many: about 64 KiB.
    ///
    /// Cancel safe: the message has been added or not; if it has not, those before it are still to
    /// be flushed.
    ///
    /// # Errors
    ///
    /// As for [`Endpoint::publish`].
    pub async fn feed(
        &mut self,
        topic: impl AsRef<[u8]>,
        value: &(impl Encode + ?Sized),
    ) -> Result<(), PublishError> {
        let topic = topic.as_ref();
        if topic != self.topic {
            self.flush().await?;
            self.topic.clear();
            self.topic.extend_from_slice(topic);
        }
        self.endpoint.shared().feed(&mut self.fed, To::everybody(topic), value)?;
        if self.fed.is_full() {
            self.flush().await?;
        }
        Ok(())
    }

    /// Publishes what was fed, and returns how many destinations the last message had; none if
    /// nothing was left to be published.
    ///
    /// Cancel safe: what has not been published by then waits for the next call.
    ///
    /// # Errors
    ///
    /// As for [`Endpoint::publish`].
    pub async fn flush(&mut self) -> Result<Published, PublishError> {
        let (shared, to) = (self.endpoint.shared(), To::everybody(&self.topic));
        shared.publish_frames(self.origin, to, &mut self.fed).await
    }

    /// Feeds all of them and flushes. Of an error, what came before it has been published.
    pub(super) async fn publish<T: AsRef<[u8]>, V: Encode>(
        mut self,
        messages: impl IntoIterator<Item = (T, V)>,
    ) -> Result<Published, PublishError> {
        for (topic, value) in messages {
            if let Err(error) = self.feed(topic, &value).await {
                self.flush().await?;
                return Err(error);
            }
        }
        self.flush().await
    }
}
