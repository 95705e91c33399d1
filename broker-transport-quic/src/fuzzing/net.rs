use crate::demultiplexer::{Demultiplexer, Limits, Step};
use crate::wire::STREAMS;
use broker_core::limits::READ_CHUNK_MAX;
use broker_core::transport::ReadBuffer;
use broker_core::wire::frame::split_frame;
use bytes::Bytes;

/// The streams between a multiplexer and a demultiplexer, of which each has its own pace.
pub(crate) struct Net {
    /// What has not arrived.
    pub(crate) streams: Vec<Bytes>,
    pub(crate) demultiplexer: Demultiplexer,
    pub(crate) out: ReadBuffer,
    pub(crate) received: Vec<Vec<u8>>,
    /// How much memory the demultiplexer may hold.
    most: usize,
}

impl Net {
    pub(crate) fn new(limits: Limits) -> Self {
        let mut demultiplexer = Demultiplexer::new(limits);
        (0..STREAMS).for_each(|_| demultiplexer.add_stream());
        let most = limits.assembly.max(limits.frame) + STREAMS * 2 * READ_CHUNK_MAX;
        let streams = vec![Bytes::new(); STREAMS];
        Self { streams, demultiplexer, out: ReadBuffer::new(), received: Vec::new(), most }
    }

    pub(crate) fn send(&mut self, sorted: impl Iterator<Item = (usize, Bytes)>) {
        for (stream, bytes) in sorted {
            self.put(stream, &bytes);
        }
    }

    pub(crate) fn put(&mut self, stream: usize, bytes: &[u8]) {
        self.streams[stream] = [&self.streams[stream], bytes].concat().into();
    }

    /// Lets up to `count` bytes of a stream arrive, and takes what is handed up.
    pub(crate) fn arrive(&mut self, stream: usize, count: usize) -> Result<(), &'static str> {
        let mut left = count;
        loop {
            match self.demultiplexer.advance(stream, &mut self.out)? {
                Step::Full if self.out.is_empty() || self.demultiplexer.end().is_some() => break,
                Step::Full => {}
                Step::Wait => break,
                Step::Read(most) => {
                    let room = self.demultiplexer.spare(stream);
                    let space = room.capacity() - room.len();
                    let now = left.min(most).min(space).min(self.streams[stream].len());
                    if now == 0 {
                        break;
                    }
                    room.extend_from_slice(&self.streams[stream].split_to(now));
                    self.demultiplexer.filled(stream, now);
                    left -= now;
                    let memory = self.demultiplexer.memory();
                    assert!(memory <= self.most, "{memory} bytes are held");
                }
            }
            self.take();
        }
        self.take();
        Ok(())
    }

    fn take(&mut self) {
        while let Some((frame, _)) = split_frame(self.out.pending()) {
            let length = frame.len();
            self.received.push(frame.to_vec());
            self.out.consume(length);
        }
        let is_whole = self.out.is_empty() || self.demultiplexer.end().is_some();
        assert!(is_whole, "a part of a frame was handed up");
    }
}
