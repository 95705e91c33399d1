use crate::Directions;
use crate::reader::Reader;
use async_trait::async_trait;
use broker_core::endpoint::{BuildError, EventStream, Hub, SubscriberOptions};
use broker_core::transport::{
    Connection, FrameWriter, Link, MemTransport, Protection, Transport, TransportError, WriteBatch,
};
use broker_core::{Address, Endpoint, EndpointId, OverflowPolicy, SubscriberPolicy};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Messages that wait between the two sides. Few: what waits here has been confirmed to the
/// endpoint and not been handed to the other side.
pub(crate) const WAITING: usize = 16;

/// The peer that stands for the other side of a bridge: an endpoint in this process.
pub(crate) struct StandIn {
    pub(crate) endpoint: Endpoint,
    network: MemTransport,
}

/// A stand-in that is connected with the endpoint of the overlay. Dropping it says that everything
/// has been handed over that ever will be.
pub(crate) struct ConnectedStandIn {
    pub(crate) endpoint: Endpoint,
    pub(crate) hub: Hub,
    pub(crate) events: EventStream,
    /// Those who wait until the other side has read what was published before.
    pub(crate) asked: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
    /// Cancelled when the endpoint of the overlay has nothing more to say.
    pub(crate) ending: CancellationToken,
    /// Cancelled when the endpoint of the overlay has let go of the connection.
    pub(crate) gone: CancellationToken,
    _done: DropGuard,
}

impl StandIn {
    /// Its id depends on nothing but the address, so that the other side is the same peer after a
    /// loss, and after a restart of this process.
    pub(crate) fn new(to: &Address) -> Result<Self, BuildError> {
        let network = MemTransport::new();
        let endpoint = Endpoint::builder()
            .id(EndpointId::from_random_bits(fnv_1a(to.to_string().as_bytes())))
            .forwarding(false)
            .overflow_policy(OverflowPolicy::Wait)
            .transport(network.clone())
            .build()?;
        Ok(Self { endpoint, network })
    }

    /// Connects with it. The connection is for the endpoint of the overlay.
    pub(crate) async fn connect(
        self,
        to: &Address,
        directions: &Directions,
        protection: Protection,
    ) -> Result<(ConnectedStandIn, Connection), TransportError> {
        let at = Address::new("mem", "bridge", 1);
        self.endpoint.listen(&at).await?;
        let connection = self.network.connect(&at).await?;
        let options = SubscriberOptions {
            messages: Some(WAITING),
            ..SubscriberOptions::with_policy(SubscriberPolicy::Wait)
        };
        let (gone, done) = (CancellationToken::new(), CancellationToken::new());
        let ending = CancellationToken::new();
        let (asks, asked) = mpsc::unbounded_channel();
        let connected = ConnectedStandIn {
            hub: self.endpoint.hub_with(&directions.to, options),
            events: self.endpoint.events(),
            asked,
            ending: ending.clone(),
            gone: gone.clone(),
            _done: done.clone().drop_guard(),
            endpoint: self.endpoint,
        };
        let reader = Box::new(Reader::new(connection.reader, connected.endpoint.id(), asks));
        let inner = connection.writer;
        let writer = Box::new(Writer { inner, ending, done, _gone: gone.drop_guard() });
        let link = Link { remote: to.clone(), protection };
        Ok((connected, Connection { reader, writer, link }))
    }
}

/// The hash FNV-1a of 128 bits, which is the same in every version of this program.
fn fnv_1a(bytes: &[u8]) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    bytes.iter().fold(OFFSET, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME))
}

/// The sending half, whose end waits until the other side has everything.
struct Writer {
    inner: Box<dyn FrameWriter>,
    /// Tells the bridge that nothing more comes.
    ending: CancellationToken,
    /// Tells when the other side has everything.
    done: CancellationToken,
    /// Tells the bridge when the endpoint has let go of the connection.
    _gone: DropGuard,
}

#[async_trait]
impl FrameWriter for Writer {
    async fn send(&mut self, batch: &mut WriteBatch) -> Result<(), TransportError> {
        self.inner.send(batch).await
    }

    async fn shutdown(&mut self) {
        self.inner.shutdown().await;
        self.ending.cancel();
        self.done.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_the_other_side_is_the_same_in_every_build() {
        // The published values of FNV-1a for these inputs.
        assert_eq!(fnv_1a(b""), 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
        assert_eq!(fnv_1a(b"a"), 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
    }
}
