use super::reader::{Reader, put_string};
use super::{Column, InvalidLog, LogValue};
use crate::{BStr, BString};

/// The most columns of a stream; the largest of Zeek's own have less than a hundred.
const MAX_COLUMNS: u32 = 4096;

/// Records of one stream with their columns, as ZeroMQ clusters send them to a logger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogBatch {
    /// The stream, for example `Conn::LOG`.
    pub stream: BString,
    /// The writer, for example `Log::WRITER_ASCII`.
    pub writer: BString,
    /// The name of the filter at the sender, mostly `default`.
    pub filter: BString,
    /// The path, for example `conn`.
    pub path: BString,
    /// The columns.
    pub columns: Vec<Column>,
    /// The records, each as it is on the wire.
    pub records: Vec<Vec<u8>>,
}

/// A borrowed view of a batch.
#[derive(Debug, Clone)]
pub struct LogBatchView<'a> {
    /// The stream, for example `Conn::LOG`.
    pub stream: &'a BStr,
    /// The writer, for example `Log::WRITER_ASCII`.
    pub writer: &'a BStr,
    /// The name of the filter at the sender, mostly `default`.
    pub filter: &'a BStr,
    /// The path, for example `conn`.
    pub path: &'a BStr,
    /// The columns.
    pub columns: Vec<Column>,
    /// The records, each as it is on the wire.
    pub records: Vec<&'a [u8]>,
}

impl<'a> LogBatchView<'a> {
    /// Reads a batch, and checks every value in it.
    ///
    /// # Errors
    ///
    /// It is not what Zeek's loggers take.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, InvalidLog> {
        let mut reader = Reader::new(bytes);
        let [stream, writer, filter, path] =
            [reader.string()?, reader.string()?, reader.string()?, reader.string()?];
        let count = reader.u32()?;
        if count > MAX_COLUMNS {
            return Err(reader.error("more columns than a stream can have"));
        }
        let mut columns = Vec::new();
        for _ in 0..count {
            columns.push(Column::read(&mut reader)?);
        }
        let count = reader.u32()?;
        if columns.is_empty() && count > 0 {
            return Err(reader.error("records without columns"));
        }
        let mut records = Vec::new();
        for _ in 0..count {
            let at = reader.at();
            read_row(&columns, &mut reader, &mut |_| {})?;
            records.push(reader.since(at));
        }
        reader.end()?;
        Ok(Self { stream, writer, filter, path, columns, records })
    }

    /// The values of a record of this batch.
    ///
    /// # Errors
    ///
    /// It is a record of another stream.
    pub fn row<'r>(&self, record: &'r [u8]) -> Result<Vec<LogValue<'r>>, InvalidLog> {
        row_of(&self.columns, record)
    }
}

impl LogBatch {
    /// Appends the batch as it is on the wire.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        for text in [&self.stream, &self.writer, &self.filter, &self.path] {
            put_string(text, out);
        }
        out.extend_from_slice(&(self.columns.len() as u32).to_be_bytes());
        self.columns.iter().for_each(|column| column.put(out));
        out.extend_from_slice(&(self.records.len() as u32).to_be_bytes());
        self.records.iter().for_each(|record| out.extend_from_slice(record));
    }
}

impl From<LogBatchView<'_>> for LogBatch {
    fn from(view: LogBatchView<'_>) -> Self {
        Self {
            stream: view.stream.into(),
            writer: view.writer.into(),
            filter: view.filter.into(),
            path: view.path.into(),
            columns: view.columns,
            records: view.records.into_iter().map(<[u8]>::to_vec).collect(),
        }
    }
}

/// Reads the values of one record.
fn read_row<'a>(
    columns: &[Column],
    reader: &mut Reader<'a>,
    take: &mut impl FnMut(LogValue<'a>),
) -> Result<(), InvalidLog> {
    columns.iter().try_for_each(|column| column.value(reader).map(&mut *take))
}

fn row_of<'a>(columns: &[Column], record: &'a [u8]) -> Result<Vec<LogValue<'a>>, InvalidLog> {
    let mut reader = Reader::new(record);
    let mut row = Vec::new();
    read_row(columns, &mut reader, &mut |value| row.push(value))?;
    reader.end()?;
    Ok(row)
}

/// The values in a [`LogWrite`](crate::zeek::LogWrite), whose record has the number of values in
/// front. No columns are needed to read it.
///
/// # Errors
///
/// It is not what Zeek's loggers take.
pub fn row_of_write(serial: &[u8]) -> Result<Vec<LogValue<'_>>, InvalidLog> {
    let mut reader = Reader::new(serial);
    let count = reader.u32()?;
    let mut row = Vec::new();
    // Each takes up bytes, so there are no more than have been received.
    for _ in 0..count {
        row.push(LogValue::read(&mut reader)?.1);
    }
    reader.end()?;
    Ok(row)
}

/// The record of a [`LogWrite`](crate::zeek::LogWrite) as it is in a batch with these columns.
///
/// # Errors
///
/// It does not have these columns, or is not what Zeek's loggers take.
pub fn record_of_write<'a>(columns: &[Column], serial: &'a [u8]) -> Result<&'a [u8], InvalidLog> {
    let mut reader = Reader::new(serial);
    if usize::try_from(reader.u32()?) != Ok(columns.len()) {
        return Err(reader.error("another number of values than there are columns"));
    }
    let at = reader.at();
    read_row(columns, &mut reader, &mut |_| {})?;
    reader.end()?;
    Ok(reader.since(at))
}

