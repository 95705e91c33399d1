use crate::limits::{READ_CHUNK_MAX, READ_CHUNK_MIN};
use crate::wire::frame::{self, PREFIX};
use std::cell::RefCell;

/// Frames of this length are worth memory of their own.
const LARGE: usize = 4 * READ_CHUNK_MAX;

thread_local! {
    /// Memory that readers of this thread have left behind when they began to wait. Without it
    /// every read after a wait would get its memory anew from the operating system.
    static LEFT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Received bytes, and the frames in them.
///
/// The capacity is at most twice the bytes that have really arrived and a chunk, whatever length a
/// frame announces. The chunk follows the traffic between [`READ_CHUNK_MIN`] and
/// [`READ_CHUNK_MAX`].
#[derive(Debug)]
pub struct ReadBuffer {
    bytes: Vec<u8>,
    /// Everything before this offset has been consumed.
    start: usize,
    /// How much room the next read gets.
    chunk: usize,
}

/// A frame announces more bytes than the caller allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {length} bytes is announced, the limit is {limit}")]
pub struct FrameTooLarge {
    /// The announced length, without the prefix.
    pub length: usize,
    /// What the caller allows.
    pub limit: usize,
}

impl Default for ReadBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl ReadBuffer {
    /// An empty buffer without memory of its own.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), start: 0, chunk: READ_CHUNK_MIN }
    }

    /// The vector to append received bytes to, with room for the next read. Call
    /// [`Self::filled`] afterwards.
    pub fn spare(&mut self) -> &mut Vec<u8> {
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        } else if self.start > 0 && self.bytes.capacity() - self.bytes.len() < self.chunk {
            // What is left is at most one incomplete frame; moving it makes room for its rest.
            self.bytes.copy_within(self.start.., 0);
            self.bytes.truncate(self.bytes.len() - self.start);
            self.start = 0;
        }
        if self.bytes.capacity() == 0 && self.chunk > READ_CHUNK_MIN {
            self.bytes = LEFT.take();
        }
        if self.bytes.capacity() - self.bytes.len() < self.chunk {
            self.bytes.reserve_exact(self.chunk.max(self.growth()));
        }
        &mut self.bytes
    }

    /// How much a long frame that is incomplete should grow by: as much as has arrived, so that
    /// copying it costs no more than receiving it, and no more than it still lacks.
    fn growth(&self) -> usize {
        let arrived = self.bytes.len() - self.start;
        let announced = frame::payload_length(self.pending()).map_or(0, |length| PREFIX + length);
        arrived.min(announced.saturating_sub(arrived))
    }

    /// Adapts the size of the next read to the one that brought `count` bytes.
    pub fn filled(&mut self, count: usize) {
        if count >= self.chunk {
            self.chunk = (self.chunk * 4).min(READ_CHUNK_MAX);
        } else if count < self.chunk / 8 {
            self.chunk = (self.chunk / 2).max(READ_CHUNK_MIN);
        }
    }

    /// Gives back the memory that the bytes which wait do not need; for a reader about to wait.
    pub fn release(&mut self) {
        let waiting = self.bytes.len() - self.start;
        if waiting == 0 {
            let mut left = std::mem::take(&mut self.bytes);
            left.clear();
            self.start = 0;
            if left.capacity() > READ_CHUNK_MIN && left.capacity() <= READ_CHUNK_MAX {
                LEFT.set(left);
            }
        } else if self.bytes.capacity() > 2 * waiting + READ_CHUNK_MAX {
            // What a long frame has left behind.
            self.bytes = self.pending().to_vec();
            self.start = 0;
        }
    }

    /// How much memory the buffer holds, in bytes.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Whether no byte is waiting.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    /// The bytes that have arrived and have not been consumed.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// The next complete frame with its prefix, or `None` if more bytes are needed.
    ///
    /// # Errors
    ///
    /// The frame announces more than `limit` bytes. Nothing is consumed.
    pub fn next_frame(&mut self, limit: usize) -> Result<Option<&mut [u8]>, FrameTooLarge> {
        let Some(length) = frame_length(self.pending(), limit)? else { return Ok(None) };
        let end = self.start + length;
        if end > self.bytes.len() {
            return Ok(None);
        }
        let begin = std::mem::replace(&mut self.start, end);
        Ok(self.bytes.get_mut(begin..end))
    }

    /// All complete frames as one contiguous region, for a caller that then calls
    /// [`Self::consume`] with what it used.
    ///
    /// # Errors
    ///
    /// The first frame announces more than `limit` bytes; frames before such a one are returned.
    pub fn complete_frames(&mut self, limit: usize) -> Result<&mut [u8], FrameTooLarge> {
        let mut end = self.start;
        loop {
            let rest = self.bytes.get(end..).unwrap_or_default();
            match frame_length(rest, limit) {
                Ok(Some(length)) if length <= rest.len() => end += length,
                Ok(_) => break,
                Err(error) if end == self.start => return Err(error),
                Err(_) => break,
            }
        }
        Ok(self.bytes.get_mut(self.start..end).unwrap_or_default())
    }

    /// Takes the next frame with the memory it is in, if it is complete, large, and nearly all that
    /// is in this memory. What comes behind it is copied.
    pub fn take_large(&mut self, limit: usize) -> Option<Vec<u8>> {
        let length = frame_length(self.pending(), limit).ok()??;
        let is_whole = length >= LARGE && self.start == 0 && length <= self.bytes.len();
        if !is_whole || self.bytes.capacity() - length > length / 4 {
            return None;
        }
        let rest = self.bytes.split_off(length);
        let mut frame = std::mem::replace(&mut self.bytes, rest);
        // It counts with its length where it waits.
        frame.shrink_to_fit();
        Some(frame)
    }

    /// Forgets the first `count` pending bytes.
    pub fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.bytes.len());
    }
}

