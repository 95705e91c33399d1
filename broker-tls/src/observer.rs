use std::fmt;
use std::sync::{Arc, OnceLock};

type Observe = dyn Fn(&str) + Send + Sync;

/// Who is told, in a sentence, when something happens that the log should mention.
#[derive(Clone, Default)]
pub(crate) struct TextObserver(Arc<OnceLock<Box<Observe>>>);

impl TextObserver {
    /// The first one counts.
    pub(crate) fn set(&self, observer: impl Fn(&str) + Send + Sync + 'static) {
        let _ = self.0.set(Box::new(observer));
    }

    pub(crate) fn tell(&self, text: &str) {
        if let Some(observer) = self.0.get() {
            observer(text);
        }
    }
}

impl fmt::Debug for TextObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TextObserver").finish_non_exhaustive()
    }
}
