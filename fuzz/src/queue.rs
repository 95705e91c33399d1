use broker_proto::EndpointId;
use broker_proto::OverflowPolicy;
use broker_proto::WriteBatch;
use broker_proto::fuzzing::Input;
use broker_proto::limits::{SEGMENT, SHARED_FRAME_MIN, WRITE_BATCH};
use broker_proto::queue::{BoundedQueue, Bounds, Closing, Push, Taken};
use broker_proto::wire::envelope::{Envelope, EnvelopeType, ping_frame};
use broker_proto::wire::frame::{PREFIX, payloads};
use bytes::Bytes;

/// Whatever is pushed and taken in whatever order, a queue holds its bounds, keeps its order, loses
/// no control frame and counts exactly what it drops.
pub(super) fn queue(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut rig = Rig::new(&mut input);
    while !input.is_empty() {
        rig.step(&mut input);
        rig.check();
    }
    rig.finish();
}

struct Rig {
    queue: BoundedQueue,
    bounds: Bounds,
    /// The largest frame pushed, which may be one too many.
    largest: usize,
    /// Whether a producer that had waited has pushed beyond the bounds.
    waited: bool,
    data: u32,
    control: u32,
    offered: u64,
    taken: u64,
    last_data: Option<u32>,
    next_control: u32,
    closing: Option<Closing>,
    overflowed: bool,
}

impl Rig {
    fn new(input: &mut Input<'_>) -> Self {
        use OverflowPolicy as P;
        let policy = [P::Disconnect, P::DropNewest, P::DropOldest, P::Wait][input.below(4)];
        let bounds = Bounds {
            messages: 1 + input.below(24),
            memory: 1024 * (1 + input.below(200)),
            control: 100 * input.below(20),
            policy,
        };
        Self {
            queue: BoundedQueue::new(bounds),
            bounds,
            largest: 0,
            waited: false,
            data: 0,
            control: 0,
            offered: 0,
            taken: 0,
            last_data: None,
            next_control: 0,
            closing: None,
            overflowed: false,
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.below(16) {
            0..=5 => self.push(input, false),
            6 => self.push(input, true),
            7..=8 => self.push_shared(input),
            9..=10 => self.push_control(input),
            11..=13 => {
                self.take();
            }
            14 => {
                assert!(!self.queue.is_full() || self.queue.stats().queued > 0);
                self.queue.start_window();
                self.queue.release();
            }
            _ => match input.u8() {
                0 => self.close(Closing::Flush),
                1 => self.close(Closing::Now),
                _ => {}
            },
        }
    }

    fn frame(&mut self, padding: usize) -> Vec<u8> {
        let mut payload = self.data.to_be_bytes().to_vec();
        payload.resize(4 + padding, 0xaa);
        self.data += 1;
        let (sender, receiver, kind) = (EndpointId::NIL, EndpointId::NIL, EnvelopeType::Data);
        let envelope = Envelope { sender, receiver, kind, ttl: 1, topic: b"t", payload: &payload };
        let mut frame = Vec::new();
        assert!(envelope.put_frame(&mut frame).is_ok());
        frame
    }

    fn push(&mut self, input: &mut Input<'_>, may_wait: bool) {
        let (count, padding) = (1 + input.below(5), usize::from(input.u16()) % 3000);
        let run: Vec<u8> = (0..count).flat_map(|_| self.frame(padding)).collect();
        self.largest = self.largest.max(run.len() / count);
        self.waited |= may_wait && self.bounds.policy == OverflowPolicy::Wait;
        let outcome = self.queue.push(&run, count, may_wait);
        self.pushed(outcome, count);
    }

    fn push_shared(&mut self, input: &mut Input<'_>) {
        let frame = Bytes::from(self.frame(SHARED_FRAME_MIN + usize::from(input.u16())));
        self.largest = self.largest.max(frame.len());
        let outcome = self.queue.push_shared(&frame, false);
        self.pushed(outcome, 1);
    }

    fn push_control(&mut self, input: &mut Input<'_>) {
        let mut payload = self.control.to_be_bytes().to_vec();
        payload.resize(4 + input.below(200), 0);
        let frame = ping_frame(EndpointId::NIL, EndpointId::NIL, &payload);
        let held = self.queue.stats();
        let outcome = self.queue.push_control(&frame);
        if outcome == Push::Done {
            self.control += 1;
        }
        assert!(outcome != Push::Overflow || held.queued > 0, "one control frame always fits");
        self.pushed(outcome, 1);
    }

    fn pushed(&mut self, outcome: Push, count: usize) {
        match outcome {
            Push::Done => {
                assert!(self.closing.is_none());
                self.offered += count as u64;
            }
            Push::Overflow => {
                assert!(self.closing.is_none(), "an overflow is reported once");
                (self.closing, self.overflowed) = (Some(Closing::Now), true);
            }
            Push::Closed => assert!(self.closing.is_some()),
        }
    }

    fn close(&mut self, how: Closing) {
        self.queue.close(how);
        if self.closing != Some(Closing::Now) {
            self.closing = Some(how);
        }
    }

    fn take(&mut self) -> Taken {
        let mut batch = WriteBatch::new();
        let taken = self.queue.take(&mut batch);
        assert_eq!(taken == Taken::Some, !batch.is_empty());
        assert!(taken == Taken::Some || taken == Taken::Closed || self.closing.is_none());
        assert!(batch.remaining() <= WRITE_BATCH + SEGMENT.max(self.largest) + self.bounds.control);
        while !batch.is_empty() {
            let chunk = batch.first().to_vec();
            payloads(&chunk).for_each(|frame| self.arrived(frame));
            let length: usize = payloads(&chunk).map(|frame| PREFIX + frame.len()).sum();
            assert_eq!(length, chunk.len(), "a chunk is whole frames");
            batch.advance(length);
        }
        taken
    }

    fn arrived(&mut self, frame: &[u8]) {
        let Ok(envelope) = Envelope::decode(frame) else {
            assert!(Envelope::decode(frame).is_ok(), "{frame:?}");
            return;
        };
        let number = envelope.payload.first_chunk().copied().map(u32::from_be_bytes);
        self.taken += 1;
        if envelope.kind == EnvelopeType::Ping {
            assert_eq!(
                number,
                Some(self.next_control),
                "control frames are neither lost nor moved"
            );
            self.next_control += 1;
        } else {
            assert!(number > self.last_data, "{number:?} after {:?}", self.last_data);
            self.last_data = number;
        }
    }

    fn check(&self) {
        let stats = self.queue.stats();
        let controls = (self.control - self.next_control) as usize;
        if !self.waited {
            assert!(stats.queued <= self.bounds.messages + controls);
            let slack = SEGMENT + self.largest + controls * 1024 + 2 * self.bounds.control + 4096;
            assert!(stats.memory <= self.bounds.memory + slack, "{stats:?} {:?}", self.bounds);
        }
        if !self.overflowed {
            assert_eq!(self.offered, self.taken + stats.dropped + stats.queued as u64);
        }
        assert!(stats.high_water >= stats.queued || self.closing == Some(Closing::Now));
    }

    /// Takes what is left.
    fn finish(&mut self) {
        while self.take() == Taken::Some {}
        self.check();
        let stats = self.queue.stats();
        assert_eq!((stats.queued, stats.memory), (0, 0));
        if self.closing != Some(Closing::Now) {
            assert_eq!(self.next_control, self.control);
        }
    }
}
