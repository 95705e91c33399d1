use crate::topics::Topics;
use crate::wire::{CONTROL, STREAMS, put_barrier, put_end};
use broker_core::wire::envelope::{Envelope, EnvelopeType};
use broker_core::wire::frame::{PREFIX, split_frame};
use broker_core::wire::handshake;
use bytes::Bytes;

/// Distributes frames over streams, with the barriers that keep the promised order.
pub(crate) struct Multiplexer {
    /// Everything goes to the control stream.
    total_order: bool,
    /// The messages of the handshake are not over; until then the same holds.
    handshake: bool,
    topics: Topics,
    /// Frames that each stream got.
    sent: [u64; STREAMS],
    /// How many of these the barriers on the control stream have mentioned.
    covered: [u64; STREAMS],
    /// Control frames of the handshake, which come before all data.
    before_data: u64,
    /// What is being put together for each stream.
    open: [Vec<u8>; STREAMS],
    sorted: Vec<(usize, Bytes)>,
}

/// Where a frame belongs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Topic(usize),
    /// The control stream, without waiting for other frames.
    Control,
    /// The control stream, behind all data before it.
    Behind,
}

impl Multiplexer {
    pub(crate) fn new(total_order: bool) -> Self {
        Self {
            total_order,
            handshake: true,
            topics: Topics::default(),
            sent: [0; STREAMS],
            covered: [0; STREAMS],
            before_data: 0,
            open: Default::default(),
            sorted: Vec::new(),
        }
    }

    /// Takes a copy of whole frames.
    pub(crate) fn add(&mut self, frames: &[u8]) {
        // Neighbours on the same stream are copied together.
        let (mut current, mut start, mut at) = (CONTROL, 0, 0);
        while let Some((frame, _)) = split_frame(frames.get(at..).unwrap_or_default()) {
            let (stream, barrier) = self.enter(frame);
            if stream != current || !barrier.is_empty() {
                self.append(current, frames.get(start..at));
                put_barrier(&mut self.open[stream], &barrier);
                (current, start) = (stream, at);
            }
            at += frame.len();
        }
        self.append(current, frames.get(start..at));
    }

    /// Takes one large frame without copying it.
    pub(crate) fn add_shared(&mut self, frame: Bytes) {
        let (stream, barrier) = self.enter(&frame);
        put_barrier(&mut self.open[stream], &barrier);
        self.close(stream);
        self.sorted.push((stream, frame));
    }

    /// Nothing more comes.
    pub(crate) fn end(&mut self) {
        let barrier = self.without_barrier();
        put_barrier(&mut self.open[CONTROL], &barrier);
        put_end(&mut self.open[CONTROL]);
    }

    /// What has been distributed since the last call, in the order that each stream wants it.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = (usize, Bytes)> {
        for stream in 0..STREAMS {
            self.close(stream);
        }
        self.sorted.drain(..)
    }

    fn append(&mut self, stream: usize, bytes: Option<&[u8]>) {
        self.open[stream].extend_from_slice(bytes.unwrap_or_default());
    }

    fn close(&mut self, stream: usize) {
        let bytes = std::mem::take(&mut self.open[stream]);
        if !bytes.is_empty() {
            self.sorted.push((stream, bytes.into()));
        }
    }

    fn place(&mut self, payload: &[u8]) -> Place {
        if self.total_order {
            return Place::Control;
        }
        if self.handshake {
            self.handshake = !handshake::ends_handshake(payload);
            self.before_data = self.sent[CONTROL] + 1;
            return Place::Control;
        }
        match Envelope::decode(payload) {
            Ok(envelope) => match envelope.kind {
                EnvelopeType::Data | EnvelopeType::Command => {
                    Place::Topic(self.topics.stream(envelope.topic))
                }
                EnvelopeType::RoutingUpdate | EnvelopeType::Announcement => Place::Control,
                EnvelopeType::Ping | EnvelopeType::Pong => Place::Behind,
            },
            Err(_) => Place::Behind,
        }
    }

    /// Counts a frame, and says on which stream it goes behind which barrier.
    fn enter(&mut self, frame: &[u8]) -> (usize, Vec<(usize, u64)>) {
        let payload = frame.get(PREFIX..).unwrap_or_default();
        let (stream, barrier) = match self.place(payload) {
            Place::Topic(stream) if self.sent[stream] == 0 => {
                (stream, vec![(CONTROL, self.before_data)])
            }
            Place::Topic(stream) => (stream, Vec::new()),
            Place::Control => (CONTROL, Vec::new()),
            Place::Behind => (CONTROL, self.without_barrier()),
        };
        self.sent[stream] += 1;
        (stream, barrier)
    }

    /// The topic streams with frames that no barrier on the control stream has mentioned yet.
    fn without_barrier(&mut self) -> Vec<(usize, u64)> {
        let topic_streams = CONTROL + 1..STREAMS;
        let fresh = topic_streams.filter(|stream| self.sent[*stream] > self.covered[*stream]);
        let barrier = fresh.map(|stream| (stream, self.sent[stream])).collect();
        self.covered = self.sent;
        barrier
    }
}
