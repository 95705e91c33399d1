//! An endpoint inside a program that is not asynchronous: threads that publish and receive.
//!
//! ```console
//! $ cargo run --example embedding
//! ```
//!
//! The endpoint lives on a runtime of its own. Other threads ask it through the handle of that
//! runtime, or wait for messages without one.

use broker::{Endpoint, Retry, Subscriber};
use std::error::Error;
use std::thread;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// What a program keeps: the endpoint and the runtime that moves its messages.
pub struct Overlay {
    runtime: Runtime,
    endpoint: Endpoint,
}

impl Overlay {
    /// Starts an endpoint with one thread for it.
    pub fn start() -> Result<Self, Box<dyn Error>> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let endpoint = runtime.block_on(async { broker::builder().build() })?;
        Ok(Self { runtime, endpoint })
    }

    /// Accepts peers at a free port, and returns the address.
    pub fn listen(&self) -> Result<String, Box<dyn Error>> {
        let url = self.runtime.block_on(self.endpoint.listen("tcp://127.0.0.1:0"))?;
        Ok(url.to_string())
    }

    /// Peers with an address, and waits until that is done.
    pub fn peer(&self, url: &str) -> Result<(), Box<dyn Error>> {
        self.runtime.block_on(self.endpoint.peer(url, Retry::never()).settled())?;
        Ok(())
    }

    /// Publishes from whatever thread this is.
    pub fn publish(&self, topic: &str, text: &str) -> Result<(), Box<dyn Error>> {
        self.runtime.block_on(self.endpoint.publish(topic, text))?;
        Ok(())
    }

    /// A subscriber, which any thread may wait for.
    pub fn subscribe(&self, prefix: &str) -> Subscriber {
        self.endpoint.subscribe(prefix)
    }

    /// Ends the peerings in an orderly way.
    pub fn stop(self) {
        self.runtime.block_on(self.endpoint.shutdown());
    }
}

/// Waits in a plain thread for so many messages, at most a second for the next ones.
pub fn collect(mut subscriber: Subscriber, count: usize) -> Vec<String> {
    let (mut texts, mut messages) = (Vec::new(), Vec::new());
    while texts.len() < count {
        let wait = Some(Duration::from_secs(1));
        if subscriber.blocking_recv_many(&mut messages, count - texts.len(), wait) == 0 {
            break;
        }
        texts.extend(messages.drain(..).map(|message| message.view().to_string()));
    }
    texts
}

/// Two programs in one, so that there is something to see.
pub fn run() -> Result<Vec<String>, Box<dyn Error>> {
    let (here, there) = (Overlay::start()?, Overlay::start()?);
    let subscriber = there.subscribe("/news");
    here.peer(&there.listen()?)?;
    let collecting = thread::spawn(move || collect(subscriber, 2));
    here.publish("/news", "from a thread")?;
    here.publish("/news", "that does not wait in a future")?;
    let texts = collecting.join().map_err(|_| "the thread has panicked")?;
    here.stop();
    there.stop();
    Ok(texts)
}

fn main() -> Result<(), Box<dyn Error>> {
    for text in run()? {
        println!("{text}");
    }
    Ok(())
}
