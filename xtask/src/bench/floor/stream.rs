use super::{BLOCK, Splitter, dial, listen, prepare, write};
use crate::bench::Result;
use crate::bench::shape::{Generator, Shape};
use crate::bench::worker::{Counter, Meter, Running, give_up};
use broker::core::wire::envelope::Envelope;
use broker::core::wire::frame::{PREFIX, finish_frame};
use broker::data::{DecodeLimits, Encode, validate};
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Counts what its tasks move.
struct Stream {
    url: Option<String>,
    meter: Meter,
    go: watch::Sender<bool>,
}

impl Running for Stream {
    fn url(&self) -> Option<String> {
        self.url.clone()
    }

    fn count(&self) -> u64 {
        self.meter.count()
    }

    fn start(&mut self) -> Result<()> {
        Ok(self.go.send(true)?)
    }
}

/// Writes the same frames over and over, into each of its connections, or encodes new ones.
pub(in crate::bench) fn send(
    shape: Shape,
    connections: usize,
    encode: bool,
    handle: Handle,
) -> Result<Box<dyn Running>> {
    let (listener, url) = handle.block_on(listen())?;
    let mut meter = Meter::default();
    let counters: Vec<Counter> = (0..connections).map(|_| meter.counter()).collect();
    let (go, started) = watch::channel(false);
    handle.spawn(async move {
        if let Err(error) = serve(listener, shape, encode, counters, started).await {
            give_up(&format!("sending: {error}"));
        }
    });
    Ok(Box::new(Stream { url: Some(url), meter, go }))
}

async fn serve(
    listener: TcpListener,
    shape: Shape,
    encode: bool,
    counters: Vec<Counter>,
    started: watch::Receiver<bool>,
) -> io::Result<()> {
    let (frames, count) = Generator::frames(shape, BLOCK);
    let frames: Arc<[u8]> = frames.into();
    for mut counter in counters {
        let (stream, _) = listener.accept().await?;
        let mut stream = prepare(stream)?;
        let mut started = started.clone();
        let frames = Arc::clone(&frames);
        tokio::spawn(async move {
            // Ends, with the process, before anybody is told to start, or after that.
            let _ = started.wait_for(|go| *go).await;
            if encode {
                return send_new(stream, shape, counter).await;
            }
            while write(&mut stream, &frames).await.is_ok() {
                counter.add(count as u64);
            }
        });
    }
    Ok(())
}

/// Encodes frames into a block with the encoder of the endpoints, and writes it.
async fn send_new(mut stream: TcpStream, shape: Shape, mut counter: Counter) {
    let mut generator = Generator::new(shape);
    let head = Generator::head();
    let (mut frames, mut count) = (Vec::with_capacity(2 * BLOCK), 0);
    loop {
        let start = frames.len();
        frames.extend_from_slice(&head);
        generator.next().encode_into(&mut frames);
        finish_frame(&mut frames, start);
        count += 1;
        if frames.len() + (frames.len() - start) > BLOCK {
            if write(&mut stream, &frames).await.is_err() {
                return;
            }
            counter.add(count);
            frames.clear();
            count = 0;
        }
    }
}

/// Receives frames and does nothing but split them, or check them with the validator of the
/// endpoints.
pub(in crate::bench) fn split(
    at: String,
    connections: usize,
    check: bool,
    handle: &Handle,
) -> Result<Box<dyn Running>> {
    let mut meter = Meter::default();
    for _ in 0..connections {
        let mut stream = handle.block_on(dial(&at))?;
        let mut counter = meter.counter();
        handle.spawn(async move {
            let mut splitter = Splitter::default();
            while splitter.fill(&mut stream).await.is_ok_and(|more| more) {
                let mut count = 0;
                while let Some(frame) = splitter.next() {
                    if check && !is_valid(frame) {
                        give_up("a message is not what was sent");
                    }
                    std::hint::black_box(frame);
                    count += 1;
                }
                counter.add(count);
            }
        });
    }
    let (go, _) = watch::channel(true);
    Ok(Box::new(Stream { url: None, meter, go }))
}

fn is_valid(frame: &[u8]) -> bool {
    let envelope = Envelope::decode(frame.get(PREFIX..).unwrap_or_default());
    envelope.is_ok_and(|envelope| validate(envelope.payload, DecodeLimits::default()).is_ok())
}

/// Passes bytes on, from whom it dials to who dials it.
pub(in crate::bench) fn relay(at: String, handle: &Handle) -> Result<Box<dyn Running>> {
    let (listener, url) = handle.block_on(listen())?;
    let mut from = handle.block_on(dial(&at))?;
    handle.spawn(async move {
        let Ok((to, _)) = listener.accept().await else { return };
        let Ok(mut to) = prepare(to) else { return };
        let mut block = vec![0; BLOCK];
        while let Ok(count @ 1..) = from.read(&mut block).await {
            if to.write_all(block.get(..count).unwrap_or_default()).await.is_err() {
                return;
            }
        }
    });
    let (go, _) = watch::channel(true);
    Ok(Box::new(Stream { url: Some(url), meter: Meter::default(), go }))
}
