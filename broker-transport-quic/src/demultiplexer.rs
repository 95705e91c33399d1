use crate::assembly::Assembly;
use crate::wire::{BARRIER_MAX, CONTROL, Item, STREAMS, first_item};
use broker_core::limits::READ_CHUNK_MAX;
use broker_core::transport::ReadBuffer;
use broker_core::wire::frame::{PREFIX, split_frame};
use broker_core::wire::handshake;

/// Frames above this size are put together one by one, within a bound.
pub(crate) const SMALL: usize = READ_CHUNK_MAX;

/// Puts the frames of all streams of one direction into one sequence again, in the order that the
/// barriers demand. Does no I/O.
pub(crate) struct Demultiplexer {
    inputs: Vec<Input>,
    /// Frames of each stream that have been handed up.
    delivered: [u64; STREAMS],
    assembly: Assembly,
    limits: Limits,
    /// The other side's messages of the handshake are not over.
    handshake: bool,
    end: Option<End>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) frame: usize,
    pub(crate) handshake_frame: usize,
    /// Bytes of large frames that are put together at the same time.
    pub(crate) assembly: usize,
}

/// Why nothing more is handed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The other side said so.
    Closed,
    /// The length of a frame beyond the limit is the last thing that was handed up.
    TooLarge,
}

/// What one stream brought that has not been handed up.
#[derive(Default)]
struct Input {
    bytes: ReadBuffer,
    finished: bool,
}

/// What a stream needs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// More bytes, at most this many.
    Read(usize),
    /// The progress of other streams, or nothing any more.
    Wait,
    /// That what has been handed up is looked at.
    Full,
}

