use crate::WsOptions;
use crate::server::{Accepted, Exchange, serve};
use broker_core::Address;
use broker_core::endpoint::{ServiceContext, WeakServiceContext};
use broker_core::event::{LogId, Severity};
use broker_core::transport::{Admission, Established, Place, TransportError};
use parking_lot::Mutex;
use std::sync::{Arc, Weak};

/// The clients of one endpoint.
#[derive(Debug)]
pub(crate) struct Service {
    context: WeakServiceContext,
    options: Arc<WsOptions>,
    /// Lives as long as there are clients.
    exchange: Mutex<Weak<Exchange>>,
    /// Which clients may be there.
    clients: Arc<Admission>,
}

/// The place of one client among the clients, which is free again when this is dropped.
pub(crate) type ClientPermit = Place;

impl Service {
    pub(crate) fn new(context: &ServiceContext, options: Arc<WsOptions>) -> Self {
        let context = context.downgrade();
        let clients = Arc::new(Admission::new(usize::MAX, options.clients));
        Self { context, options, exchange: Mutex::default(), clients }
    }

    /// Whether another client from there can be served now.
    pub(crate) fn has_room_for(&self, remote: &Address) -> bool {
        self.clients.has_room_for(remote)
    }

    /// Lets a client in, unless there are enough of them. If so, one from the address that has most
    /// of them gives way to one from another address.
    pub(crate) fn permit(&self, remote: &Address) -> Option<ClientPermit> {
        let mut permit = self.clients.enter(remote, true);
        permit.establish();
        permit.evicted().is_none().then_some(permit)
    }

    /// What serves a client, in a task of the endpoint.
    ///
    /// # Errors
    ///
    /// The endpoint is gone.
    pub(crate) fn serve(&self, client: Accepted) -> Result<Established, TransportError> {
        let context = self.context.upgrade().ok_or_else(TransportError::closed)?;
        let exchange = {
            let mut current = self.exchange.lock();
            current.upgrade().unwrap_or_else(|| {
                let exchange = Exchange::start(&context);
                *current = Arc::downgrade(&exchange);
                exchange
            })
        };
        let options = Arc::clone(&self.options);
        Ok(Established::Client(Box::new(move |place| {
            Box::pin(serve(client, place, context, exchange, options))
        })))
    }

    /// Adds to the log of the endpoint.
    pub(crate) fn log(&self, level: Severity, id: LogId, text: impl Into<String>) {
        if let Some(context) = self.context.upgrade() {
            context.log(level, id, text, None);
        }
    }
}
