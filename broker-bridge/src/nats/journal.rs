//! The files of a spool: records that are only ever appended, each with a checksum.
//!
//! A file begins with [`MAGIC`], the writer's name and two numbers: that of the next message, and
//! that below which all are done. Records follow: the length of the body and its CRC-32, as 32 bits
//! each, and the body. Numbers are little-endian. A file is deleted when all its messages are done
//! and another one is written to. Reading stops at the first record that is cut off or whose
//! checksum is wrong, and goes on with the next file.

use crate::nats::parcel::{Format, Parcel};
use bytes::Bytes;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"brspool1";
const EXTENSION: &str = "spool";
/// Bytes of a writer's name.
const NAME: usize = 32;
const HEAD: usize = MAGIC.len() + NAME + 16;
/// No body is longer: a longer one is damage.
const LONGEST: u32 = 1 << 30;

/// So many numbers are passed over at each start: more than can be lost with the last seconds.
const NUMBER_GAP: u64 = 1 << 32;

const MESSAGE: u8 = 1;
const DONE: u8 = 2;

pub(crate) struct Journal {
    directory: PathBuf,
    writer: String,
    next: u64,
    done: u64,
    /// Messages that were in the files and not done when they were opened.
    open_messages: u64,
    /// A file is followed by another one when it has so many bytes.
    segment_size: u64,
    /// From the oldest to the one that is written.
    segments: VecDeque<Segment>,
    file: File,
    reading: Option<Reading>,
    /// The next message to be read.
    read_from: u64,
    /// Held as long as this journal is open.
    _lock: File,
}

struct Segment {
    index: u64,
    size: u64,
    /// The number of the message behind its last one.
    end: u64,
}

struct Reading {
    index: u64,
    file: BufReader<File>,
}

enum Record {
    Message(u64, Parcel),
    Done(u64),
}

