use super::{Splitter, dial, listen, prepare, write};
use crate::bench::Result;
use crate::bench::messages::{Latency, Load};
use crate::bench::shape::{Generator, Shape};
use crate::bench::worker::{Meter, Recorder, Running, Schedule, give_up};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, watch};
use tokio::time::{MissedTickBehavior, interval};

/// Frames of this size, prefix included, are answered; the load has others.
const PROBE: usize = 80;

/// Where in a probe the time stands at which it was due.
const DUE: std::ops::Range<usize> = 4..12;

const STEP: Duration = Duration::from_millis(1);

fn probe(due: u64) -> [u8; PROBE] {
    let mut frame = [0; PROBE];
    frame[..4].copy_from_slice(&(PROBE as u32 - 4).to_be_bytes());
    frame[DUE].copy_from_slice(&due.to_be_bytes());
    frame
}

struct Pong {
    url: String,
    meter: Meter,
}

/// Splits frames, and sends the probes among them back.
pub(in crate::bench) fn pong(handle: &Handle) -> Result<Box<dyn Running>> {
    let (listener, url) = handle.block_on(listen())?;
    let mut meter = Meter::default();
    let counter = meter.counter();
    handle.spawn(async move {
        let mut counter = counter;
        let Ok((stream, _)) = listener.accept().await else { return };
        let Ok(mut stream) = prepare(stream) else { return };
        let mut splitter = Splitter::default();
        while splitter.fill(&mut stream).await.is_ok_and(|more| more) {
            let mut count = 0;
            while let Some(frame) = splitter.next() {
                if frame.len() != PROBE {
                    count += 1;
                } else if stream.write_all(frame).await.is_err() {
                    return;
                }
            }
            counter.add(count);
        }
    });
    Ok(Box::new(Pong { url, meter }))
}

impl Running for Pong {
    fn url(&self) -> Option<String> {
        Some(self.url.clone())
    }

    fn count(&self) -> u64 {
        self.meter.count()
    }
}

struct Ping {
    handle: Handle,
    reader: Arc<Mutex<(Splitter, OwnedReadHalf)>>,
    writer: Arc<Mutex<OwnedWriteHalf>>,
    load: watch::Sender<Load>,
}

pub(in crate::bench) fn ping(at: String, handle: Handle) -> Result<Box<dyn Running>> {
    let (reader, writer) = handle.block_on(dial(&at))?.into_split();
    let reader = Arc::new(Mutex::new((Splitter::default(), reader)));
    let writer = Arc::new(Mutex::new(writer));
    let (load, wanted) = watch::channel(Load::Off);
    handle.spawn(make_load(Arc::clone(&writer), wanted));
    Ok(Box::new(Ping { handle, reader, writer, load }))
}

impl Running for Ping {
    fn load(&mut self, load: Load) -> Result<()> {
        Ok(self.load.send(load)?)
    }

    fn ping(&mut self, rate: Option<f64>, time: Duration) -> Result<Latency> {
        let (reader, writer) = (Arc::clone(&self.reader), Arc::clone(&self.writer));
        let Some(rate) = rate else {
            let task = one_after_the_other(reader, writer, time);
            return Ok(self.handle.block_on(self.handle.spawn(task))?.latency());
        };
        let schedule = Schedule::new(rate, time);
        let task = self.handle.spawn(record(reader, schedule.start(), schedule.count()));
        schedule.run(|due| self.handle.block_on(send(&writer, &probe(due))));
        Ok(self.handle.block_on(task)?.latency())
    }
}

async fn send(writer: &Mutex<OwnedWriteHalf>, frames: &[u8]) {
    if let Err(error) = write(&mut *writer.lock().await, frames).await {
        give_up(&format!("sending: {error}"));
    }
}

async fn next(reader: &mut (Splitter, OwnedReadHalf)) -> Duration {
    loop {
        if let Some(due) = reader.0.next().and_then(|frame| frame.get(DUE)) {
            return Duration::from_nanos(due.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)));
        }
        let (splitter, stream) = reader;
        if !splitter.fill(stream).await.is_ok_and(|more| more) {
            give_up("a pong did not come");
        }
    }
}

async fn one_after_the_other(
    reader: Arc<Mutex<(Splitter, OwnedReadHalf)>>,
    writer: Arc<Mutex<OwnedWriteHalf>>,
    time: Duration,
) -> Recorder {
    let mut reader = reader.lock().await;
    let mut recorder = Recorder::default();
    let began = Instant::now();
    while began.elapsed() < time {
        let sent = Instant::now();
        send(&writer, &probe(0)).await;
        next(&mut reader).await;
        recorder.record(sent.elapsed());
    }
    recorder
}

async fn record(
    reader: Arc<Mutex<(Splitter, OwnedReadHalf)>>,
    start: Instant,
    count: u64,
) -> Recorder {
    let mut reader = reader.lock().await;
    let mut recorder = Recorder::default();
    for _ in 0..count {
        let due = next(&mut reader).await;
        recorder.record(start.elapsed().saturating_sub(due));
    }
    recorder
}

async fn make_load(writer: Arc<Mutex<OwnedWriteHalf>>, mut wanted: watch::Receiver<Load>) {
    let (frames, count) = Generator::frames(Shape::Small, super::BLOCK);
    let frame = frames.len() / count;
    let mut steps = interval(STEP);
    steps.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut owed = 0.0;
    loop {
        let load = *wanted.borrow_and_update();
        match load {
            Load::Off => {
                if wanted.changed().await.is_err() {
                    return;
                }
                steps.reset();
                owed = 0.0;
                continue;
            }
            Load::Unlimited => owed = count as f64,
            Load::Rate(rate) => {
                steps.tick().await;
                owed += rate * STEP.as_secs_f64();
            }
        }
        while owed >= 1.0 {
            let now = (owed as usize).min(count);
            owed -= now as f64;
            send(&writer, frames.get(..now * frame).unwrap_or_default()).await;
        }
    }
}
