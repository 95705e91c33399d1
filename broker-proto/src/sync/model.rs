//! Models of the primitives, with every step in the hands of the scheduler.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

pub use shuttle::sync::MutexGuard;
pub use shuttle::sync::atomic::{AtomicBool, AtomicUsize};

/// A lock without poisoning.
#[derive(Default)]
pub struct Mutex<T>(shuttle::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub fn new(value: T) -> Self {
        Self(shuttle::sync::Mutex::new(value))
    }

    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap()
    }

    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock().ok()
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mutex")
    }
}

/// A shared value that is exchanged as a whole.
#[derive(Default)]
pub struct ArcSwap<T>(Mutex<Arc<T>>);

/// What a reader holds on to.
pub struct Guard<T>(T);

impl<T> ArcSwap<T> {
    pub fn load(&self) -> Guard<Arc<T>> {
        Guard(Arc::clone(&self.0.lock()))
    }

    pub fn store(&self, value: Arc<T>) {
        *self.0.lock() = value;
    }
}

impl<T> Deref for Guard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for ArcSwap<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ArcSwap")
    }
}
