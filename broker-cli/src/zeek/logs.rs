//! The records of log streams as rows: JSON Lines, or the tab-separated form of Zeek's own files.

use broker::data::zeek::ZeekMessageView;
use broker::data::zeek::rows::{Column, LogType, LogValue, row_of_write, write_json_row};
use broker::data::{BString, View};
use clap::ValueEnum;
use std::collections::HashMap;
use std::io::Write;

/// The forms of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogForm {
    /// A JSON object for each row.
    Json,
    /// Zeek's tab-separated values, with a header where the stream changes.
    Tsv,
}

/// The most streams whose columns are remembered; of others rows have no names.
const STREAMS: usize = 1024;

/// Makes rows of log writes. The columns of a stream are known once its creation has passed by.
pub(crate) struct Rows {
    form: LogForm,
    columns: HashMap<BString, Vec<Column>>,
    /// The path of the last row, whose header still holds.
    path: Option<BString>,
}

impl Rows {
    pub(crate) fn new(form: LogForm) -> Self {
        Self { form, columns: HashMap::new(), path: None }
    }

    /// Appends the rows in a message, a line each, and returns how many there are.
    pub(crate) fn write(&mut self, message: &ZeekMessageView<'_>, out: &mut Vec<u8>) -> u64 {
        match message {
            ZeekMessageView::LogCreate(create) => {
                let columns = Column::all_of(&create.fields.to_value());
                let stream = BString::from(create.stream);
                if let Some(columns) = columns
                    && (self.columns.len() < STREAMS || self.columns.contains_key(&stream))
                {
                    self.columns.insert(stream, columns);
                }
                0
            }
            ZeekMessageView::LogWrite(write) => {
                let Ok(row) = row_of_write(write.record) else { return 0 };
                let known = self.columns.get(&BString::from(write.stream));
                let columns = known.filter(|columns| columns.len() == row.len());
                let columns = columns.map(Vec::as_slice).unwrap_or_default();
                match self.form {
                    LogForm::Json => write_json_row(write.path, columns, &row, out),
                    LogForm::Tsv => {
                        if self.path.as_ref().is_none_or(|path| *path != *write.path) {
                            header(write.path, columns, row.len(), out);
                            self.path = Some(write.path.into());
                        }
                        tsv(columns, &row, out);
                    }
                }
                out.push(b'\n');
                1
            }
            ZeekMessageView::Batch(batch) => {
                batch.messages().map(|message| self.write(&message, out)).sum()
            }
            ZeekMessageView::Event(_) | ZeekMessageView::IdentifierUpdate(_) => 0,
        }
    }

    /// The same of a payload that may be something else.
    pub(crate) fn write_payload(&mut self, view: View<'_>, out: &mut Vec<u8>) -> u64 {
        ZeekMessageView::parse(view).map_or(0, |message| self.write(&message, out))
    }
}

/// The lines in front of the rows of a stream.
fn header(path: &[u8], columns: &[Column], count: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(
        b"#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\t",
    );
    escaped(path, out);
    out.extend_from_slice(b"\n#fields");
    for at in 0..count {
        out.push(b'\t');
        match columns.get(at) {
            Some(column) => escaped(&column.name, out),
            None => _ = write!(out, "_{at}"),
        }
    }
    if !columns.is_empty() {
        out.extend_from_slice(b"\n#types");
        for column in columns {
            let _ = write!(out, "\t{}", type_name(column));
        }
    }
    out.push(b'\n');
}

fn type_name(column: &Column) -> String {
    let element = LogType::from_number(column.subtype.into()).map_or("none", name);
    match column.kind {
        LogType::Set | LogType::Vector => format!("{}[{element}]", name(column.kind)),
        kind => name(kind).to_owned(),
    }
}

fn name(kind: LogType) -> &'static str {
    match kind {
        LogType::Bool => "bool",
        LogType::Int => "int",
        LogType::Count => "count",
        LogType::Double => "double",
        LogType::Time => "time",
        LogType::Interval => "interval",
        LogType::String => "string",
        LogType::Enum => "enum",
        LogType::Port => "port",
        LogType::Addr => "addr",
        LogType::Subnet => "subnet",
        LogType::Set => "set",
        LogType::Func => "func",
        LogType::File => "file",
        LogType::Vector => "vector",
    }
}

fn tsv(columns: &[Column], row: &[LogValue<'_>], out: &mut Vec<u8>) {
    for (at, value) in row.iter().enumerate() {
        if at > 0 {
            out.push(b'\t');
        }
        let is_time = columns
            .get(at)
            .is_none_or(|column| matches!(column.kind, LogType::Time | LogType::Interval));
        cell(value, is_time, out);
    }
}

fn cell(value: &LogValue<'_>, is_time: bool, out: &mut Vec<u8>) {
    let _ = match value {
        LogValue::Unset => write!(out, "-"),
        LogValue::Bool(true) => write!(out, "T"),
        LogValue::Bool(false) => write!(out, "F"),
        LogValue::Int(number) => write!(out, "{number}"),
        LogValue::Count(number) => write!(out, "{number}"),
        LogValue::Real(real) if is_time => write!(out, "{real:.6}"),
        LogValue::Real(real) => write!(out, "{real}"),
        LogValue::Port(number, _) => write!(out, "{number}"),
        LogValue::Addr(address) => write!(out, "{address}"),
        LogValue::Subnet(subnet) => write!(out, "{subnet}"),
        LogValue::Text(text) if text.is_empty() => write!(out, "(empty)"),
        LogValue::Text(text) => {
            escaped(text, out);
            Ok(())
        }
        LogValue::List(list) if list.is_empty() => write!(out, "(empty)"),
        LogValue::List(list) => {
            for (at, element) in list.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                cell(element, is_time, out);
            }
            Ok(())
        }
    };
}

/// Bytes that a reader of the file, or a terminal, would take for something else are `\xff`.
fn escaped(text: &[u8], out: &mut Vec<u8>) {
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => out.extend_from_slice(b"\\\\"),
                c if c.is_control()
                    || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
                {
                    let mut bytes = [0; 4];
                    for byte in c.encode_utf8(&mut bytes).bytes() {
                        let _ = write!(out, "\\x{byte:02x}");
                    }
                }
                c => {
                    let mut bytes = [0; 4];
                    out.extend_from_slice(c.encode_utf8(&mut bytes).as_bytes());
                }
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
}
