//! What is counted by the prefix of its topic.

use super::*;
use std::sync::atomic::Ordering::Relaxed;

impl Rig {
    fn counting(prefixes: &[&str]) -> Self {
        let rig = Self::new();
        let prefixes = prefixes.iter().map(|prefix| (*prefix).to_owned());
        Self { router: rig.router.with_tallies(prefixes), ..rig }
    }

    /// Messages and bytes in and out, by prefix.
    fn counts(&self) -> Vec<[u64; 4]> {
        let tallies = self.router.tallies().iter();
        tallies
            .map(|tally| {
                let Tally { messages_in, bytes_in, messages_out, bytes_out, .. } = &**tally;
                [messages_in, bytes_in, messages_out, bytes_out].map(|count| count.load(Relaxed))
            })
            .collect()
    }
}

#[test]
fn what_passes_counts_once_for_each_prefix_and_each_copy_for_a_peer() {
    let rig = Rig::counting(&["/", "/q", "/q/x", "other"]);
    let _sink = rig.sink(1, SinkKind::Subscriber, &["/"]);
    let frames: Vec<_> = (0..3).map(|number| data(R, NIL, "/q/y", number)).collect();
    let bytes = frames.concat().len() as u64;
    rig.arrive(&rig.r, &frames);
    // Both P and Q want them.
    let counts = [3, bytes, 6, 2 * bytes];
    assert_eq!(rig.counts(), [counts, counts, [0; 4], [0; 4]]);
    rig.publish(Origin::Endpoint, NIL, "/a", 1);
    let one = data(OWN, NIL, "/a", 1).len() as u64;
    assert_eq!(rig.counts()[0], [4, bytes + one, 7, 2 * bytes + one]);
    assert_eq!(rig.counts()[1], counts);
}

#[test]
fn what_goes_no_further_is_not_counted_as_going_out_and_what_is_refused_not_at_all() {
    let rig = Rig::counting(&["/"]);
    let last_hop = data_with(R, NIL, "/q", &Value::Count(1).encode(), 1);
    rig.arrive(&rig.r, std::slice::from_ref(&last_hop));
    assert_eq!(rig.counts(), [[1, last_hop.len() as u64, 0, 0]]);
    rig.arrive(&rig.r, &[data(STRANGER, NIL, "/q", 1), data_with(R, NIL, "/q", b"\xff", 16)]);
    assert_eq!(rig.counts()[0][0], 1);
}

#[test]
fn prefixes_count_also_after_subscriptions_have_changed() {
    let rig = Rig::counting(&["/"]);
    rig.router.set_peer_filter(P, Vec::new());
    rig.router.set_peer_filter(Q, topics(&["/a"]));
    rig.publish(Origin::Endpoint, NIL, "/a", 1);
    rig.publish(Origin::Endpoint, NIL, "/b", 1);
    let [messages_in, _, messages_out, _] = rig.counts()[0];
    assert_eq!((messages_in, messages_out), (2, 1));
}
