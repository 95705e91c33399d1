use crate::event::{EndpointInfo, Event};
use broker_proto::data::{EnumValue, Value};

/// The topic of status events.
const STATUSES: &[u8] = b"<$>/local/data/statuses";

/// The topic of error events.
const ERRORS: &[u8] = b"<$>/local/data/errors";

/// A status or error as the message that local consumers of the internal topics get, in the form
/// of the C++ Broker. Log events have none.
pub(super) fn as_message(event: &Event) -> Option<(&'static [u8], Value)> {
    match event {
        Event::Status(status) => {
            let name = status.code.event_name();
            let value = Value::Vector(vec![
                Value::from("status"),
                Value::Enum(EnumValue(name.into())),
                endpoint_info(&status.endpoint),
                Value::from(status.message.as_str()),
            ]);
            Some((STATUSES, value))
        }
        Event::Error(error) => {
            let mut context = Vec::new();
            context.extend(error.endpoint.as_ref().map(endpoint_info));
            context.push(Value::from(error.message.as_str()));
            let value = Value::Vector(vec![
                Value::from("error"),
                Value::Enum(EnumValue(error.code.name().into())),
                Value::Vector(context),
            ]);
            Some((ERRORS, value))
        }
        Event::Log(_) => None,
    }
}

fn endpoint_info(endpoint: &EndpointInfo) -> Value {
    let id = match endpoint.id.is_nil() {
        true => Value::None,
        false => Value::from(endpoint.id.to_string()),
    };
    let mut fields = vec![id];
    match &endpoint.network {
        None => fields.extend([Value::None, Value::None, Value::None]),
        Some(network) => fields.extend([
            Value::from(network.url.host()),
            Value::Port(network.port()),
            Value::Count(network.retry.unwrap_or_default().as_secs()),
        ]),
    }
    Value::Vector(fields)
}
