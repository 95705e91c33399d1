use crate::limits::{SEGMENT, SHARED_FRAME_MIN, WRITE_BATCH};
use crate::wire::envelope::is_control_frame;
use crate::wire::frame::frame_length;
use crate::{Chunk, WriteBatch};
use bytes::Bytes;
use std::collections::VecDeque;

/// Room that a segment starts with; it grows with what is put into it.
const FIRST_SEGMENT: usize = 1024;

/// A segment of at most this capacity is kept by an idle queue.
const IDLE_SEGMENT: usize = 8 * 1024;

/// Emptied segments that are kept to be filled again: as many as one write takes. Without them
/// every batch would get its memory anew from the operating system.
const SPARES: usize = WRITE_BATCH / SEGMENT;

/// A contiguous piece of a queue.
#[allow(missing_docs, reason = "the fields are what their names say")]
#[derive(Debug)]
pub enum Piece {
    /// Small frames, copied together; the first `skip` bytes have been dropped, and `control`
    /// bytes belong to control frames.
    Segment { bytes: Vec<u8>, skip: usize, frames: usize, control: usize },
    /// One large frame.
    Shared(Bytes),
}

impl Piece {
    fn memory(&self) -> usize {
        match self {
            Self::Segment { bytes, .. } => bytes.capacity(),
            Self::Shared(bytes) => bytes.len(),
        }
    }

    /// How many whole frames are in it.
    pub fn frames(&self) -> usize {
        match self {
            Self::Segment { frames, .. } => *frames,
            Self::Shared(_) => 1,
        }
    }
}

/// Frames in order, counted in messages and in bytes of the memory they hold.
///
/// Small frames are copied into segments: a short copy is cheaper than a reference count, the
/// writer has nothing left to gather, and no small frame pins a large buffer.
#[derive(Debug, Default)]
pub(super) struct FrameQueue {
    /// Control frames that survived the dropping of what was around them. They come first.
    kept: Vec<u8>,
    kept_frames: usize,
    pieces: VecDeque<Piece>,
    messages: usize,
    memory: usize,
    control: usize,
    /// Whether the last segment takes no more frames.
    sealed: bool,
    spare: Vec<Vec<u8>>,
}

impl FrameQueue {
    pub(super) fn messages(&self) -> usize {
        self.messages
    }

    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// Bytes of control frames.
    pub(super) fn control(&self) -> usize {
        self.control
    }

    /// Appends a copy of a frame that [`Self::drop_oldest`] will pass over.
    pub(super) fn push_control(&mut self, frame: &[u8]) {
        self.push(frame, 1);
        if let Some(Piece::Segment { control, .. }) = self.pieces.back_mut() {
            *control += frame.len();
            self.control += frame.len();
        }
    }

    /// Appends a copy of `count` whole frames.
    pub(super) fn push(&mut self, frames: &[u8], count: usize) {
        self.messages += count;
        let sealed = std::mem::take(&mut self.sealed);
        if let Some(Piece::Segment { bytes, frames: counted, .. }) = self.pieces.back_mut()
            && !sealed
            && bytes.len() + frames.len() <= SEGMENT
        {
            let before = bytes.capacity();
            bytes.extend_from_slice(frames);
            *counted += count;
            self.memory += bytes.capacity() - before;
            return;
        }
        let mut bytes = self.spare.pop().unwrap_or_default();
        // Behind a segment that is full comes, most likely, another one that will be.
        let follows = matches!(self.pieces.back(), Some(Piece::Segment { .. }));
        bytes.reserve(frames.len().max(if follows { SEGMENT } else { FIRST_SEGMENT }));
        bytes.extend_from_slice(frames);
        self.memory += bytes.capacity();
        self.pieces.push_back(Piece::Segment { bytes, skip: 0, frames: count, control: 0 });
    }

    /// Appends `count` whole frames without copying them, and leaves an empty segment for them.
    pub(super) fn push_segment(&mut self, frames: &mut Vec<u8>, count: usize) {
        let bytes = std::mem::replace(frames, self.spare.pop().unwrap_or_default());
        self.messages += count;
        self.memory += bytes.capacity();
        self.sealed = false;
        self.pieces.push_back(Piece::Segment { bytes, skip: 0, frames: count, control: 0 });
    }

    /// Makes what is pushed from now on a piece of its own.
    pub(super) fn seal(&mut self) {
        self.sealed = true;
    }

    /// Appends one large frame without copying it.
    pub(super) fn push_shared(&mut self, frame: Bytes) {
        debug_assert!(frame.len() >= SHARED_FRAME_MIN);
        self.messages += 1;
        self.memory += frame.len();
        self.pieces.push_back(Piece::Shared(frame));
    }

    /// Drops the oldest frame that may be dropped, and returns whether there was one.
    pub(super) fn drop_oldest(&mut self) -> bool {
        loop {
            let (frame, control, used_up) = match self.pieces.front_mut() {
                None => return false,
                Some(Piece::Shared(bytes)) => (&bytes[..], false, true),
                Some(Piece::Segment { bytes, skip, frames, control }) => {
                    let rest = bytes.get(*skip..).unwrap_or_default();
                    let length = frame_length(rest).unwrap_or(rest.len());
                    let frame = rest.get(..length).unwrap_or_default();
                    let is_control = *control > 0 && is_control_frame(frame);
                    if is_control {
                        *control -= length;
                    }
                    *skip += length;
                    *frames -= 1;
                    (frame, is_control, *frames == 0)
                }
            };
            if control {
                let before = self.kept.capacity();
                self.kept.extend_from_slice(frame);
                self.kept_frames += 1;
                self.memory += self.kept.capacity() - before;
            }
            if used_up {
                self.pop_front();
            }
            if !control {
                self.messages -= 1;
                return true;
            }
        }
    }