impl Journal {
    pub(crate) fn open(directory: &Path, limit: u64) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let lock = File::create(directory.join("lock"))?;
        lock.try_lock().map_err(|_| {
            io::Error::other(format!("{} is used by another bridge", directory.display()))
        })?;
        let mut found = Found::default();
        let mut segments = VecDeque::new();
        for index in indexes(directory)? {
            if let Some(segment) = found.scan(directory, index)? {
                segments.push_back(segment);
            }
        }
        let open = found.open.iter().filter(|number| **number >= found.done).count();
        let writer = found.writer.clone().unwrap_or_else(|| format!("{:032x}", fastrand::u128(..)));
        let index = segments.back().map_or(0, |last: &Segment| last.index + 1);
        // Messages may have been lost with their numbers, and NATS may know these.
        let next = found.next.max(found.done).saturating_add(found.writer_gap());
        let (file, segment) = create(directory, index, &writer, next, found.done)?;
        segments.push_back(segment);
        let mut journal = Self {
            directory: directory.to_owned(),
            writer,
            next,
            done: found.done,
            open_messages: open as u64,
            segment_size: (limit / 8).clamp(4096, 16 << 20),
            segments,
            file,
            reading: None,
            read_from: found.done,
            _lock: lock,
        };
        journal.delete_done()?;
        Ok(journal)
    }

    pub(crate) fn writer(&self) -> &str {
        &self.writer
    }

    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    pub(crate) fn open_messages(&self) -> u64 {
        self.open_messages
    }

    /// The bytes of all files.
    pub(crate) fn size(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size).sum()
    }

    pub(crate) fn push(&mut self, number: u64, parcel: &Parcel) -> io::Result<()> {
        let mut body = vec![MESSAGE];
        body.extend_from_slice(&number.to_le_bytes());
        body.extend_from_slice(&parcel.hops.to_le_bytes());
        body.extend_from_slice(&parcel.time.to_le_bytes());
        body.push(u8::from(parcel.format == Format::Json));
        for part in [&parcel.subject, &parcel.kind, &parcel.origin] {
            let length = u16::try_from(part.len()).map_err(io::Error::other)?;
            body.extend_from_slice(&length.to_le_bytes());
            body.extend_from_slice(part.as_bytes());
        }
        body.extend_from_slice(&parcel.payload);
        self.append(&body)?;
        self.next = number + 1;
        if let Some(last) = self.segments.back_mut() {
            last.end = self.next;
        }
        Ok(())
    }

    pub(crate) fn note_done(&mut self, end: u64) -> io::Result<()> {
        if end <= self.done {
            return Ok(());
        }
        self.done = end;
        let mut body = vec![DONE];
        body.extend_from_slice(&end.to_le_bytes());
        self.append(&body)?;
        self.delete_done()
    }

    /// Notes that messages with a number below `end` need not be read.
    pub(crate) fn pass_over(&mut self, end: u64) {
        self.read_from = self.read_from.max(end);
    }

    /// The next message that is not done; `None` if there is no more.
    pub(crate) fn read(&mut self) -> io::Result<Option<(u64, Parcel)>> {
        loop {
            let Some(reading) = self.reading.as_mut() else {
                let Some(first) = self.segments.iter().find(|s| s.end > self.read_from) else {
                    return Ok(None);
                };
                self.reading = Some(Reading::start(&self.directory, first.index)?);
                continue;
            };
            match read_record(&mut reading.file) {
                Some(Record::Message(number, parcel)) if number >= self.read_from => {
                    self.read_from = number + 1;
                    return Ok(Some((number, parcel)));
                }
                Some(_) => {}
                None => {
                    let behind = reading.index;
                    let Some(next) = self.segments.iter().find(|s| s.index > behind) else {
                        self.reading = None;
                        return Ok(None);
                    };
                    self.reading = Some(Reading::start(&self.directory, next.index)?);
                }
            }
        }
    }

    fn append(&mut self, body: &[u8]) -> io::Result<()> {
        if self.segments.back().is_some_and(|last| last.size >= self.segment_size) {
            let index = self.segments.back().map_or(0, |last| last.index + 1);
            let (file, segment) =
                create(&self.directory, index, &self.writer, self.next, self.done)?;
            self.file = file;
            self.segments.push_back(segment);
        }
        let length = u32::try_from(body.len()).map_err(io::Error::other)?;
        let mut record = Vec::with_capacity(body.len() + 8);
        record.extend_from_slice(&length.to_le_bytes());
        record.extend_from_slice(&crc32fast::hash(body).to_le_bytes());
        record.extend_from_slice(body);
        let Some(last) = self.segments.back_mut() else { return Ok(()) };
        if let Err(error) = self.file.write_all(&record) {
            // What was written of it must not stand in front of the next one.
            self.file.set_len(last.size)?;
            return Err(error);
        }
        last.size += record.len() as u64;
        Ok(())
    }

    fn delete_done(&mut self) -> io::Result<()> {
        while self.segments.len() > 1
            && let Some(first) = self.segments.front()
            && first.end <= self.done
        {
            fs::remove_file(path(&self.directory, first.index))?;
            self.segments.pop_front();
        }
        Ok(())
    }
}

impl Reading {
    fn start(directory: &Path, index: u64) -> io::Result<Self> {
        let mut file = BufReader::new(File::open(path(directory, index))?);
        file.read_exact(&mut [0; HEAD])?;
        Ok(Self { index, file })
    }
}

/// What is in the files at the start.
#[derive(Default)]
struct Found {
    writer: Option<String>,
    next: u64,
    done: u64,
    open: VecDeque<u64>,
}

impl Found {
    /// How many numbers are passed over at the start, which is none for a new writer.
    fn writer_gap(&self) -> u64 {
        self.writer.as_ref().map_or(0, |_| NUMBER_GAP)
    }

