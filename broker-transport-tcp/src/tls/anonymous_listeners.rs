use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// More addresses than this are forgotten; then they are dialled twice again.
const MOST: usize = 1024;

/// Listeners that turned out to speak nothing but anonymous TLS. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct AnonymousListeners(Arc<Mutex<HashSet<SocketAddr>>>);

impl AnonymousListeners {
    pub(super) fn contains(&self, address: SocketAddr) -> bool {
        self.lock().contains(&address)
    }

    /// Whether it was not known before.
    pub(super) fn insert(&self, address: SocketAddr) -> bool {
        let mut known = self.lock();
        if known.len() == MOST {
            known.clear();
        }
        known.insert(address)
    }

    pub(super) fn remove(&self, address: SocketAddr) {
        self.lock().remove(&address);
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<SocketAddr>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
