//! The lines of standard output that are not data messages.

use crate::names::protection_text;
use broker::core::transport::ListenerProtection;
use broker::event::{
    ClientLabel, EndpointInfo, ErrorEvent, Event, LogEvent, LogId, NetworkInfo, Severity, Status,
};
use broker::{Address, Endpoint, Reason};
use serde::{Serialize, Serializer};
use std::fmt;

/// A listener is ready.
#[derive(Serialize)]
#[serde(tag = "type", rename = "listening")]
pub(crate) struct Listening {
    url: String,
    #[serde(serialize_with = "as_text")]
    protection: ListenerProtection,
}

fn as_text<S: Serializer>(value: &impl fmt::Display, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

impl Listening {
    pub(crate) fn new(url: &Address, protection: ListenerProtection) -> Self {
        Self { url: url.to_string(), protection }
    }

    /// What protects the links that it accepts.
    pub(crate) fn protection(&self) -> &ListenerProtection {
        &self.protection
    }

    /// The listener of an endpoint at this address.
    pub(crate) fn of(endpoint: &Endpoint, url: &Address) -> Self {
        let listeners = endpoint.listeners();
        let listener = listeners.into_iter().find(|listener| listener.url == *url);
        // It may have been closed by now, like everything of an endpoint that shuts down.
        let protection = listener.map_or(ListenerProtection::Plain, |found| found.protection);
        Self::new(url, protection)
    }
}

impl fmt::Display for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "listening on {} ({})", self.url, self.protection)
    }
}

/// An event of an endpoint. Members that the event has nothing to say in are left out.
#[derive(Serialize, Default)]
pub(crate) struct EventRecord<'a> {
    #[serde(rename = "type")]
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<EndpointRecord<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<ClientRecord<'a>>,
    /// What protects the link to a new peer or client.
    #[serde(skip_serializing_if = "Option::is_none")]
    protection: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    /// The name of the failure behind an error or log event.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// What stands in the place of lines that could not be written.
pub(super) fn lost(lines: u64) -> Event {
    let description = format!("{lines} lines are missing here: standard output did not take them");
    let id = LogId::OutputLost;
    Event::Log(LogEvent::new(Severity::Warning, id, description))
}

/// What is known of a client that is no peer.
#[derive(Serialize)]
struct ClientRecord<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    application: Option<&'a str>,
}

impl<'a> From<&'a ClientLabel> for ClientRecord<'a> {
    fn from(label: &'a ClientLabel) -> Self {
        Self { kind: label.kind, application: label.application.as_deref() }
    }
}

#[derive(Serialize)]
struct EndpointRecord<'a> {
    id: String,
    /// Left out if the address is not known, as the field of the record is optional in Zeek.
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<NetworkRecord<'a>>,
}

#[derive(Serialize)]
struct NetworkRecord<'a> {
    address: &'a str,
    /// Left out where the address is a path.
    #[serde(skip_serializing_if = "Option::is_none")]
    bound_port: Option<String>,
}

impl<'a> From<&'a EndpointInfo> for EndpointRecord<'a> {
    fn from(endpoint: &'a EndpointInfo) -> Self {
        let network = |network: &'a NetworkInfo| NetworkRecord {
            address: network.place(),
            bound_port: (!network.url.is_local_path()).then(|| network.port().to_string()),
        };
        Self { id: endpoint.id.to_string(), network: endpoint.network.as_ref().map(network) }
    }
}

impl<'a> EventRecord<'a> {
    pub(crate) fn new(event: &'a Event) -> Self {
        let base = Self { name: event.name(), ..Self::default() };
        match event {
            Event::Status(Status { endpoint, client, protection, message, .. }) => Self {
                endpoint: Some(endpoint.into()),
                client: client.as_ref().map(Into::into),
                protection: protection.as_ref().map(protection_text),
                message: Some(message),
                ..base
            },
            Event::Error(ErrorEvent { code, endpoint, message, reason, .. }) => Self {
                code: Some(code.name()),
                reason: reason.map(Reason::name),
                endpoint: endpoint.as_ref().map(Into::into),
                message: Some(message),
                ..base
            },
            Event::Log(LogEvent { level, id, description, reason, .. }) => Self {
                level: Some(level.name()),
                reason: reason.map(Reason::name),
                id: Some(id.name()),
                description: Some(description),
                ..base
            },
            other => Self { message: Some(other.message()), ..base },
        }
    }
}

