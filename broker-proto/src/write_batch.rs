use bytes::Bytes;
use std::collections::VecDeque;
use std::io::IoSlice;

/// A contiguous piece of a batch: one or more whole frames, each behind its length prefix.
#[derive(Debug, Clone)]
pub enum Chunk {
    /// Small frames that were copied together.
    Segment(Vec<u8>),
    /// One large frame, shared with every other destination.
    Shared(Bytes),
}

impl Chunk {
    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Segment(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// Frames on their way to a link, in order, and how far they have been written.
#[derive(Debug, Default)]
pub struct WriteBatch {
    /// Each chunk with the number of its bytes that are not to be written (any more).
    chunks: VecDeque<(Chunk, usize)>,
    remaining: usize,
    /// Counts the steps that the link has made.
    progress: u64,
    /// Emptied segments, for whoever fills the batch next.
    spare: Vec<Vec<u8>>,
}

impl WriteBatch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a chunk of which the first `skip` bytes are not to be sent.
    pub fn push(&mut self, chunk: Chunk, skip: usize) {
        let length = chunk.as_slice().len().saturating_sub(skip);
        if length > 0 {
            self.remaining += length;
            self.chunks.push_back((chunk, skip));
        }
    }

    /// Appends whole frames with their prefixes.
    pub fn append(&mut self, chunk: Chunk) {
        self.push(chunk, 0);
    }

    /// How many bytes are still to be written.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.remaining
    }

    /// Whether everything has been written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remaining == 0
    }

    /// The first contiguous piece that is still to be written; empty if the batch is.
    #[must_use]
    pub fn first(&self) -> &[u8] {
        self.chunks.front().map(rest).unwrap_or_default()
    }

    /// What is still to be written of the first piece, if it is a large frame that can be kept
    /// without copying it.
    #[must_use]
    pub fn first_shared(&self) -> Option<Bytes> {
        match self.chunks.front() {
            Some((Chunk::Shared(bytes), skip)) => bytes.get(*skip..).map(|o| bytes.slice_ref(o)),
            _ => None,
        }
    }

    /// Fills `slices` with the pieces still to be written, in order, and returns how many there
    /// are.
    pub fn io_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (slot, chunk) in slices.iter_mut().zip(&self.chunks) {
            *slot = IoSlice::new(rest(chunk));
            count += 1;
        }
        count
    }

    /// Marks `count` bytes as written. More than there are left counts as all of them.
    pub fn advance(&mut self, count: usize) {
        let mut count = count.min(self.remaining);
        self.remaining -= count;
        self.note_progress();
        while let Some(chunk) = self.chunks.front_mut() {
            let left = rest(chunk).len();
            if count < left {
                chunk.1 += count;
                return;
            }
            count -= left;
            if let Some((Chunk::Segment(mut segment), _)) = self.chunks.pop_front() {
                segment.clear();
                self.spare.push(segment);
            }
        }
    }

    /// Notes that the link accepts bytes, for a transport that keeps some which have left the
    /// batch: while it waits for the link to take them, the link is slow and not dead.
    pub fn note_progress(&mut self) {
        self.progress += 1;
    }

    /// Something that changes whenever the link has accepted bytes.
    pub fn progress(&self) -> u64 {
        self.progress
    }

    /// An emptied segment to be filled again, as long as there is one.
    pub fn reuse(&mut self) -> Option<Vec<u8>> {
        self.spare.pop()
    }
}

fn rest((chunk, skip): &(Chunk, usize)) -> &[u8] {
    chunk.as_slice().get(*skip..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_written_in_order_from_any_offset() {
        let whole = b"abcdefghij";
        for step in 1..=whole.len() {
            let mut batch = WriteBatch::new();
            batch.push(Chunk::Segment(b"xxabc".to_vec()), 2);
            batch.push(Chunk::Shared(Bytes::from_static(b"defg")), 0);
            batch.push(Chunk::Segment(b"hij".to_vec()), 0);
            let mut written = Vec::new();
            while !batch.is_empty() {
                let mut slices = [IoSlice::new(&[]); 2];
                let count = batch.io_slices(&mut slices);
                assert_eq!(&*slices[0], batch.first());
                let joined: Vec<u8> = slices[..count].iter().flat_map(|s| s.to_vec()).collect();
                let step = step.min(joined.len());
                written.extend_from_slice(&joined[..step]);
                batch.advance(step);
            }
            assert_eq!(written, whole, "in steps of {step}");
            assert!(batch.reuse().is_some_and(|segment| segment.is_empty()));
        }
    }

    #[test]
    fn a_large_frame_can_be_kept_without_a_copy_and_a_segment_cannot() {
        let frame = Bytes::from(vec![7; 10]);
        let mut batch = WriteBatch::new();
        batch.push(Chunk::Shared(frame.clone()), 0);
        batch.push(Chunk::Segment(vec![1; 3]), 0);
        batch.advance(4);
        let kept = batch.first_shared().unwrap();
        assert_eq!((kept.as_ptr(), kept.len()), (frame[4..].as_ptr(), 6));
        batch.advance(6);
        assert_eq!(batch.first_shared(), None);
        assert_eq!(batch.first(), [1; 3]);
    }
}
