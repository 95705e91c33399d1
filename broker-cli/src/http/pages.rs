use http_body_util::Full;
use hyper::body::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

/// A page that is made away from the threads that move messages, one at a time, and not again
/// before an interval is over. Every request gets a page that was begun after it came.
pub(super) struct Page {
    make: Arc<dyn Fn() -> Result<String, String> + Send + Sync>,
    interval: Duration,
    last: Arc<Mutex<Option<Made>>>,
}

struct Made {
    begun: Instant,
    page: Result<Bytes, String>,
}

impl Page {
    pub(super) fn new(
        interval: Duration,
        make: impl Fn() -> Result<String, String> + Send + Sync + 'static,
    ) -> Self {
        Self { make: Arc::new(make), interval, last: Arc::default() }
    }

    /// The page as it is now. Cancel safe: a page that has been begun is finished.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub(super) async fn get(&self) -> Result<Full<Bytes>, String> {
        let asked = Instant::now();
        let mut last = Arc::clone(&self.last).lock_owned().await;
        if let Some(made) = last.as_ref().filter(|made| made.begun > asked) {
            return made.page.clone().map(Full::new);
        }
        if let Some(made) = &*last {
            sleep(self.interval.saturating_sub(made.begun.elapsed())).await;
        }
        let make = Arc::clone(&self.make);
        let made = tokio::task::spawn_blocking(move || {
            // Owning the lock, so that no other page is begun if the request is cancelled.
            let made = last.insert(Made { begun: Instant::now(), page: Err(String::new()) });
            made.page = make().map(Bytes::from);
            made.page.clone()
        });
        made.await.map_err(|error| error.to_string())?.map(Full::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::time::timeout;

    fn counting(interval: Duration) -> Arc<Page> {
        let count = AtomicUsize::new(0);
        let make = move || Ok((1 + count.fetch_add(1, Ordering::Relaxed)).to_string());
        Arc::new(Page::new(interval, make))
    }

    async fn get(page: &Page) -> String {
        let bytes = page.get().await.unwrap().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_ask_before_the_interval_is_over_share_the_next_page() {
        let page = counting(Duration::from_secs(1));
        assert_eq!(get(&page).await, "1");
        let began = Instant::now();
        let many: Vec<_> = (0..20)
            .map(|_| {
                let page = Arc::clone(&page);
                tokio::spawn(async move { get(&page).await })
            })
            .collect();
        for one in many {
            assert_eq!(one.await.unwrap(), "2");
        }
        assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
        tokio::time::advance(Duration::from_secs(5)).await;
        let began = Instant::now();
        assert_eq!(get(&page).await, "3");
        assert!(began.elapsed() < Duration::from_secs(1), "after a while nobody waits");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_page_is_made_at_a_time_however_many_ask_and_go() {
        let busy = Arc::new(AtomicUsize::new(0));
        let (free, gate) = std::sync::mpsc::channel::<()>();
        let gate = std::sync::Mutex::new(gate);
        let making = Arc::clone(&busy);
        let page = Page::new(Duration::ZERO, move || {
            let others = making.fetch_add(1, Ordering::SeqCst);
            let _ = gate.lock().unwrap().recv();
            making.fetch_sub(1, Ordering::SeqCst);
            Ok(others.to_string())
        });
        // These ask, and have gone before their page is made.
        for _ in 0..3 {
            assert!(timeout(Duration::from_millis(20), page.get()).await.is_err());
        }
        drop(free);
        assert_eq!(get(&page).await, "0");
        assert_eq!(busy.load(Ordering::SeqCst), 0);
    }
}
