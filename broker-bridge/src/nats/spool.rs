//! What waits for NATS, bounded: in memory, or in files that outlive this process.

use crate::nats::journal::Journal;
use crate::nats::parcel::Parcel;
use std::collections::VecDeque;
use std::io;
use std::path::Path;

/// With files, as many bytes are kept in memory as well, to be sent without reading them again.
const IN_MEMORY: usize = 1 << 20;

/// Messages in the order in which they came, each with a number that is never used again.
///
/// A message is pushed, taken once, and done when NATS has it. Without files it is gone with this
/// process. With files it is there again after a restart, unless it was done; it is then taken once
/// more, with its number from before. Files are not synchronised with the disk at each message:
/// they survive the end of this process, however that comes, and of the last seconds before a loss
/// of power what the operating system had written.
pub(crate) struct Spool {
    /// Who has numbered the messages.
    writer: String,
    /// The number that the next message gets.
    next: u64,
    /// From the next one to be taken on, without gaps.
    memory: VecDeque<(u64, Parcel)>,
    memory_bytes: usize,
    /// Messages that are in the files only, behind those in memory.
    behind: u64,
    limit: u64,
    journal: Option<Journal>,
}

/// The spool holds as much as it may.
#[derive(Debug)]
pub(crate) struct Full;

impl Spool {
    /// One without files that holds so many bytes.
    pub(crate) fn in_memory(limit: u64) -> Self {
        let writer = format!("{:032x}", fastrand::u128(..));
        let (memory, memory_bytes, behind) = (VecDeque::new(), 0, 0);
        Self { writer, next: 0, memory, memory_bytes, behind, limit, journal: None }
    }

    /// One with files in a directory that belongs to it alone and is made if it is missing, which
    /// take so many bytes.
    ///
    /// # Errors
    ///
    /// The directory cannot be used, or another spool uses it.
    pub(crate) fn in_files(directory: &Path, limit: u64) -> io::Result<Self> {
        let journal = Journal::open(directory, limit)?;
        Ok(Self {
            writer: journal.writer().to_owned(),
            next: journal.next(),
            behind: journal.open_messages(),
            journal: Some(journal),
            ..Self::in_memory(limit)
        })
    }

    pub(crate) fn writer(&self) -> &str {
        &self.writer
    }

    /// The number that the next message gets.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Whether what is in here is there after a restart.
    pub(crate) fn is_in_files(&self) -> bool {
        self.journal.is_some()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.memory.is_empty() && self.behind == 0
    }

    /// Adds a message. An empty spool takes one of any length.
    ///
    /// # Errors
    ///
    /// There is no room, or no file can be written.
    pub(crate) fn push(&mut self, parcel: Parcel) -> Result<(), Full> {
        let length = parcel.length() + parcel.subject.len();
        let number = self.next;
        let held = self.journal.as_ref().map_or(self.memory_bytes as u64, Journal::size);
        if held + length as u64 > self.limit && !self.is_empty() {
            return Err(Full);
        }
        if let Some(journal) = &mut self.journal {
            journal.push(number, &parcel).map_err(|_| Full)?;
        }
        self.next += 1;
        if self.journal.is_some() && (self.behind > 0 || self.memory_bytes + length > IN_MEMORY) {
            self.behind += 1;
        } else {
            self.memory_bytes += length;
            self.memory.push_back((number, parcel));
            if let Some(journal) = &mut self.journal {
                journal.pass_over(self.next);
            }
        }
        Ok(())
    }

    /// The next message and its number.
    ///
    /// # Errors
    ///
    /// A file cannot be read; what was in it is passed over.
    pub(crate) fn take(&mut self) -> io::Result<Option<(u64, Parcel)>> {
        if self.memory.is_empty() && self.behind > 0 {
            self.read()?;
        }
        let Some((number, parcel)) = self.memory.pop_front() else { return Ok(None) };
        self.memory_bytes -= parcel.length() + parcel.subject.len();
        Ok(Some((number, parcel)))
    }

