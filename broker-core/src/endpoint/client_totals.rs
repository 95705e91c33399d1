use super::clients::ClientCounters;
use super::metrics::{OTHER, Places};
use crate::event::ClientLabel;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// The name of clients that do not say what they are, as in Zeek.
const UNKNOWN: &str = "unknown";

/// The longest name that is told apart, in bytes; of a longer one this is the beginning.
const NAME_MAX: usize = 128;

/// What became of the messages of clients, by what is counted.
pub(super) const OUTCOMES: [&str; 4] = ["in", "refused", "out", "dropped"];

pub(super) type Totals = [u64; OUTCOMES.len()];

/// A client that is attached.
pub(super) struct Counted<'a> {
    pub(super) label: &'a ClientLabel,
    pub(super) counters: &'a ClientCounters,
    /// The name under which it is counted. It does not change once it is decided.
    pub(super) name: &'a mut Option<Arc<str>>,
}

/// What all clients of the same name have sent and received, those that have left included. The
/// names come from outside, so their number is limited.
#[derive(Debug)]
pub(super) struct ClientTotals {
    places: Places<Arc<str>>,
    left: BTreeMap<Arc<str>, Totals>,
}

impl ClientTotals {
    pub(super) fn new(limit: usize) -> Self {
        Self { places: Places::new(limit), left: BTreeMap::new() }
    }

    /// Keeps the numbers of a client that leaves.
    pub(super) fn leave(
        &mut self,
        label: &ClientLabel,
        counters: &ClientCounters,
        name: Option<Arc<str>>,
    ) {
        let name = name.unwrap_or_else(|| {
            let own = own_name(label);
            if self.places.enter_late(&own) { own } else { OTHER.into() }
        });
        self.places.leave(&name);
        add(self.left.entry(name).or_default(), counters);
    }

    /// The numbers of those who have left and of these clients.
    pub(super) fn with<'a>(
        &mut self,
        clients: impl Iterator<Item = Counted<'a>>,
    ) -> BTreeMap<Arc<str>, Totals> {
        let mut current: BTreeMap<Arc<str>, Totals> = BTreeMap::new();
        for Counted { label, counters, name } in clients {
            let name = name.get_or_insert_with(|| {
                let own = own_name(label);
                if self.places.enter(&own) { own } else { OTHER.into() }
            });
            add(current.entry(Arc::clone(name)).or_default(), counters);
        }
        self.left.retain(|name, _| &**name == OTHER || self.places.has(name));
        for (name, totals) in &self.left {
            let current = current.entry(Arc::clone(name)).or_default();
            current.iter_mut().zip(totals).for_each(|(sum, count)| *sum += count);
        }
        current
    }
}

fn own_name(label: &ClientLabel) -> Arc<str> {
    let name = label.application.as_deref().unwrap_or(UNKNOWN);
    let beginning = (0..=NAME_MAX).rev().find_map(|end| name.get(..end));
    beginning.unwrap_or(UNKNOWN).into()
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

    /// The numbers with these clients attached, which have not been counted before.
    fn with(totals: &mut ClientTotals, clients: &[(&str, u64)]) -> BTreeMap<Arc<str>, Totals> {
        let clients: Vec<_> =
            clients.iter().map(|(name, sent)| (label(Some(name)), counters(*sent))).collect();
        let mut names = vec![None; clients.len()];
        let counted = clients.iter().zip(&mut names).map(|((label, counters), name)| Counted {
            label,
            counters,
            name,
        });
        totals.with(counted)
    }

    #[test]
    fn clients_of_one_name_are_counted_together_whether_they_have_left_or_not() {
        let mut totals = ClientTotals::new(10);
        totals.leave(&label(Some("a")), &counters(1), None);
        totals.leave(&label(None), &counters(4), None);
        let now = with(&mut totals, &[("a", 2)]);
        assert_eq!(now["a"], [3, 0, 0, 0]);
        assert_eq!(now[UNKNOWN], [4, 0, 0, 0]);
    }

    #[test]
    fn the_number_of_names_is_limited() {
        let mut totals = ClientTotals::new(3);
        for number in 0..10 {
            totals.leave(&label(Some(&format!("app-{number}"))), &counters(1), None);
        }
        let now = with(&mut totals, &[]);
        assert_eq!(now.len(), 4);
        assert_eq!(now[OTHER], [7, 0, 0, 0]);
    }

    #[test]
    fn a_client_that_is_there_is_told_apart_however_many_names_have_been_used() {
        let mut totals = ClientTotals::new(3);
        for number in 0..10 {
            totals.leave(&label(Some(&format!("app-{number}"))), &counters(1), None);
        }
        let now = with(&mut totals, &[("dashboard", 2)]);
        assert_eq!(now["dashboard"], [2, 0, 0, 0]);
        assert_eq!(now.len(), 4);
    }

    #[test]
    fn the_length_of_names_is_limited() {
        let long = "ö".repeat(5000);
        let now = with(&mut ClientTotals::new(3), &[(&long, 1)]);
        assert_eq!(now["ö".repeat(NAME_MAX / 2).as_str()], [1, 0, 0, 0]);
    }
}