/// The length of the first frame, prefix included, if the prefix is there.
fn frame_length(bytes: &[u8], limit: usize) -> Result<Option<usize>, FrameTooLarge> {
    let Some(length) = frame::payload_length(bytes) else { return Ok(None) };
    if length > limit {
        return Err(FrameTooLarge { length, limit });
    }
    Ok(Some(PREFIX + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(buffer: &mut ReadBuffer, bytes: &[u8]) {
        buffer.spare().extend_from_slice(bytes);
        buffer.filled(bytes.len());
    }

    #[test]
    fn frames_are_split_wherever_the_reads_end() {
        let stream = [0, 0, 0, 2, 7, 8, 0, 0, 0, 0, 0, 0, 0, 1, 9];
        for cut in 0..stream.len() {
            let mut buffer = ReadBuffer::new();
            let mut frames = Vec::new();
            for part in [&stream[..cut], &stream[cut..]] {
                receive(&mut buffer, part);
                while let Some(frame) = buffer.next_frame(10).unwrap() {
                    frames.push(frame.to_vec());
                }
            }
            assert_eq!(frames, [&stream[..6], &stream[6..10], &stream[10..]], "cut at {cut}");
        }
    }

    #[test]
    fn complete_frames_are_one_region_and_the_rest_stays() {
        let mut buffer = ReadBuffer::new();
        receive(&mut buffer, &[0, 0, 0, 1, 1, 0, 0, 0, 1, 2, 0, 0, 0, 9, 3]);
        assert_eq!(buffer.complete_frames(10).unwrap().len(), 10);
        buffer.consume(10);
        assert_eq!(buffer.pending(), [0, 0, 0, 9, 3]);
        assert!(buffer.complete_frames(10).unwrap().is_empty());
    }

    #[test]
    fn a_large_frame_is_taken_with_its_memory_and_the_rest_stays() {
        let mut buffer = ReadBuffer::new();
        receive(&mut buffer, &[0, 0xff]);
        assert!(buffer.take_large(usize::MAX).is_none());
        receive(&mut buffer, &[0xff, 0xff, 1]);
        assert!(buffer.take_large(usize::MAX).is_none(), "most of it is to come");
        buffer.consume(usize::MAX);
        let frame = [&(LARGE as u32).to_be_bytes()[..], &vec![7; LARGE]].concat();
        for piece in frame.chunks(READ_CHUNK_MAX) {
            assert!(buffer.take_large(frame.len()).is_none());
            receive(&mut buffer, piece);
        }
        receive(&mut buffer, &[0, 0, 0, 1]);
        assert!(buffer.take_large(LARGE - 1).is_none(), "it is not allowed");
        let taken = buffer.take_large(LARGE).unwrap();
        assert!(taken == frame && taken.capacity() == taken.len());
        assert_eq!(buffer.pending(), [0, 0, 0, 1]);
        assert!(buffer.take_large(LARGE).is_none());
    }

    #[test]
    fn a_frame_above_the_limit_is_an_error_after_the_frames_before_it() {
        let mut buffer = ReadBuffer::new();
        receive(&mut buffer, &[0, 0, 0, 1, 1, 0, 0, 0, 11]);
        assert_eq!(buffer.complete_frames(10).unwrap().len(), 5);
        buffer.consume(5);
        let error = FrameTooLarge { length: 11, limit: 10 };
        assert_eq!(buffer.complete_frames(10).unwrap_err(), error);
        assert_eq!(buffer.next_frame(10).unwrap_err(), error);
    }

    #[test]
    fn release_gives_back_everything_but_bytes_that_wait() {
        let mut buffer = ReadBuffer::new();
        receive(&mut buffer, &[0, 0, 0, 1, 7, 0]);
        assert!(buffer.next_frame(10).unwrap().is_some());
        buffer.release();
        assert_eq!(buffer.pending(), [0]);
        buffer.consume(1);
        buffer.release();
        assert_eq!(buffer.capacity(), 0);
    }

    #[test]
    fn memory_is_at_most_twice_what_arrived_and_a_chunk_whatever_is_announced() {
        let mut buffer = ReadBuffer::new();
        let mut arrived = 4;
        receive(&mut buffer, &[0xff, 0xff, 0xff, 0xff]);
        for _ in 0..1000 {
            let room = buffer.spare();
            assert!(room.capacity() <= 2 * arrived + READ_CHUNK_MAX);
            let count = (room.capacity() - room.len()).min(1500);
            receive(&mut buffer, &vec![0; count]);
            arrived += count;
        }
    }

    #[test]
    fn a_long_frame_is_moved_a_few_times_and_gets_no_room_beyond_its_end() {
        const LENGTH: usize = 16 << 20;
        let mut buffer = ReadBuffer::new();
        let (mut arrived, mut moved) = (0, 0);
        let frame = [&(LENGTH as u32).to_be_bytes()[..], &vec![0; LENGTH]].concat();
        while arrived < frame.len() {
            let before = buffer.capacity();
            let count = buffer.chunk.min(frame.len() - arrived);
            receive(&mut buffer, &frame[arrived..arrived + count]);
            if buffer.capacity() != before {
                moved += arrived;
            }
            arrived += count;
        }
        assert!(moved <= 3 * LENGTH, "{moved} bytes were moved for a frame of {LENGTH}");
        assert!(buffer.capacity() <= frame.len() + 2 * READ_CHUNK_MAX);
        assert_eq!(buffer.next_frame(LENGTH).unwrap().map(|frame| frame.len()), Some(frame.len()));
        receive(&mut buffer, &[0]);
        buffer.release();
        assert!(buffer.capacity() <= READ_CHUNK_MAX && buffer.pending() == [0], "it is given back");
    }
}