impl Demultiplexer {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            inputs: Vec::new(),
            delivered: [0; STREAMS],
            assembly: Assembly::new(limits.assembly),
            limits,
            handshake: true,
            end: None,
        }
    }

    /// Adds the stream with the next number.
    pub(crate) fn add_stream(&mut self) {
        self.inputs.push(Input::default());
    }

    pub(crate) fn end(&self) -> Option<End> {
        self.end
    }

    /// Whether the last message of the other side's handshake has not been handed up.
    pub(crate) fn is_handshake(&self) -> bool {
        self.handshake
    }

    /// Where to append bytes of a stream. Call [`Self::filled`] afterwards.
    pub(crate) fn spare(&mut self, stream: usize) -> &mut Vec<u8> {
        self.inputs[stream].bytes.spare()
    }

    pub(crate) fn filled(&mut self, stream: usize, count: usize) {
        self.inputs[stream].bytes.filled(count);
    }

    /// Gives back memory that holds nothing.
    pub(crate) fn release(&mut self) {
        self.inputs.iter_mut().for_each(|input| input.bytes.release());
    }

    /// The stream has ended.
    pub(crate) fn finish(&mut self, stream: usize) {
        self.inputs[stream].finished = true;
    }

    /// How much memory is held.
    pub(crate) fn memory(&self) -> usize {
        self.inputs.iter().map(|input| input.bytes.capacity()).sum()
    }

    /// Hands up what a stream has and may, and says what it needs. The error says what is wrong
    /// with what the other side sent.
    pub(crate) fn advance(
        &mut self,
        stream: usize,
        out: &mut ReadBuffer,
    ) -> Result<Step, &'static str> {
        loop {
            if self.end.is_some() || out.pending().len() >= READ_CHUNK_MAX {
                return Ok(Step::Full);
            }
            match first_item(self.inputs[stream].bytes.pending())? {
                Item::Incomplete => return self.wait_for_item(stream),
                Item::End if stream == CONTROL => self.end = Some(End::Closed),
                Item::End => return Err("an end that is not on the control stream"),
                Item::Barrier(entries, length) => {
                    let mut reached = true;
                    for (other, count) in entries.iter() {
                        reached &= self.is_reached(other, count)?;
                    }
                    if !reached {
                        return Ok(Step::Wait);
                    }
                    self.inputs[stream].bytes.consume(length);
                }
                Item::Frame(length) => {
                    if let Some(step) = self.frame(stream, length, out)? {
                        return Ok(step);
                    }
                }
            }
        }
    }

    fn wait_for_item(&self, stream: usize) -> Result<Step, &'static str> {
        let input = &self.inputs[stream];
        match (input.finished, input.bytes.is_empty()) {
            (false, _) => Ok(Step::Read(usize::MAX)),
            (true, false) => Err("a stream that ends within an item"),
            (true, true) if stream == CONTROL => Err("a control stream without an end"),
            (true, true) => Ok(Step::Wait),
        }
    }

    fn is_reached(&self, stream: usize, count: u64) -> Result<bool, &'static str> {
        let Some(delivered) = self.delivered.get(stream) else {
            return Err("a barrier that names a stream which cannot be");
        };
        let over = self.inputs.get(stream).is_some_and(|i| i.finished && i.bytes.is_empty());
        match *delivered >= count {
            false if over => Err("a barrier that cannot be reached"),
            reached => Ok(reached),
        }
    }

    /// Hands up the frames that come next, the first of which has this size. Returns what the
    /// stream needs before the first one can be.
    fn frame(
        &mut self,
        stream: usize,
        length: usize,
        out: &mut ReadBuffer,
    ) -> Result<Option<Step>, &'static str> {
        let limit = if self.handshake { self.limits.handshake_frame } else { self.limits.frame };
        let input = &mut self.inputs[stream];
        let arrived = input.bytes.pending().len();
        if length - PREFIX > limit {
            // The core says what is wrong with that, as it does for every other transport.
            append(out, input.bytes.pending().get(..PREFIX).unwrap_or_default());
            self.end = Some(End::TooLarge);
            return Ok(Some(Step::Full));
        }
        let large = length > SMALL;
        if arrived < length {
            if input.finished {
                return Err("a stream that ends within a frame");
            }
            if large && !self.assembly.admit(stream, length) {
                return Ok(Some(Step::Wait));
            }
            return Ok(Some(Step::Read(if large { length - arrived } else { usize::MAX })));
        }
        if large && arrived == length {
            if !out.is_empty() {
                return Ok(Some(Step::Full));
            }
            // Moving the buffer saves a copy that would double the memory of the frame.
            out.release();
            std::mem::swap(out, &mut input.bytes);
            self.deliver(stream, 1);
        } else {
            self.copy_frames(stream, limit, out);
        }
        if large {
            self.assembly.finish(stream);
        }
        Ok(None)
    }

    /// Copies the frames at the front, at least one.
    fn copy_frames(&mut self, stream: usize, limit: usize, out: &mut ReadBuffer) {
        let pending = self.inputs[stream].bytes.pending();
        let (mut end, mut count) = (0, 0);
        let mut handshake = self.handshake && stream == CONTROL;
        while let Some((frame, _)) = split_frame(pending.get(end..).unwrap_or_default()) {
            let further = count > 0;
            if further && (frame.len() > SMALL.min(limit + PREFIX) || end >= READ_CHUNK_MAX) {
                break;
            }
            end += frame.len();
            count += 1;
            if handshake && handshake::ends_handshake(frame.get(PREFIX..).unwrap_or_default()) {
                (handshake, self.handshake) = (false, false);
            }
        }
        append(out, pending.get(..end).unwrap_or_default());
        self.inputs[stream].bytes.consume(end);
        self.deliver(stream, count);
    }

    fn deliver(&mut self, stream: usize, count: u64) {
        self.delivered[stream] += count;
    }
}

/// Appends bytes without reserving more than is good for the buffer.
fn append(out: &mut ReadBuffer, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let room = out.spare();
        let (now, later) = bytes.split_at(bytes.len().min(room.capacity() - room.len()));
        room.extend_from_slice(now);
        out.filled(now.len());
        bytes = later;
    }
}

const _: () = assert!(BARRIER_MAX < SMALL);
