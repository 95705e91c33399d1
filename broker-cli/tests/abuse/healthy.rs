use crate::common::within;
use broker::{
    Address, Config, Endpoint, OverflowPolicy, Retry, SubscriberOptions, SubscriberPolicy,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Two peers of the node, of which one publishes numbers and the other one receives them.
pub(crate) struct Healthy {
    publisher: Endpoint,
    receiver: Endpoint,
    stop: Arc<AtomicBool>,
    published: Arc<AtomicU64>,
    received: watch::Receiver<u64>,
    tasks: [JoinHandle<()>; 2],
}

async fn endpoint(node: &Address) -> Endpoint {
    let config = Config { overflow_policy: OverflowPolicy::Wait, ..Config::default() };
    let endpoint = broker::builder().config(config).build().unwrap();
    within("peering", endpoint.peer(node, Retry::never())).await.unwrap();
    endpoint
}

impl Healthy {
    pub(crate) async fn start(node: &Address) -> Self {
        let receiver = endpoint(node).await;
        let options = SubscriberOptions::with_policy(SubscriberPolicy::Wait);
        let mut subscriber = receiver.subscribe_with(["/healthy"], options);
        let (seen, received) = watch::channel(0);
        // Only what is published after the node knows of the subscription has to arrive.
        let id = receiver.peers()[0].id.unwrap();
        tokio::time::timeout(Duration::from_secs(30), receiver.ping(id)).await.unwrap().unwrap();
        let publisher = endpoint(node).await;
        let (stop, published) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let receiving = tokio::spawn(async move {
            for expected in 1.. {
                let Some(message) = subscriber.recv().await else { return };
                let number = message.view().as_count();
                assert_eq!(number, Some(expected), "a gap in what the healthy peers exchange");
                seen.send_replace(expected);
            }
        });
        let (stopped, count, from) = (Arc::clone(&stop), Arc::clone(&published), publisher.clone());
        let publishing = tokio::spawn(async move {
            let mut number = 0_u64;
            while !stopped.load(SeqCst) {
                number += 1;
                from.publish("/healthy", &number).await.unwrap();
                count.store(number, SeqCst);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        let tasks = [receiving, publishing];
        Self { publisher, receiver, stop, published, received, tasks }
    }

    /// Waits until everything that has been published so far, and then some, has arrived.
    pub(crate) async fn is_served(&mut self) {
        let goal = self.published.load(SeqCst) + 20;
        let arrived = self.received.wait_for(|received| *received >= goal);
        within("messages between the healthy peers", arrived).await.expect("nobody has failed");
    }

    /// Publishes this text so many times, for whoever wants it.
    pub(crate) async fn flood(&self, topic: &str, text: &str, times: usize) {
        for _ in 0..times {
            within("publishing", self.publisher.publish(topic, text)).await.unwrap();
        }
    }

    /// Lets the last message arrive.
    pub(crate) async fn end(mut self) {
        self.stop.store(true, SeqCst);
        let [receiving, publishing] = self.tasks;
        within("the last message", publishing).await.unwrap();
        let last = self.published.load(SeqCst);
        let arrived = self.received.wait_for(|received| *received == last);
        within("the last message", arrived).await.expect("nobody has failed");
        self.publisher.shutdown().await;
        self.receiver.shutdown().await;
        within("the end", receiving).await.unwrap();
    }
}
