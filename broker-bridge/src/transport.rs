use crate::bridges::{Bridges, invalid};
use crate::other_side::Connector;
use crate::{BridgeAddress, BridgeKind};
use async_trait::async_trait;
use broker_core::endpoint::EndpointBuilder;
use broker_core::transport::{Connection, Listener, Transport, TransportError};
use broker_core::{Address, Reason};

/// The transport for a kind of bridge whose scheme stands for nothing else.
///
/// `C` makes a connector for an address, or says why there can be none.
#[derive(Clone)]
pub(crate) struct OfKind<C> {
    kind: &'static BridgeKind,
    bridges: Bridges,
    connector: C,
}

impl<C, T> OfKind<C>
where
    C: Fn(&Address, &BridgeAddress) -> Result<T, String> + Send + Sync + Clone + 'static,
    T: Connector,
{
    pub(crate) fn new(kind: &'static BridgeKind, bridges: &Bridges, connector: C) -> Self {
        Self { kind, bridges: bridges.clone(), connector }
    }

    /// Adds the transport to an endpoint.
    pub(crate) fn install(self, builder: EndpointBuilder) -> EndpointBuilder {
        let bridges = self.bridges.clone();
        builder.transport(self).on_start(move |context| bridges.join(context))
    }
}

#[async_trait]
impl<C, T> Transport for OfKind<C>
where
    C: Fn(&Address, &BridgeAddress) -> Result<T, String> + Send + Sync + 'static,
    T: Connector,
{
    fn schemes(&self) -> &'static [&'static str] {
        self.kind.schemes
    }

    async fn listen(&self, at: &Address) -> Result<Box<dyn Listener>, TransportError> {
        let text = format!("listening at {at}: {} addresses are peered with", self.kind.name);
        Err(TransportError::new(Reason::InvalidAddress, text))
    }

    async fn connect(&self, to: &Address) -> Result<Connection, TransportError> {
        let address = self.kind.parse(to).map_err(|error| invalid(to, &error.to_string()))?;
        let connector = (self.connector)(to, &address).map_err(|reason| invalid(to, &reason))?;
        self.bridges.open(self.kind, to, address.directions, connector).await
    }
}
