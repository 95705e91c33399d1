use crate::topics::Topics;
use crate::wire::{CONTROL, STREAMS, put_end, put_mark};
use broker_core::wire::envelope::{Envelope, EnvelopeType};
use broker_core::wire::frame::PREFIX;
use broker_core::wire::handshake;
use bytes::Bytes;

/// Distributes frames over streams, with the marks that keep the promised order.
pub(crate) struct Sorter {
    /// Everything goes to the control stream.
    total_order: bool,
    /// The messages of the handshake are not over; until then the same holds.
    handshake: bool,
    topics: Topics,
    /// Frames that each stream got.
    sent: [u64; STREAMS],
    /// How many of these the marks on the control stream have mentioned.
    marked: [u64; STREAMS],
    /// Control frames of the handshake, which come before all data.
    before_data: u64,
    /// What is being put together for each stream.
    open: [Vec<u8>; STREAMS],
    sorted: Vec<(usize, Bytes)>,
}

/// Where a frame belongs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Lane(usize),
    /// The control stream, without waiting for other frames.
    Control,
    /// The control stream, behind all data before it.
    Behind,
}

impl Sorter {
    pub(crate) fn new(total_order: bool) -> Self {
        Self {
            total_order,
            handshake: true,
            topics: Topics::default(),
            sent: [0; STREAMS],
            marked: [0; STREAMS],
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
            let (stream, mark) = self.enter(frame);
            if stream != current || !mark.is_empty() {
                self.append(current, frames.get(start..at));
                put_mark(&mut self.open[stream], &mark);
                (current, start) = (stream, at);
            }
            at += frame.len();
        }
        self.append(current, frames.get(start..at));
    }

    /// Takes one large frame without copying it.
    pub(crate) fn add_shared(&mut self, frame: Bytes) {
        let (stream, mark) = self.enter(&frame);
        put_mark(&mut self.open[stream], &mark);
        self.close(stream);
        self.sorted.push((stream, frame));
    }

    /// Nothing more comes.
    pub(crate) fn end(&mut self) {
        let mark = self.unmarked();
        put_mark(&mut self.open[CONTROL], &mark);
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
                    Place::Lane(self.topics.lane(envelope.topic))
                }
                EnvelopeType::RoutingUpdate => Place::Control,
                EnvelopeType::Ping | EnvelopeType::Pong => Place::Behind,
            },
            Err(_) => Place::Behind,
        }
    }

    /// Counts a frame, and says on which stream it goes behind which mark.
    fn enter(&mut self, frame: &[u8]) -> (usize, Vec<(usize, u64)>) {
        let payload = frame.get(PREFIX..).unwrap_or_default();
        let (stream, mark) = match self.place(payload) {
            Place::Lane(lane) if self.sent[lane] == 0 => (lane, vec![(CONTROL, self.before_data)]),
            Place::Lane(lane) => (lane, Vec::new()),
            Place::Control => (CONTROL, Vec::new()),
            Place::Behind => (CONTROL, self.unmarked()),
        };
        self.sent[stream] += 1;
        (stream, mark)
    }

    /// The lanes with frames that no mark on the control stream has mentioned yet.
    fn unmarked(&mut self) -> Vec<(usize, u64)> {
        let lanes = CONTROL + 1..STREAMS;
        let fresh = lanes.filter(|lane| self.sent[*lane] > self.marked[*lane]);
        let mark = fresh.map(|lane| (lane, self.sent[lane])).collect();
        self.marked = self.sent;
        mark
    }
}

/// The first frame with its prefix, and what is behind it.
pub(crate) fn split_frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let prefix = bytes.first_chunk::<PREFIX>()?;
    bytes.split_at_checked(PREFIX + u32::from_be_bytes(*prefix) as usize)
}
