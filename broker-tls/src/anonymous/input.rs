//! What has arrived of the other side: records that are opened where they lie.

use super::record::{HEADER, SEALED_MAX};
use std::ops::Range;

/// The room at first, and the most that there is: some records at once.
const ROOM_MIN: usize = 4096;
const ROOM_MAX: usize = 1 << 16;

/// A buffer that grows while it gets filled and shrinks while it does not.
pub(super) struct Input {
    bytes: Vec<u8>,
    /// What has not been looked at.
    unread: Range<usize>,
    /// What is plaintext.
    plain: Range<usize>,
    room: usize,
}

impl Input {
    pub(super) fn new() -> Self {
        Self { bytes: Vec::new(), unread: 0..0, plain: 0..0, room: ROOM_MIN }
    }

    /// Where the next bytes go. Empty while there is plaintext.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.has_plaintext() {
            return &mut [];
        }
        let waiting = self.unread.len();
        if waiting > 0 && self.unread.start > 0 {
            self.bytes.copy_within(self.unread.clone(), 0);
        }
        self.unread = 0..waiting;
        if waiting > 0 && self.room.saturating_sub(waiting) < (HEADER + SEALED_MAX) / 2 {
            self.room = (2 * self.room).min(ROOM_MAX);
        }
        if self.bytes.len() < self.room || (waiting == 0 && self.bytes.len() > self.room) {
            self.bytes.resize(self.room, 0);
        }
        self.bytes.get_mut(waiting..).unwrap_or_default()
    }

    /// Takes note of `count` bytes that have been put into [`Self::room`].
    pub(super) fn arrived(&mut self, count: usize) {
        self.unread.end = (self.unread.end + count).min(self.bytes.len());
        // As much at once as arrives at once.
        if self.unread.end == self.bytes.len() {
            self.room = (2 * self.room).min(ROOM_MAX);
        } else if self.unread.end < self.room / 8 {
            self.room = (self.room / 2).max(ROOM_MIN);
        }
    }

    /// Gives the memory back if nothing is in it.
    pub(super) fn release(&mut self) {
        if self.unread.is_empty() && !self.has_plaintext() {
            self.bytes = Vec::new();
            self.unread = 0..0;
        }
    }

    pub(super) fn unread(&self) -> &[u8] {
        self.bytes.get(self.unread.clone()).unwrap_or_default()
    }

    /// The place of the next `count` bytes, which are not unread any more.
    pub(super) fn take(&mut self, count: usize) -> Range<usize> {
        let start = self.unread.start;
        self.unread.start = (start + count).min(self.unread.end);
        start..self.unread.start
    }

    pub(super) fn discard(&mut self) {
        self.unread.start = self.unread.end;
    }

    pub(super) fn at(&self, place: Range<usize>) -> &[u8] {
        self.bytes.get(place).unwrap_or_default()
    }

    pub(super) fn at_mut(&mut self, place: Range<usize>) -> &mut [u8] {
        self.bytes.get_mut(place).unwrap_or_default()
    }

    pub(super) fn has_plaintext(&self) -> bool {
        !self.plain.is_empty()
    }

    pub(super) fn plaintext(&self) -> &[u8] {
        self.at(self.plain.clone())
    }

    pub(super) fn set_plaintext(&mut self, place: Range<usize>) {
        self.plain = place;
    }

    /// Drops `count` bytes off the front of the plaintext.
    pub(super) fn consume(&mut self, count: usize) {
        self.plain.start = (self.plain.start + count).min(self.plain.end);
    }
}