    fn read(&mut self) -> io::Result<()> {
        let Some(journal) = &mut self.journal else { return Ok(()) };
        while self.behind > 0 && self.memory_bytes < IN_MEMORY {
            match journal.read() {
                Ok(Some((number, parcel))) => {
                    self.behind -= 1;
                    self.memory_bytes += parcel.length() + parcel.subject.len();
                    self.memory.push_back((number, parcel));
                }
                Ok(None) => {
                    let missing = std::mem::take(&mut self.behind);
                    return Err(io::Error::other(format!("{missing} messages cannot be read")));
                }
                Err(error) => {
                    self.behind = 0;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Notes that NATS has every message with a number below `end`.
    ///
    /// # Errors
    ///
    /// That cannot be written down; after a restart they are sent again.
    pub(crate) fn done(&mut self, end: u64) -> io::Result<()> {
        self.journal.as_mut().map_or(Ok(()), |journal| journal.note_done(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nats::parcel::Format;

    fn parcel(number: u64, length: usize) -> Parcel {
        Parcel {
            subject: format!("t.{number}"),
            kind: "value".to_owned(),
            origin: String::new(),
            hops: 1,
            time: 5,
            format: Format::Json,
            payload: vec![7; length].into(),
        }
    }

    fn take_all(spool: &mut Spool) -> Vec<u64> {
        let mut numbers = Vec::new();
        while let Some((number, taken)) = spool.take().unwrap() {
            assert_eq!(taken, parcel(number, taken.payload.len()));
            numbers.push(number);
        }
        numbers
    }

    #[test]
    fn without_files_it_holds_what_was_said() {
        let mut spool = Spool::in_memory(2000);
        let mut pushed = 0;
        while spool.push(parcel(pushed, 100)).is_ok() {
            pushed += 1;
        }
        assert_eq!(pushed, 2000 / (parcel(0, 100).length() as u64 + 3));
        assert_eq!(take_all(&mut spool), (0..pushed).collect::<Vec<_>>());
        assert!(spool.push(parcel(pushed, 5000)).is_ok());
    }

    #[test]
    fn files_keep_what_is_not_done_and_its_numbers() {
        let directory = tempfile::tempdir().unwrap();
        let open = || Spool::in_files(directory.path(), 64 << 20).unwrap();
        let mut spool = open();
        // More than is kept in memory.
        (0..3000).for_each(|number| spool.push(parcel(number, 1000)).unwrap());
        let writer = spool.writer().to_owned();
        for number in 0..10 {
            assert_eq!(spool.take().unwrap().unwrap().0, number);
        }
        spool.done(7).unwrap();
        drop(spool);
        let mut again = open();
        assert_eq!(again.writer(), writer);
        // Numbers are not used again, even if some were lost.
        let next = again.next();
        assert!(next > 1 << 31);
        assert_eq!(take_all(&mut again), (7..3000).collect::<Vec<_>>());
        again.push(parcel(next, 10)).unwrap();
        assert_eq!(take_all(&mut again), [next]);
        again.done(next + 1).unwrap();
        drop(again);
        assert!(open().is_empty());
    }

    #[test]
    fn files_are_bounded_and_room_comes_back() {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = Spool::in_files(directory.path(), 1 << 20).unwrap();
        for _ in 0..5 {
            let first = spool.next();
            while spool.push(parcel(spool.next(), 1000)).is_ok() {}
            let end = spool.next();
            assert!(end - first > 300, "{first} to {end}");
            assert_eq!(take_all(&mut spool), (first..end).collect::<Vec<_>>());
            spool.done(end).unwrap();
        }
        let files = std::fs::read_dir(directory.path()).unwrap();
        let size: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
        assert!(size < 1 << 20, "{size}");
    }

    #[test]
    fn a_directory_serves_one_spool_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let _spool = Spool::in_files(directory.path(), 1000).unwrap();
        assert!(Spool::in_files(directory.path(), 1000).is_err());
    }

    #[test]
    fn what_is_damaged_at_the_end_is_left_and_what_is_before_it_kept() {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = Spool::in_files(directory.path(), 64 << 20).unwrap();
        (0..100).for_each(|number| spool.push(parcel(number, 10)).unwrap());
        drop(spool);
        let files = std::fs::read_dir(directory.path()).unwrap();
        let segment = files.map(|file| file.unwrap().path()).find(|p| p.extension().is_some());
        let segment = segment.unwrap();
        let mut bytes = std::fs::read(&segment).unwrap();
        let length = bytes.len();
        // The payload of the last message, then only half of it.
        bytes[length - 3] ^= 1;
        for content in [&bytes[..], &bytes[..length - 20]] {
            std::fs::write(&segment, content).unwrap();
            let mut again = Spool::in_files(directory.path(), 64 << 20).unwrap();
            assert_eq!(take_all(&mut again), (0..99).collect::<Vec<_>>());
        }
    }
}