    fn pop_front(&mut self) {
        let Some(piece) = self.pieces.pop_front() else { return };
        self.memory -= piece.memory();
        if let Piece::Segment { bytes, .. } = piece {
            self.recycle(bytes);
        }
    }

    /// Takes emptied segments of a batch back.
    pub(super) fn reclaim(&mut self, batch: &mut WriteBatch) {
        while let Some(segment) = batch.reuse() {
            self.recycle(segment);
        }
    }

    /// Takes a segment back that nobody needs any more, to be filled again.
    pub(super) fn recycle(&mut self, mut segment: Vec<u8>) {
        if self.spare.len() < SPARES {
            segment.clear();
            self.spare.push(segment);
        }
    }

    /// Moves frames, oldest first, until about `bytes` have been moved or nothing is left.
    pub(super) fn take(&mut self, bytes: usize, batch: &mut WriteBatch) {
        self.reclaim(batch);
        if !self.kept.is_empty() {
            self.messages -= std::mem::take(&mut self.kept_frames);
            self.memory -= self.kept.capacity();
            self.control -= self.kept.len();
            batch.push(Chunk::Segment(std::mem::take(&mut self.kept)), 0);
        }
        while batch.remaining() < bytes {
            match self.take_piece() {
                Some(Piece::Segment { bytes, skip, .. }) => {
                    batch.push(Chunk::Segment(bytes), skip);
                }
                Some(Piece::Shared(frame)) => batch.push(Chunk::Shared(frame), 0),
                None => return,
            }
        }
    }

    /// Takes the oldest piece. For consumers that hold data only, where nothing is ever kept back.
    pub(super) fn take_piece(&mut self) -> Option<Piece> {
        let piece = self.pieces.pop_front()?;
        self.memory -= piece.memory();
        self.messages -= piece.frames();
        if let Piece::Segment { control, .. } = &piece {
            self.control -= control;
        }
        Some(piece)
    }

    /// Forgets everything, and returns how many messages that was.
    pub(super) fn clear(&mut self) -> usize {
        std::mem::take(self).messages
    }

    /// Whether an idle queue holds on to more memory than it should.
    pub(super) fn has_large_spare(&self) -> bool {
        self.spare.len() > 1 || self.spare.iter().any(|spare| spare.capacity() > IDLE_SEGMENT)
    }

    /// Gives back the memory that a burst left behind.
    pub(super) fn release(&mut self) {
        self.spare.retain(|spare| spare.capacity() <= IDLE_SEGMENT);
        self.spare.truncate(1);
        if self.pieces.is_empty() {
            self.pieces.shrink_to(4);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EndpointId;
    use crate::queue::testing::frame;
    use crate::wire::envelope::ping_frame;

    fn data(number: u8) -> Vec<u8> {
        frame(&[number])
    }

    fn drain(queue: &mut FrameQueue) -> Vec<u8> {
        let mut batch = WriteBatch::new();
        queue.take(usize::MAX, &mut batch);
        let mut written = Vec::new();
        while !batch.is_empty() {
            written.extend_from_slice(batch.first());
            batch.advance(batch.first().len());
        }
        let left = (queue.messages(), queue.memory(), queue.control());
        assert_eq!(left, (0, 0, 0), "everything was accounted for");
        written
    }

    #[test]
    fn order_is_kept_across_segments_and_shared_frames() {
        let mut queue = FrameQueue::default();
        let large = Bytes::from(vec![7; SHARED_FRAME_MIN]);
        let mut expected = Vec::new();
        for number in 0..200 {
            let run = [data(number), data(number)].concat();
            queue.push(&run, 2);
            expected.extend_from_slice(&run);
            if number % 10 == 0 {
                queue.push_shared(large.clone());
                expected.extend_from_slice(&large);
            }
        }
        assert_eq!(queue.messages(), 420);
        assert_eq!(drain(&mut queue), expected);
    }

    #[test]
    fn the_oldest_data_goes_and_control_frames_stay_in_order() {
        let mut queue = FrameQueue::default();
        let ping = |n: u8| ping_frame(EndpointId::NIL, EndpointId::NIL, &[n]);
        queue.push_control(&ping(1));
        queue.push(&[data(1), data(2)].concat(), 2);
        queue.push_control(&ping(2));
        queue.push(&data(3), 1);
        assert!(queue.drop_oldest() && queue.drop_oldest());
        assert_eq!((queue.messages(), queue.control()), (3, 2 * ping(1).len()));
        queue.push(&data(4), 1);
        assert!(queue.drop_oldest());
        assert_eq!(drain(&mut queue), [ping(1), ping(2), data(4)].concat());
    }

    #[test]
    fn a_queue_of_control_frames_has_nothing_to_drop() {
        let mut queue = FrameQueue::default();
        let ping = ping_frame(EndpointId::NIL, EndpointId::NIL, b"x");
        queue.push_control(&ping);
        assert!(!queue.drop_oldest());
        assert_eq!((queue.messages(), drain(&mut queue)), (1, ping));
    }

    #[test]
    fn small_frames_between_large_ones_do_not_pin_whole_segments() {
        let mut queue = FrameQueue::default();
        for number in 0..100 {
            queue.push(&data(number), 1);
            queue.push_shared(Bytes::from(vec![0; SHARED_FRAME_MIN]));
        }
        assert!(queue.memory() <= 100 * (SHARED_FRAME_MIN + FIRST_SEGMENT));
    }
}
