//! The texts that the server sends besides data messages.

use crate::framing::text_frame;
use broker_core::EndpointId;
use bytes::Bytes;

/// What the codes of errors are about. They are those of the other servers, and some of our own.
pub(crate) mod code {
    /// A message could not be understood.
    pub(crate) const DESERIALIZATION: &str = "deserialization_failed";
    /// There is no such path.
    pub(crate) const INVALID_URI: &str = "invalid_uri";
    /// `X-Application-Name` has characters that it must not have.
    pub(crate) const INVALID_APPLICATION_NAME: &str = "invalid_application_name";
    /// The client may not publish or subscribe there.
    pub(crate) const PERMISSION: &str = "permission_denied";
    /// A message was understood but cannot be published.
    pub(crate) const PUBLISH: &str = "publish_failed";
    /// With the subscriptions of this client the endpoint would want more than its peers accept.
    pub(crate) const SUBSCRIPTION: &str = "too_many_subscriptions";
    /// There are as many clients as are allowed.
    pub(crate) const TOO_MANY: &str = "too_many_clients";
    /// The client reads too slowly.
    pub(crate) const OVERFLOW: &str = "overflow";
}

/// An error object.
pub(crate) fn error_text(code: &str, context: &str) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    format!("{{\"type\":\"error\",\"code\":{},\"context\":{}}}", quoted(code), quoted(context))
}

pub(crate) fn error_frame(code: &str, context: &str) -> Bytes {
    text_frame(|out| out.extend_from_slice(error_text(code, context).as_bytes()))
}

/// The answer to the subscriptions. As in the servers before Zeek's own it names the endpoint, so
/// that clients that read it as a UUID can.
pub(crate) fn ack_frame(endpoint: EndpointId) -> Bytes {
    let version = env!("CARGO_PKG_VERSION");
    let text =
        format!("{{\"type\":\"ack\",\"endpoint\":\"{endpoint}\",\"version\":\"{version}\"}}");
    text_frame(|out| out.extend_from_slice(text.as_bytes()))
}

/// Tells a client that it has missed something.
pub(crate) fn missed_frame(count: u64) -> Bytes {
    let messages = if count == 1 { "message was" } else { "messages were" };
    let context =
        format!("{count} {messages} dropped because this client does not read fast enough");
    error_frame(code::OVERFLOW, &context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_json_whatever_is_in_them() {
        let text = error_text("c", "a \"quoted\" \n text");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["context"], "a \"quoted\" \n text");
        assert!(text.starts_with("{\"type\":\"error\",\"code\":\"c\",\"context\":\""));
    }
}