/// A record of a batch as it is in a [`LogWrite`](crate::zeek::LogWrite), where the number of
/// values is in front.
#[must_use]
pub fn serial_of_record(columns: &[Column], record: &[u8]) -> BString {
    let mut serial = (columns.len() as u32).to_be_bytes().to_vec();
    serial.extend_from_slice(record);
    serial.into()
}

#[cfg(test)]
mod tests {
    use super::super::{LogType, write_json_row};
    use super::*;

    /// The batch in the unit test of Zeek's serializer.
    fn golden() -> Vec<u8> {
        let mut bytes = Vec::new();
        for text in [&b"Log::UNKNOWN"[..], b"Log::WRITER_NONE", b"default", b"my-path"] {
            put_string(text, &mut bytes);
        }
        bytes.extend_from_slice(b"\0\0\0\x01\0\0\0\0\x02ts\0\0\0\x05\0\0\0\0\0\0\0\0\x02");
        for seconds in [b"\x3f\xf0", b"\x40\0"] {
            bytes.extend_from_slice(b"\0\0\0\x05\0\0\0\x16\x01");
            bytes.extend_from_slice(seconds);
            bytes.extend_from_slice(&[0; 6]);
        }
        bytes
    }

    #[test]
    fn a_batch_is_read_and_written_the_same() {
        let bytes = golden();
        let batch = LogBatchView::parse(&bytes).unwrap();
        assert_eq!((batch.stream, batch.path), (BStr::new("Log::UNKNOWN"), BStr::new("my-path")));
        assert_eq!(batch.columns, [Column::new("ts", LogType::Time, false)]);
        assert_eq!(batch.row(batch.records[1]).unwrap(), [LogValue::Real(2.0)]);
        let mut out = Vec::new();
        LogBatch::from(batch).encode_into(&mut out);
        assert_eq!(out, bytes);
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_refused_or_read() {
        let bytes = golden();
        for cut in 0..bytes.len() {
            assert!(LogBatchView::parse(&bytes[..cut]).is_err(), "{cut}");
        }
        for at in 0..bytes.len() {
            for change in [1, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= change;
                if let Ok(batch) = LogBatchView::parse(&changed) {
                    assert!(batch.records.iter().all(|record| batch.row(record).is_ok()));
                }
            }
        }
    }

    #[test]
    fn what_claims_to_be_long_allocates_nothing() {
        let mut reader = vec![0, 0, 0, 14, 0, 0, 0, 7, 1];
        reader.extend_from_slice(&i64::MAX.to_be_bytes());
        assert!(row_of_write(&[&[0, 0, 0, 1], &reader[..]].concat()).is_err());
        assert!(row_of_write(&u32::MAX.to_be_bytes()).is_err());
        reader[9] = 0xff;
        assert!(row_of_write(&[&[0, 0, 0, 1], &reader[..]].concat()).is_err());
        let mut deep = 1_u32.to_be_bytes().to_vec();
        for _ in 0..1000 {
            deep.extend_from_slice(&[0, 0, 0, 19, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
        }
        assert!(row_of_write(&deep).unwrap_err().to_string().contains("too deep"));
        let mut empty = Vec::new();
        (0..4).for_each(|_| put_string(b"", &mut empty));
        empty.extend_from_slice(&[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
        assert!(LogBatchView::parse(&empty).unwrap_err().to_string().contains("without columns"));
    }

    #[test]
    fn a_record_goes_from_a_write_into_a_batch_and_back() {
        let columns = [Column::new("a", LogType::Count, false)];
        let record = [&[0, 0, 0, 3, 0, 0, 0, 0, 1][..], &7_u64.to_be_bytes()].concat();
        let serial = serial_of_record(&columns, &record);
        assert_eq!(record_of_write(&columns, &serial).unwrap(), record);
        assert_eq!(row_of_write(&serial).unwrap(), [LogValue::Count(7)]);
        assert!(record_of_write(&[], &serial).is_err());
        let other = [Column::new("a", LogType::Int, false)];
        assert!(record_of_write(&other, &serial).is_err());
    }

    #[test]
    fn columns_are_the_same_in_a_log_create() {
        let mut columns = vec![
            Column::new("ts", LogType::Time, false),
            Column { subtype: 7, ..Column::new("tags", LogType::Set, true) },
        ];
        columns[1].secondary = Some("second".into());
        assert_eq!(Column::all_of(&Column::to_fields(&columns)), Some(columns));
        for fields in ["1", "[1]", "[[1]]"] {
            let value = crate::json::from_plain(fields.as_bytes()).unwrap();
            assert_eq!(Column::all_of(&value), None, "{fields}");
        }
    }

    #[test]
    fn a_row_is_an_object_with_the_names_of_the_columns() {
        let columns = [
            Column::new("ts", LogType::Time, false),
            Column::new("id.orig_h", LogType::Addr, true),
            Column::new("s", LogType::String, true),
        ];
        let row = [
            LogValue::Real(1_700_000_000.25),
            LogValue::Unset,
            LogValue::Text(BStr::new(b"a\"\xff")),
            LogValue::List(vec![LogValue::Bool(true), LogValue::Real(f64::NAN)]),
        ];
        let mut out = Vec::new();
        write_json_row(b"conn", &columns, &row, &mut out);
        let expected =
            r#"{"_path":"conn","ts":1700000000.25,"s":"a\"\\xff","_values":[[true,null]]}"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
