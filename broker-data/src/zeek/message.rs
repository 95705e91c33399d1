//! Messages as owned values.

use super::check::{self, Parts};
use super::{
    BatchView, FORMAT_VERSION, IdentifierUpdate, IdentifierUpdateView, InvalidMessage, LogCreate,
    LogCreateView, LogWrite, LogWriteView, MessageType, ZeekEvent, ZeekEventView, ZeekMessageView,
};
use crate::{BString, Encode, EnumValue, Slot, Value};

/// A message of Zeek.
///
/// Reading one from a [`Value`] checks everything, as [`ZeekMessageView::parse`] does.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ZeekMessage {
    /// An event.
    Event(ZeekEvent),
    /// The creation of a log stream.
    LogCreate(LogCreate),
    /// One record of a log stream.
    LogWrite(LogWrite),
    /// A new value for a global variable.
    IdentifierUpdate(IdentifierUpdate),
    /// Several messages.
    Batch(Vec<ZeekMessage>),
}

impl ZeekMessage {
    /// The type of the message.
    #[must_use]
    pub fn message_type(&self) -> MessageType {
        match self {
            Self::Event(_) => MessageType::Event,
            Self::LogCreate(_) => MessageType::LogCreate,
            Self::LogWrite(_) => MessageType::LogWrite,
            Self::IdentifierUpdate(_) => MessageType::IdentifierUpdate,
            Self::Batch(_) => MessageType::Batch,
        }
    }
}

impl TryFrom<&Value> for ZeekMessage {
    type Error = InvalidMessage;

    fn try_from(value: &Value) -> Result<Self, InvalidMessage> {
        check::parts(value).map(from_parts)
    }
}

impl TryFrom<Value> for ZeekMessage {
    type Error = InvalidMessage;

    fn try_from(value: Value) -> Result<Self, InvalidMessage> {
        Self::try_from(&value)
    }
}

fn from_parts(parts: Parts<&Value>) -> ZeekMessage {
    match parts {
        Parts::Event { name, args, metadata } => ZeekMessage::Event(ZeekEvent {
            name: bytes(name),
            args: elements(args).to_vec(),
            metadata: metadata.map(|entries| elements(entries).iter().filter_map(entry).collect()),
        }),
        Parts::LogCreate { stream, writer, writer_info, fields } => {
            ZeekMessage::LogCreate(LogCreate {
                stream: EnumValue(bytes(stream)),
                writer: EnumValue(bytes(writer)),
                writer_info: writer_info.clone(),
                fields: fields.clone(),
            })
        }
        Parts::LogWrite { stream, writer, path, record } => ZeekMessage::LogWrite(LogWrite {
            stream: EnumValue(bytes(stream)),
            writer: EnumValue(bytes(writer)),
            path: bytes(path),
            record: bytes(record),
        }),
        Parts::IdentifierUpdate { identifier, value } => {
            let identifier = bytes(identifier);
            ZeekMessage::IdentifierUpdate(IdentifierUpdate { identifier, value: value.clone() })
        }
        Parts::Batch { items } => {
            let messages = elements(items).iter().filter_map(|item| check::parts(item).ok());
            ZeekMessage::Batch(messages.map(from_parts).collect())
        }
    }
}

fn bytes(value: &Value) -> BString {
    match value {
        Value::String(bytes) | Value::Enum(EnumValue(bytes)) => bytes.clone(),
        _ => BString::default(),
    }
}

fn elements(value: &Value) -> &[Value] {
    match value {
        Value::Vector(elements) => elements,
        _ => &[],
    }
}

fn entry(entry: &Value) -> Option<(u64, Value)> {
    match elements(entry) {
        [Value::Count(id), value] => Some((*id, value.clone())),
        _ => None,
    }
}

impl From<ZeekEventView<'_>> for ZeekEvent {
    fn from(event: ZeekEventView<'_>) -> Self {
        let metadata = || event.metadata().map(|(id, value)| (id, value.to_value())).collect();
        Self {
            name: event.name().into(),
            args: event.args().iter().map(|arg| arg.to_value()).collect(),
            metadata: event.has_metadata().then(metadata),
        }
    }
}

impl From<LogCreateView<'_>> for LogCreate {
    fn from(log: LogCreateView<'_>) -> Self {
        Self {
            stream: EnumValue(log.stream.into()),
            writer: EnumValue(log.writer.into()),
            writer_info: log.writer_info.to_value(),
            fields: log.fields.to_value(),
        }
    }
}

impl From<LogWriteView<'_>> for LogWrite {
    fn from(log: LogWriteView<'_>) -> Self {
        Self {
            stream: EnumValue(log.stream.into()),
            writer: EnumValue(log.writer.into()),
            path: log.path.into(),
            record: log.record.into(),
        }
    }
}

