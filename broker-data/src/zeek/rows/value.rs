use super::reader::Reader;
use super::{Column, InvalidLog, LogType};
use crate::json::write_string;
use crate::{BStr, IpAddress, Subnet};
use std::io::Write;

/// Sets and vectors inside of each other.
const MAX_DEPTH: usize = 8;

/// A value of a record.
#[derive(Debug, Clone, PartialEq)]
pub enum LogValue<'a> {
    /// There is none.
    Unset,
    /// `bool`
    Bool(bool),
    /// `int`
    Int(i64),
    /// `count`
    Count(u64),
    /// `double`; `time` and `interval` in seconds
    Real(f64),
    /// `port`: the number, and the protocol: 1 TCP, 2 UDP, 3 ICMP
    Port(u64, u32),
    /// `addr`
    Addr(IpAddress),
    /// `subnet`
    Subnet(Subnet),
    /// `string`, `enum`, `file`, `func`
    Text(&'a BStr),
    /// `set` and `vector`
    List(Vec<LogValue<'a>>),
}

impl<'a> LogValue<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<(LogType, Self), InvalidLog> {
        Self::read_inside(reader, MAX_DEPTH)
    }

    fn read_inside(reader: &mut Reader<'a>, depth: usize) -> Result<(LogType, Self), InvalidLog> {
        let number = reader.u32()?;
        let kind = LogType::from_number(number.into())
            .ok_or_else(|| reader.error("a value of an unknown type"))?;
        // Some versions of Zeek write something else here than what the column has.
        reader.u32()?;
        if !reader.bool()? {
            return Ok((kind, Self::Unset));
        }
        let value = match kind {
            LogType::Bool => Self::Bool(reader.i64()? != 0),
            LogType::Int => Self::Int(reader.i64()?),
            LogType::Count => Self::Count(reader.u64()?),
            LogType::Double | LogType::Time | LogType::Interval => Self::Real(reader.f64()?),
            LogType::Port => Self::Port(reader.u64()?, reader.u32()?),
            LogType::Addr => Self::Addr(address(reader)?),
            LogType::Subnet => {
                let [length] = reader.array()?;
                let address = address(reader)?;
                match length > 128 {
                    true => return Err(reader.error("a subnet with more than 128 bits")),
                    false => Self::Subnet(Subnet::from_raw(address, length)),
                }
            }
            LogType::String | LogType::Enum | LogType::File | LogType::Func => {
                Self::Text(reader.string()?)
            }
            LogType::Set | LogType::Vector => {
                let count = reader.i64()?;
                let depth = depth
                    .checked_sub(1)
                    .filter(|_| count >= 0)
                    .ok_or_else(|| reader.error("a list too deep, or of a negative length"))?;
                let mut list = Vec::new();
                // Each takes up bytes, so there are no more than have been received.
                for _ in 0..count {
                    list.push(Self::read_inside(reader, depth)?.1);
                }
                Self::List(list)
            }
        };
        Ok((kind, value))
    }

    /// Appends the value as JSON, as Zeek's own JSON logs have it: addresses, subnets and texts are
    /// strings, in which bytes that are not UTF-8 are written `\xff`; ports are numbers, times and
    /// intervals seconds. What JSON cannot say is `null`.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        // Writing to a Vec does not fail.
        let _ = match self {
            Self::Unset => write!(out, "null"),
            Self::Bool(value) => write!(out, "{value}"),
            Self::Int(value) => write!(out, "{value}"),
            Self::Count(value) => write!(out, "{value}"),
            Self::Real(value) if value.is_finite() => write!(out, "{value:?}"),
            Self::Real(_) => write!(out, "null"),
            Self::Port(number, _) => write!(out, "{number}"),
            Self::Addr(address) => write!(out, "\"{address}\""),
            Self::Subnet(subnet) => write!(out, "\"{subnet}\""),
            Self::Text(text) => {
                write_text(text, out);
                Ok(())
            }
            Self::List(list) => {
                out.push(b'[');
                for (at, value) in list.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    value.write_json(out);
                }
                write!(out, "]")
            }
        };
    }
}

fn address(reader: &mut Reader<'_>) -> Result<IpAddress, InvalidLog> {
    match reader.array()? {
        [4] => {
            let v4: [u8; 4] = reader.array()?;
            Ok(std::net::Ipv4Addr::from(v4).into())
        }
        [6] => Ok(IpAddress::from_bytes(reader.array()?)),
        _ => Err(reader.error("an address of an unknown family")),
    }
}

fn write_text(text: &[u8], out: &mut Vec<u8>) {
    match std::str::from_utf8(text) {
        Ok(text) => write_string(text, out),
        Err(_) => {
            let mut shown = String::new();
            for chunk in text.utf8_chunks() {
                shown.push_str(chunk.valid());
                for byte in chunk.invalid() {
                    shown.push_str(&format!("\\x{byte:02x}"));
                }
            }
            write_string(&shown, out);
        }
    }
}

/// Appends a record as a JSON object on one line: `_path` with the path of the stream, then a
/// member for each value that is set, by the name of its column. Values that have no column, as
/// those of a stream whose columns are not known, are in a list `_values`.
pub fn write_json_row(path: &[u8], columns: &[Column], row: &[LogValue<'_>], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"_path\":");
    write_text(path, out);
    for (column, value) in columns.iter().zip(row).filter(|(_, value)| **value != LogValue::Unset) {
        out.push(b',');
        write_text(&column.name, out);
        out.push(b':');
        value.write_json(out);
    }
    if let Some(rest) = row.get(columns.len()..).filter(|rest| !rest.is_empty()) {
        out.extend_from_slice(b",\"_values\":");
        LogValue::List(rest.to_vec()).write_json(out);
    }
    out.push(b'}');
}
