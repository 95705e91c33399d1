use super::reader::{Reader, put_string};
use super::{InvalidLog, LogValue};
use crate::{BString, Value};

/// The type of a column, by Zeek's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum LogType {
    /// `bool`
    Bool = 1,
    /// `int`
    Int = 2,
    /// `count`
    Count = 3,
    /// `double`
    Double = 4,
    /// `time`
    Time = 5,
    /// `interval`
    Interval = 6,
    /// `string`
    String = 7,
    /// `enum`
    Enum = 9,
    /// `port`
    Port = 10,
    /// `addr`
    Addr = 11,
    /// `subnet`
    Subnet = 12,
    /// `set[...]`
    Set = 14,
    /// `function`, by its name
    Func = 17,
    /// `file`, by its name
    File = 18,
    /// `vector of ...`
    Vector = 19,
}

impl LogType {
    const ALL: [Self; 15] = [
        Self::Bool,
        Self::Int,
        Self::Count,
        Self::Double,
        Self::Time,
        Self::Interval,
        Self::String,
        Self::Enum,
        Self::Port,
        Self::Addr,
        Self::Subnet,
        Self::Set,
        Self::Func,
        Self::File,
        Self::Vector,
    ];

    /// The type with this number, if columns can have it.
    #[must_use]
    pub fn from_number(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|known| *known as u64 == number)
    }
}

/// A column of a log stream.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Column {
    /// The name, dotted where a record is inside of another, as in `id.orig_h`.
    pub name: BString,
    /// A second name, which only input streams have.
    pub secondary: Option<BString>,
    /// The type of the values.
    pub kind: LogType,
    /// The number of the type of the elements, for sets and vectors; else 0.
    pub subtype: u32,
    /// Whether values may be unset.
    pub is_optional: bool,
}

impl Column {
    /// A column without a second name and without elements.
    pub fn new(name: impl Into<BString>, kind: LogType, is_optional: bool) -> Self {
        Self { name: name.into(), secondary: None, kind, subtype: 0, is_optional }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, InvalidLog> {
        let secondary = match reader.bool()? {
            true => Some(reader.string()?.into()),
            false => None,
        };
        let name = reader.string()?.into();
        let number = reader.u32()?;
        let kind = LogType::from_number(number.into())
            .ok_or_else(|| reader.error("a column of an unknown type"))?;
        Ok(Self { name, secondary, kind, subtype: reader.u32()?, is_optional: reader.bool()? })
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.push(self.secondary.is_some().into());
        if let Some(secondary) = &self.secondary {
            put_string(secondary, out);
        }
        put_string(&self.name, out);
        out.extend_from_slice(&(self.kind as u32).to_be_bytes());
        out.extend_from_slice(&self.subtype.to_be_bytes());
        out.push(self.is_optional.into());
    }

    /// The columns in a [`LogCreate`](crate::zeek::LogCreate), as Zeek sends them; `None` if they
    /// are something else.
    #[must_use]
    pub fn all_of(fields: &Value) -> Option<Vec<Self>> {
        let Value::Vector(fields) = fields else { return None };
        fields.iter().map(Self::of).collect()
    }

    fn of(field: &Value) -> Option<Self> {
        let Value::Vector(parts) = field else { return None };
        let [Value::String(name), secondary, kind, subtype, Value::Boolean(is_optional), ..] =
            parts.as_slice()
        else {
            return None;
        };
        let secondary = match secondary {
            Value::String(name) => Some(name.clone()),
            _ => None,
        };
        let number = |value: &Value| match value {
            Value::Count(number) => Some(*number),
            Value::Integer(number) => u64::try_from(*number).ok(),
            _ => None,
        };
        Some(Self {
            name: name.clone(),
            secondary,
            kind: LogType::from_number(number(kind)?)?,
            subtype: u32::try_from(number(subtype)?).ok()?,
            is_optional: *is_optional,
        })
    }

    /// Columns as they are in a [`LogCreate`](crate::zeek::LogCreate).
    #[must_use]
    pub fn to_fields(columns: &[Self]) -> Value {
        let field = |column: &Self| {
            Value::Vector(vec![
                Value::String(column.name.clone()),
                column.secondary.clone().map_or(Value::None, Value::String),
                Value::Count(column.kind as u64),
                Value::Count(column.subtype.into()),
                Value::Boolean(column.is_optional),
            ])
        };
        Value::Vector(columns.iter().map(field).collect())
    }

    /// The value of this column at the front of what is left of a record.
    pub(super) fn value<'a>(&self, reader: &mut Reader<'a>) -> Result<LogValue<'a>, InvalidLog> {
        let at = *reader;
        let (kind, value) = LogValue::read(reader)?;
        match kind == self.kind {
            true => Ok(value),
            false => Err(at.error("a value of another type than its column")),
        }
    }
}
