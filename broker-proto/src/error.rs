//! The error codes of the protocol.

use std::fmt;

macro_rules! error_codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $name:literal;)*) => {
        /// A code of the C++ Broker (`ec`): in `drop_conn` messages and in error events.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        #[repr(u8)]
        pub enum ErrorCode { $($(#[$doc])* $variant = $code,)* }

        impl ErrorCode {
            /// The code with this number.
            #[must_use]
            pub fn from_number(number: u8) -> Option<Self> {
                match number { $($code => Some(Self::$variant),)* _ => None }
            }

            /// The name in error events, as in `peer_unavailable`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

error_codes! {
    /// Not an error.
    None = 0, "none";
    /// An error without a code of its own.
    Unspecified = 1, "unspecified";
    /// No version of the protocol in common.
    PeerIncompatible = 2, "peer_incompatible";
    /// The named peer does not exist.
    PeerInvalid = 3, "peer_invalid";
    /// Connecting or shaking hands failed.
    PeerUnavailable = 4, "peer_unavailable";
    /// The peer left during the handshake.
    PeerDisconnectDuringHandshake = 5, "peer_disconnect_during_handshake";
    /// The peer did not answer in time.
    PeerTimeout = 6, "peer_timeout";
    /// A store of this name has a master already.
    MasterExists = 7, "master_exists";
    /// No master of this name is known.
    NoSuchMaster = 8, "no_such_master";
    /// The store has no such key.
    NoSuchKey = 9, "no_such_key";
    /// The request was not answered in time.
    RequestTimeout = 10, "request_timeout";
    /// A value has another type than the operation needs.
    TypeClash = 11, "type_clash";
    /// A value cannot be used.
    InvalidData = 12, "invalid_data";
    /// The backend of a store failed.
    BackendFailure = 13, "backend_failure";
    /// The store's data is too old.
    StaleData = 14, "stale_data";
    /// A file cannot be opened.
    CannotOpenFile = 15, "cannot_open_file";
    /// A file cannot be written.
    CannotWriteFile = 16, "cannot_write_file";
    /// A file names an unknown topic.
    InvalidTopicKey = 17, "invalid_topic_key";
    /// The file is at its end.
    EndOfFile = 18, "end_of_file";
    /// An unknown tag.
    InvalidTag = 19, "invalid_tag";
    /// A message that cannot be understood.
    InvalidMessage = 20, "invalid_message";
    /// A status that cannot be understood.
    InvalidStatus = 21, "invalid_status";
    /// A conversion between types failed.
    ConversionFailed = 22, "conversion_failed";
    /// The consumer exists already.
    ConsumerExists = 23, "consumer_exists";
    /// A connection timed out.
    ConnectionTimeout = 24, "connection_timeout";
    /// A call on an object in the wrong state.
    BadMemberFunctionCall = 25, "bad_member_function_call";
    /// A request id was used twice.
    RepeatedRequestId = 26, "repeated_request_id";
    /// A clone lost its master.
    BrokenClone = 27, "broken_clone";
    /// The endpoint is shutting down.
    ShuttingDown = 28, "shutting_down";
    /// A peering request that makes no sense.
    InvalidPeeringRequest = 29, "invalid_peering_request";
    /// A second handshake with the same peer.
    RepeatedPeeringHandshakeRequest = 30, "repeated_peering_handshake_request";
    /// A handshake message at the wrong time.
    UnexpectedHandshakeMessage = 31, "unexpected_handshake_message";
    /// The handshake is in a state that cannot be.
    InvalidHandshakeState = 32, "invalid_handshake_state";
    /// No path leads to the peer.
    NoPathToPeer = 33, "no_path_to_peer";
    /// Networking is disabled.
    NoConnectorAvailable = 34, "no_connector_available";
    /// A resource cannot be opened.
    CannotOpenResource = 35, "cannot_open_resource";
    /// A value cannot be serialized.
    SerializationFailed = 36, "serialization_failed";
    /// Bytes cannot be deserialized.
    DeserializationFailed = 37, "deserialization_failed";
    /// A handshake message without the magic number of Broker.
    WrongMagicNumber = 38, "wrong_magic_number";
    /// A second connection between the same two endpoints.
    RedundantConnection = 39, "redundant_connection";
    /// An inconsistency that should not happen.
    LogicError = 40, "logic_error";
    /// Text that is not JSON. The C++ Broker has no name for it and never sends it to peers.
    InvalidJson = 41, "invalid_json";
}

impl ErrorCode {
    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_codes_agree() {
        for number in 0..=41 {
            assert_eq!(ErrorCode::from_number(number).unwrap().number(), number);
        }
        assert_eq!(ErrorCode::from_number(42), None);
    }
}
