//! Changes of the routes and readers of the table, in every order that a scheduler comes up with.

use super::*;
use crate::OverflowPolicy;
use crate::queue::{BoundedQueue, Bounds};
use crate::routing::{Scope, SinkKind};
use shuttle::sync::atomic::AtomicBool;
use shuttle::thread;

const RUNS: usize = 5_000;

fn router() -> Arc<Router> {
    Arc::new(Router::new(EndpointId::from_bytes([1; 16]), true, 64, 8))
}

fn add_sink(router: &Router, id: u64) {
    let policy = OverflowPolicy::DropOldest;
    let bounds = Bounds { messages: 1, memory: 1, control: 1, policy };
    let sink = Arc::new(Sink { id, kind: SinkKind::Hub, queue: BoundedQueue::new(bounds) });
    router.set_sink(&sink, vec![Bytes::from_static(b"/")]);
}

fn sinks(router: &Router) -> usize {
    router.table().destinations(b"/x", Scope::default()).sinks.len()
}

/// Lets a change happen while somebody else makes the new table, and has a look meanwhile,
/// which is told whether the change was done before.
fn race_with_a_change(router: &Arc<Router>, look: impl FnOnce(bool)) {
    let done = Arc::new(AtomicBool::new(false));
    let bystander = thread::spawn({
        let router = Arc::clone(router);
        move || sinks(&router)
    });
    let changer = thread::spawn({
        let (router, done) = (Arc::clone(router), Arc::clone(&done));
        move || {
            add_sink(&router, 1);
            done.store(true, Ordering::SeqCst);
        }
    });
    look(done.load(Ordering::SeqCst));
    bystander.join().unwrap();
    changer.join().unwrap();
}

#[test]
fn shuttle_whoever_comes_after_a_change_sees_it() {
    shuttle::check_random(
        || {
            let router = router();
            race_with_a_change(&router, |changed| {
                let seen = sinks(&router);
                assert!(!changed || seen == 1, "a change that was done was not seen");
            });
            assert_eq!(sinks(&router), 1);
        },
        RUNS,
    );
}

#[test]
fn shuttle_an_old_table_is_not_taken_for_the_current_one() {
    shuttle::check_random(
        || {
            let router = router();
            let old = Arc::downgrade(&router.table());
            race_with_a_change(&router, |changed| {
                assert!(!(changed && router.is_current(&old)), "routes were remembered too long");
            });
        },
        RUNS,
    );
}

#[test]
fn shuttle_no_change_is_lost_between_two_that_happen_at_the_same_time() {
    shuttle::check_random(
        || {
            let router = router();
            let changers = [1, 2].map(|id| {
                let router = Arc::clone(&router);
                thread::spawn(move || {
                    add_sink(&router, id);
                    assert!(sinks(&router) >= 1);
                })
            });
            changers.into_iter().for_each(|changer| changer.join().unwrap());
            assert_eq!(sinks(&router), 2);
        },
        RUNS,
    );
}
