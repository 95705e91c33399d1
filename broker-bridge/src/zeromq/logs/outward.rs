//! Log messages of the overlay become batches.

use super::super::side::Parcel;
use crate::Carried;
use crate::other_side::Parcels;
use broker_core::data::zeek::rows::{Column, LogBatch, record_of_write};
use broker_core::data::zeek::{LogCreateView, LogWriteView, ZeekMessageView};
use std::collections::HashMap;

/// As many streams are remembered.
const STREAMS: usize = 4096;

/// Stream, writer and path.
type Key = (Vec<u8>, Vec<u8>, Vec<u8>);

/// The columns of the streams that the overlay has announced. Batches say them, writes do not.
#[derive(Debug, Default)]
pub(in super::super) struct Outward {
    filter: String,
    columns: HashMap<Key, Vec<Column>>,
}

impl Outward {
    pub(in super::super) fn new(filter: &str) -> Self {
        Self { filter: filter.to_owned(), columns: HashMap::new() }
    }

    /// Takes log messages, and makes one batch of the writes to each stream.
    pub(in super::super) fn encode<'a>(
        &mut self,
        messages: impl Iterator<Item = ZeekMessageView<'a>>,
        parcels: &mut Parcels<Parcel>,
    ) {
        let mut batches: Vec<(Key, LogBatch)> = Vec::new();
        for message in messages {
            match message {
                ZeekMessageView::LogCreate(create) => self.learn(create),
                ZeekMessageView::LogWrite(write) => {
                    if self.add(write, &mut batches).is_none() {
                        parcels.leave(Carried::Refused);
                    }
                }
                _ => parcels.leave(Carried::NoEvent),
            }
        }
        for (_, batch) in batches {
            let mut bytes = Vec::new();
            batch.encode_into(&mut bytes);
            let length = bytes.len();
            parcels.push(Parcel::Logs(bytes), length);
        }
    }

    fn learn(&mut self, create: LogCreateView<'_>) {
        let path = create.writer_info.iter().next().and_then(|path| path.as_bytes());
        let columns = Column::all_of(&create.fields.to_value());
        let (Some(path), Some(columns)) = (path, columns) else { return };
        let key = (create.stream.to_vec(), create.writer.to_vec(), path.to_vec());
        if self.columns.len() < STREAMS || self.columns.contains_key(&key) {
            self.columns.insert(key, columns);
        }
    }

    /// Adds a record to the batch of its stream; `None` if its columns are not known, or others.
    fn add(&self, write: LogWriteView<'_>, batches: &mut Vec<(Key, LogBatch)>) -> Option<()> {
        let key = (write.stream.to_vec(), write.writer.to_vec(), write.path.to_vec());
        let columns = self.columns.get(&key)?;
        let record = record_of_write(columns, write.record).ok()?.to_vec();
        match batches.iter_mut().find(|(known, _)| *known == key) {
            Some((_, batch)) => batch.records.push(record),
            None => {
                let batch = LogBatch {
                    stream: write.stream.into(),
                    writer: write.writer.into(),
                    filter: self.filter.as_str().into(),
                    path: write.path.into(),
                    columns: columns.clone(),
                    records: vec![record],
                };
                batches.push((key, batch));
            }
        }
        Some(())
    }
}