impl fmt::Display for EventRecord<'_> {
    /// The line for people, as in `peer_added ID at ADDR:PORT: handshake successful (plain)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        for word in [self.level, self.code, self.id].into_iter().flatten() {
            write!(f, " {word}")?;
        }
        if let Some(endpoint) = self.endpoint.as_ref().filter(|_| self.code.is_none()) {
            write!(f, " {}", endpoint.id)?;
            if let Some(network) = &endpoint.network {
                write!(f, " at {}", network.address)?;
                if let Some(port) = &network.bound_port {
                    write!(f, ":{}", port.split('/').next().unwrap_or_default())?;
                }
            }
        }
        if let Some(text) = self.message.or(self.description) {
            write!(f, ": {text}")?;
        }
        match &self.protection {
            Some(protection) => write!(f, " ({protection})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use broker::core::transport::Protection;
    use broker::event::StatusCode;
    use broker::{EndpointId, ErrorCode};

    fn lines(event: &Event) -> (String, String) {
        let record = EventRecord::new(event);
        (serde_json::to_string(&record).unwrap(), record.to_string())
    }

    fn status(code: StatusCode, network: Option<NetworkInfo>) -> Event {
        let id = "11111111-1111-4111-8111-111111111111".parse().unwrap();
        let endpoint = EndpointInfo { id, network };
        let protection = (code == StatusCode::PeerAdded).then_some(Protection::Encrypted);
        let mut status = Status::new(code, endpoint, "text");
        status.protection = protection;
        Event::Status(status)
    }

    #[test]
    fn listeners_are_announced_with_their_url_and_what_protects_their_links() {
        let url = "tls://127.0.0.1:41234".parse().unwrap();
        let record = Listening::new(&url, ListenerProtection::Authenticated("certificates"));
        let json = serde_json::to_string(&record).unwrap();
        assert_eq!(
            json,
            r#"{"type":"listening","url":"tls://127.0.0.1:41234","protection":"authenticated by certificates"}"#
        );
        assert_eq!(
            record.to_string(),
            "listening on tls://127.0.0.1:41234 (authenticated by certificates)"
        );
    }

    #[test]
    fn events_have_their_name_and_the_endpoint_with_its_address_if_known() {
        let network = NetworkInfo::new("tcp://[::1]:9999".parse().unwrap());
        let (json, text) = lines(&status(StatusCode::PeerAdded, Some(network)));
        assert_eq!(
            json,
            r#"{"type":"peer_added","endpoint":{"id":"11111111-1111-4111-8111-111111111111","network":{"address":"::1","bound_port":"9999/tcp"}},"protection":"encrypted, not authenticated","message":"text"}"#
        );
        assert_eq!(
            text,
            "peer_added 11111111-1111-4111-8111-111111111111 at ::1:9999: text (encrypted, not authenticated)"
        );
        let network = NetworkInfo::new("quic://host:9999".parse().unwrap());
        let (json, text) = lines(&status(StatusCode::PeerAdded, Some(network)));
        assert!(json.contains(r#""bound_port":"9999/udp""#), "{json}");
        assert!(text.contains(" at host:9999: "), "{text}");
        let network = NetworkInfo::new("unix:///run/broker.sock".parse().unwrap());
        let (json, text) = lines(&status(StatusCode::PeerLost, Some(network)));
        assert!(json.contains(r#""network":{"address":"/run/broker.sock"}"#), "{json}");
        assert!(text.contains(" at /run/broker.sock: "), "{text}");
        let (json, text) = lines(&status(StatusCode::EndpointDiscovered, None));
        assert_eq!(
            json,
            r#"{"type":"endpoint_discovered","endpoint":{"id":"11111111-1111-4111-8111-111111111111"},"message":"text"}"#
        );
        assert_eq!(text, "endpoint_discovered 11111111-1111-4111-8111-111111111111: text");
    }

    #[test]
    fn errors_have_a_code_and_log_events_a_level_and_an_id() {
        let endpoint = Some(EndpointInfo { id: EndpointId::NIL, network: None });
        let error = ErrorEvent::new(ErrorCode::PeerUnavailable, endpoint, "unable to connect");
        let (json, text) = lines(&Event::Error(error));
        assert_eq!(
            json,
            r#"{"type":"error","code":"peer_unavailable","endpoint":{"id":"00000000-0000-0000-0000-000000000000"},"message":"unable to connect"}"#
        );
        assert_eq!(text, "error peer_unavailable: unable to connect");
        let description = "it speaks \"SSH\"";
        let log = LogEvent::new(Severity::Warning, LogId::HandshakeFailed, description);
        let (json, text) = lines(&Event::Log(log));
        assert_eq!(
            json,
            r#"{"type":"internal_log_event","level":"warning","id":"handshake-failed","description":"it speaks \"SSH\""}"#
        );
        assert_eq!(text, "internal_log_event warning handshake-failed: it speaks \"SSH\"");
    }
}