    /// Reads a file; `None` if it is none of a journal, as after a crash while it was made.
    fn scan(&mut self, directory: &Path, index: u64) -> io::Result<Option<Segment>> {
        let mut file = BufReader::new(File::open(path(directory, index))?);
        let size = file.get_ref().metadata()?.len();
        let Some((writer, next, done)) = read_head(&mut file) else {
            fs::remove_file(path(directory, index))?;
            return Ok(None);
        };
        self.writer.get_or_insert(writer);
        self.next = self.next.max(next);
        self.note(done);
        while let Some(record) = read_record(&mut file) {
            match record {
                Record::Message(number, _) => {
                    self.next = self.next.max(number + 1);
                    self.open.push_back(number);
                }
                Record::Done(end) => self.note(end),
            }
        }
        Ok(Some(Segment { index, size, end: self.next }))
    }

    fn note(&mut self, done: u64) {
        self.done = self.done.max(done);
        while self.open.front().is_some_and(|number| *number < self.done) {
            self.open.pop_front();
        }
    }
}

fn path(directory: &Path, index: u64) -> PathBuf {
    directory.join(format!("{index:010}.{EXTENSION}"))
}

fn indexes(directory: &Path) -> io::Result<Vec<u64>> {
    let mut indexes = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        if path.extension().is_some_and(|extension| extension == EXTENSION)
            && let Some(index) = stem.and_then(|stem| stem.parse().ok())
        {
            indexes.push(index);
        }
    }
    indexes.sort_unstable();
    Ok(indexes)
}

fn create(
    directory: &Path,
    index: u64,
    writer: &str,
    next: u64,
    done: u64,
) -> io::Result<(File, Segment)> {
    let mut file = File::options().append(true).create_new(true).open(path(directory, index))?;
    let mut head = MAGIC.to_vec();
    head.extend_from_slice(writer.as_bytes());
    head.extend_from_slice(&next.to_le_bytes());
    head.extend_from_slice(&done.to_le_bytes());
    file.write_all(&head)?;
    Ok((file, Segment { index, size: head.len() as u64, end: next }))
}

fn read_head(file: &mut impl Read) -> Option<(String, u64, u64)> {
    let mut head = [0; HEAD];
    file.read_exact(&mut head).ok()?;
    let rest = head.strip_prefix(MAGIC.as_slice())?;
    let (writer, numbers) = rest.split_at_checked(NAME)?;
    let writer = std::str::from_utf8(writer).ok()?.to_owned();
    let (next, done) = numbers.split_at_checked(8)?;
    Some((
        writer,
        u64::from_le_bytes(next.try_into().ok()?),
        u64::from_le_bytes(done.try_into().ok()?),
    ))
}

/// The next record; `None` at the end, and where a record is cut off or damaged.
fn read_record(file: &mut impl Read) -> Option<Record> {
    let mut number = || {
        let mut bytes = [0; 4];
        file.read_exact(&mut bytes).ok()?;
        Some(u32::from_le_bytes(bytes))
    };
    let (length, checksum) = (number()?, number()?);
    if length > LONGEST {
        return None;
    }
    let mut body = Vec::new();
    file.take(length.into()).read_to_end(&mut body).ok()?;
    (body.len() == length as usize && crc32fast::hash(&body) == checksum).then_some(())?;
    let mut body = Body(body.into());
    match body.byte()? {
        MESSAGE => {
            let number = body.number()?;
            let hops = body.number()?;
            let time = body.number()?.cast_signed();
            let format = if body.byte()? == 1 { Format::Json } else { Format::Binary };
            let (subject, kind, origin) = (body.text()?, body.text()?, body.text()?);
            let parcel = Parcel { subject, kind, origin, hops, time, format, payload: body.0 };
            Some(Record::Message(number, parcel))
        }
        DONE => Some(Record::Done(body.number()?)),
        _ => None,
    }
}

struct Body(Bytes);

impl Body {
    fn part(&mut self, length: usize) -> Option<Bytes> {
        (self.0.len() >= length).then(|| self.0.split_to(length))
    }

    fn byte(&mut self) -> Option<u8> {
        self.part(1)?.first().copied()
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.part(8)?.as_ref().try_into().ok()?))
    }

    fn text(&mut self) -> Option<String> {
        let length = u16::from_le_bytes(self.part(2)?.as_ref().try_into().ok()?);
        String::from_utf8(self.part(length.into())?.to_vec()).ok()
    }
}