impl From<IdentifierUpdateView<'_>> for IdentifierUpdate {
    fn from(update: IdentifierUpdateView<'_>) -> Self {
        Self { identifier: update.identifier.into(), value: update.value.to_value() }
    }
}

impl From<BatchView<'_>> for ZeekMessage {
    fn from(batch: BatchView<'_>) -> Self {
        Self::Batch(batch.messages().map(Self::from).collect())
    }
}

impl From<ZeekMessageView<'_>> for ZeekMessage {
    fn from(view: ZeekMessageView<'_>) -> Self {
        match view {
            ZeekMessageView::Event(event) => Self::Event(event.into()),
            ZeekMessageView::LogCreate(log) => Self::LogCreate(log.into()),
            ZeekMessageView::LogWrite(log) => Self::LogWrite(log.into()),
            ZeekMessageView::IdentifierUpdate(update) => Self::IdentifierUpdate(update.into()),
            ZeekMessageView::Batch(batch) => batch.into(),
        }
    }
}

/// Writes a message of this type, whose content `write` puts into the slot.
fn write(message_type: MessageType, out: &mut Vec<u8>, write: impl FnOnce(Slot<'_>)) {
    let mut outer = Slot::new(out).vector();
    outer.push(&FORMAT_VERSION).push(&(message_type as u64));
    write(outer.next());
}

impl Encode for ZeekEvent {
    fn encode_into(&self, out: &mut Vec<u8>) {
        write(MessageType::Event, out, |slot| {
            let mut content = slot.vector();
            content.push(&self.name).push(&self.args);
            if let Some(metadata) = &self.metadata {
                content.push(metadata);
            }
        });
    }
}

impl Encode for LogCreate {
    fn encode_into(&self, out: &mut Vec<u8>) {
        let content = (&self.stream, &self.writer, &self.writer_info, &self.fields);
        write(MessageType::LogCreate, out, |slot| slot.put(&content));
    }
}

impl Encode for LogWrite {
    fn encode_into(&self, out: &mut Vec<u8>) {
        let content = (&self.stream, &self.writer, &self.path, &self.record);
        write(MessageType::LogWrite, out, |slot| slot.put(&content));
    }
}

impl Encode for IdentifierUpdate {
    fn encode_into(&self, out: &mut Vec<u8>) {
        let content = (&self.identifier, &self.value);
        write(MessageType::IdentifierUpdate, out, |slot| slot.put(&content));
    }
}

impl Encode for ZeekMessage {
    fn encode_into(&self, out: &mut Vec<u8>) {
        match self {
            Self::Event(event) => event.encode_into(out),
            Self::LogCreate(log) => log.encode_into(out),
            Self::LogWrite(log) => log.encode_into(out),
            Self::IdentifierUpdate(update) => update.encode_into(out),
            Self::Batch(messages) => write(MessageType::Batch, out, |slot| {
                let mut batch = slot.vector();
                for message in messages {
                    batch.push(message);
                }
            }),
        }
    }
}

fn value(message_type: MessageType, content: Vec<Value>) -> Value {
    (FORMAT_VERSION, message_type as u64, content).into()
}

impl From<ZeekEvent> for Value {
    fn from(event: ZeekEvent) -> Self {
        let mut content = vec![event.name.into(), event.args.into()];
        content.extend(event.metadata.map(Self::from));
        value(MessageType::Event, content)
    }
}

impl From<LogCreate> for Value {
    fn from(log: LogCreate) -> Self {
        let content = vec![log.stream.into(), log.writer.into(), log.writer_info, log.fields];
        value(MessageType::LogCreate, content)
    }
}

impl From<LogWrite> for Value {
    fn from(log: LogWrite) -> Self {
        let content =
            vec![log.stream.into(), log.writer.into(), log.path.into(), log.record.into()];
        value(MessageType::LogWrite, content)
    }
}

impl From<IdentifierUpdate> for Value {
    fn from(update: IdentifierUpdate) -> Self {
        value(MessageType::IdentifierUpdate, vec![update.identifier.into(), update.value])
    }
}

impl From<ZeekMessage> for Value {
    fn from(message: ZeekMessage) -> Self {
        match message {
            ZeekMessage::Event(event) => event.into(),
            ZeekMessage::LogCreate(log) => log.into(),
            ZeekMessage::LogWrite(log) => log.into(),
            ZeekMessage::IdentifierUpdate(update) => update.into(),
            ZeekMessage::Batch(messages) => {
                value(MessageType::Batch, messages.into_iter().map(Self::from).collect())
            }
        }
    }
}

macro_rules! into_message {
    ($($variant:ident($type:ident)),*) => {$(
        impl From<$type> for ZeekMessage {
            fn from(message: $type) -> Self {
                Self::$variant(message)
            }
        }
    )*};
}

into_message!(
    Event(ZeekEvent),
    LogCreate(LogCreate),
    LogWrite(LogWrite),
    IdentifierUpdate(IdentifierUpdate)
);
