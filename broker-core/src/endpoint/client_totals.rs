use super::client::ClientCounters;
use crate::event::ClientLabel;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// The name of clients that do not say what they are, as in Zeek.
const UNKNOWN: &str = "unknown";

/// The name of those whose own came after the limit.
const OTHER: &str = "other";

/// What became of the messages of clients, by what is counted.
pub(super) const OUTCOMES: [&str; 4] = ["in", "refused", "out", "dropped"];

pub(super) type Totals = [u64; OUTCOMES.len()];

/// What all clients of the same name have sent and received, those that have left included. The
/// names come from outside, so their number is limited.
#[derive(Debug, Default)]
pub(super) struct ClientTotals {
    left: BTreeMap<Arc<str>, Totals>,
}

impl ClientTotals {
    /// The name under which a client is counted.
    fn name(&mut self, label: &ClientLabel, limit: usize) -> Arc<str> {
        let name = label.application.clone().unwrap_or_else(|| UNKNOWN.into());
        if self.left.contains_key(&name) {
            return name;
        }
        let name = if self.left.len() < limit { name } else { OTHER.into() };
        self.left.entry(Arc::clone(&name)).or_default();
        name
    }

    /// Keeps the numbers of a client that leaves.
    pub(super) fn leave(&mut self, label: &ClientLabel, counters: &ClientCounters, limit: usize) {
        let name = self.name(label, limit);
        if let Some(totals) = self.left.get_mut(&name) {
            add(totals, counters);
        }
    }

    /// The numbers of those who have left and of these clients.
    pub(super) fn with<'a>(
        &mut self,
        clients: impl Iterator<Item = (&'a ClientLabel, &'a ClientCounters)>,
        limit: usize,
    ) -> BTreeMap<Arc<str>, Totals> {
        let mut current: BTreeMap<Arc<str>, Totals> = BTreeMap::new();
        for (label, counters) in clients {
            let name = self.name(label, limit);
            add(current.entry(name).or_default(), counters);
        }
        for (name, totals) in &self.left {
            let current = current.entry(Arc::clone(name)).or_default();
            current.iter_mut().zip(totals).for_each(|(sum, count)| *sum += count);
        }
        current
    }
}

fn add(totals: &mut Totals, counters: &ClientCounters) {
    let counters =
        [&counters.messages_in, &counters.refused, &counters.messages_out, &counters.dropped];
    totals.iter_mut().zip(counters).for_each(|(sum, count)| *sum += count.load(Relaxed));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(application: Option<&str>) -> ClientLabel {
        ClientLabel { kind: "web-socket", application: application.map(Arc::from) }
    }

    fn counters(messages_in: u64) -> ClientCounters {
        ClientCounters { messages_in: messages_in.into(), ..ClientCounters::default() }
    }

    #[test]
    fn clients_of_one_name_are_counted_together_whether_they_have_left_or_not() {
        let mut totals = ClientTotals::default();
        totals.leave(&label(Some("a")), &counters(1), 10);
        let (a, nobody) = (label(Some("a")), label(None));
        let (two, four) = (counters(2), counters(4));
        let now = totals.with([(&a, &two), (&nobody, &four)].into_iter(), 10);
        assert_eq!(now["a"], [3, 0, 0, 0]);
        assert_eq!(now[UNKNOWN], [4, 0, 0, 0]);
    }

    #[test]
    fn the_number_of_names_is_limited() {
        let mut totals = ClientTotals::default();
        for number in 0..10 {
            totals.leave(&label(Some(&format!("app-{number}"))), &counters(1), 3);
        }
        let now = totals.with(std::iter::empty(), 3);
        assert_eq!(now.len(), 4);
        assert_eq!(now[OTHER], [7, 0, 0, 0]);
    }
}
