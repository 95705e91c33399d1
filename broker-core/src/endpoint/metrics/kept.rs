use super::names;
use broker_proto::wire::envelope::EnvelopeType;
use metrics::{Counter, counter};
use parking_lot::Mutex;
use std::collections::HashMap;

/// The value of a label, whose name comes with that of the metric.
type Label = (&'static str, &'static str);

/// The counters of what happens now and then. All their labels come from the program text.
///
/// They are handed over each time although they seldom change: a recorder may forget what is not
/// used for a while, as it should do with peers that are gone.
#[derive(Debug, Default)]
pub(super) struct Kept {
    counters: Mutex<HashMap<(&'static str, Vec<Label>), Counter>>,
}

impl Kept {
    pub(super) fn count(&self, name: &'static str, labels: &[Label], new: u64) {
        let mut counters = self.counters.lock();
        let counter =
            counters.entry((name, labels.to_vec())).or_insert_with(|| counter!(name, labels));
        counter.increment(new);
    }

    pub(super) fn processed(&self, kind: EnvelopeType, new: u64) {
        if new > 0 {
            self.count(names::PROCESSED, &[("type", kind.name())], new);
        }
    }

    /// Hands over those that have not changed.
    pub(super) fn refresh(&self) {
        self.counters.lock().values().for_each(|counter| counter.increment(0));
    }
}
