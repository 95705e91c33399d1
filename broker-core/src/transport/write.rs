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
    /// The octets.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Segment(octets) => octets,
            Self::Shared(octets) => octets,
        }
    }
}

/// Frames on their way to a link, in order, and how far the first piece has been written.
#[derive(Debug, Default)]
pub struct WriteBatch {
    chunks: VecDeque<Chunk>,
    /// Octets of the first chunk that are already written (or were dropped before).
    offset: usize,
    remaining: usize,
    /// Emptied segments, for whoever fills the batch next.
    spare: Vec<Vec<u8>>,
}

impl WriteBatch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a chunk of which the first `skip` octets are not to be sent.
    ///
    /// A `skip` is only possible for the first chunk of a batch.
    pub(crate) fn push(&mut self, chunk: Chunk, skip: usize) {
        debug_assert!(skip == 0 || self.chunks.is_empty());
        if self.chunks.is_empty() {
            self.offset = skip;
        }
        self.remaining += chunk.as_slice().len() - skip;
        self.chunks.push_back(chunk);
    }

    /// Appends whole frames with their prefixes.
    pub fn append(&mut self, chunk: Chunk) {
        self.push(chunk, 0);
    }

    /// How many octets are still to be written.
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
        self.chunks.front().and_then(|c| c.as_slice().get(self.offset..)).unwrap_or_default()
    }

    /// Fills `slices` with the pieces still to be written, in order, and returns how many there are.
    pub fn io_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        let mut offset = self.offset;
        for (slot, chunk) in slices.iter_mut().zip(&self.chunks) {
            *slot = IoSlice::new(chunk.as_slice().get(offset..).unwrap_or_default());
            offset = 0;
            count += 1;
        }
        count
    }

    /// Marks `count` octets as written. More than there are left counts as all of them.
    pub fn advance(&mut self, count: usize) {
        let mut count = count.min(self.remaining);
        self.remaining -= count;
        while let Some(chunk) = self.chunks.front() {
            let left = chunk.as_slice().len() - self.offset;
            if count < left {
                self.offset += count;
                return;
            }
            count -= left;
            self.offset = 0;
            if let Some(Chunk::Segment(mut segment)) = self.chunks.pop_front() {
                segment.clear();
                self.spare.push(segment);
            }
        }
    }

    /// An emptied segment to be filled again.
    pub(crate) fn reuse(&mut self) -> Option<Vec<u8>> {
        self.spare.pop()
    }
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
}
