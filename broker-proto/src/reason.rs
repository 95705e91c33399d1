//! Everything that can go wrong between two endpoints, in one table: a word for it, whose business
//! it is, what it means, and what to do about it.

use std::fmt;

/// Who has to do something about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Blame {
    /// The side that reports it: its address, settings or machine.
    ThisSide,
    /// The endpoint at the other end.
    OtherSide,
    /// The settings of the two do not fit together; either can be changed.
    BothSides,
    /// What lies between the two.
    Network,
    /// Nobody: this happens in regular operation.
    Nobody,
}

impl Blame {
    /// As in "to be looked at: this side".
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ThisSide => "this side",
            Self::OtherSide => "the other side",
            Self::BothSides => "both sides",
            Self::Network => "the network",
            Self::Nobody => "nobody",
        }
    }
}

impl fmt::Display for Blame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

macro_rules! reasons {
    ($($variant:ident = $name:literal, $blame:ident, $meaning:literal, $advice:literal;)*) => {
        /// Why a connection did not come about, why a peering ended, or why a message was dropped,
        /// as a word that is stable.
        ///
        /// Events carry the [`name`](Self::name), metrics have it as a label, and texts for people
        /// say the particulars.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Reason { $(#[doc = $meaning] $variant,)* }

        impl Reason {
            /// All there are, in the order in which a connection meets them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word for machines.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Who has to do something about it.
            #[must_use]
            pub fn blame(self) -> Blame {
                match self { $(Self::$variant => Blame::$blame,)* }
            }

            /// What it means, as a sentence.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }

            /// The next step, as a sentence.
            #[must_use]
            pub fn advice(self) -> &'static str {
                match self { $(Self::$variant => $advice,)* }
            }
        }
    };
}

reasons! {
    UnsupportedScheme = "unsupported-scheme", ThisSide,
        "No transport of this endpoint serves the scheme of the address.",
        "Use one of the schemes that the message lists, or a build with the feature for this one.";
    InvalidAddress = "invalid-address", ThisSide,
        "The address lacks something that its transport needs, or has something it cannot use.",
        "Correct the address; the message says what is wrong with it.";
    NameResolution = "name-resolution", ThisSide,
        "The host name has no address.",
        "Check the spelling and the resolver of this machine, or use an IP address.";
    Refused = "refused", OtherSide,
        "The host is there, and nothing listens at the port.",
        "Start the endpoint there, check the port, and check that it listens at this address and \
         not only at 127.0.0.1.";
    TimedOut = "timed-out", Network,
        "Nothing answered at the address.",
        "Check that the host is up and that no firewall on the way swallows the packets.";
    Unreachable = "unreachable", Network,
        "There is no way to the host from here.",
        "Check the network and the routes of this machine, and that the address is the right one.";
    AddressInUse = "address-in-use", ThisSide,
        "Another socket has the address to listen at.",
        "End the other program, or listen at another port.";
    AddressNotAvailable = "address-not-available", ThisSide,
        "The address to listen at is not one of this machine.",
        "Listen at an address of this machine, or at all of them by leaving the host empty.";
    PermissionDenied = "permission-denied", ThisSide,
        "The operating system does not allow this.",
        "Use a port from 1024 on, or give the process the permission.";
    OutOfResources = "out-of-resources", ThisSide,
        "The process or the system has no descriptor, memory or buffer left.",
        "Raise the limit on open files (ulimit -n), or find out what uses them up.";
    Io = "io", ThisSide,
        "The operating system reported an error that has no class of its own.",
        "See the message for what it said.";
    NotBroker = "not-broker", BothSides,
        "The other side speaks another protocol than Broker.",
        "Check host and port at the side that opened the connection; a WebSocket client or server \
         belongs to ws:// or wss://.";
    PeerWantsTls = "peer-wants-tls", BothSides,
        "The other side speaks TLS, and this side was told not to.",
        "Use tls:// at this side, or switch encryption off at the other one (disable_ssl in Zeek).";
    PeerIsPlain = "peer-is-plain", BothSides,
        "The other side speaks Broker without encryption, and this side was told to encrypt.",
        "Use tcp:// at this side, or switch encryption on at the other one (disable_ssl = F in \
         Zeek).";
    PeerCertificate = "peer-certificate", OtherSide,
        "This side does not accept the certificate of the other one, or it has presented none.",
        "Renew or replace the certificate there, or add its CA to ca-file here; both sides have \
         to have certificates, or neither.";
    OwnCertificate = "own-certificate", ThisSide,
        "The certificate of this side is not usable, not accepted by the other one, or missing \
         where it demands one.",
        "Renew or configure certificate, key and ca-file here, or add the CA of this side's \
         certificate there.";
    Tls = "tls", BothSides,
        "The two sides did not agree on how to encrypt.",
        "Both sides have to speak TLS 1.2 or 1.3, and both have to have certificates, or neither.";
    AccessDenied = "access-denied", ThisSide,
        "The other side wants a token, or has no rule that allows this side what it asks for.",
        "Give the token that belongs to this side (`access_token` in the query of a ws:// or \
         wss:// URL), or add a rule for it at the other side.";
    Closed = "closed", OtherSide,
        "The other side closed the connection.",
        "See the log of the other side; a request with a retry time comes back by itself.";
    Reset = "reset", OtherSide,
        "The connection broke: the other side crashed or was restarted, or something in between \
         gave it up.",
        "See the log of the other side; a request with a retry time comes back by itself.";
    ClosedInHandshake = "closed-in-handshake", OtherSide,
        "The other side closed the connection during the handshake without a reason. An endpoint \
         that expects TLS does that to a plain one.",
        "If the other side uses encryption (the default in Zeek), use tls://; else see its log. \
         `broker-cli doctor URL` finds out which it is.";
    HandshakeTimeout = "handshake-timeout", OtherSide,
        "The other side did not go on with the handshake.",
        "Check that it is Broker that listens there, and that the process is not stuck.";
    RefusedByPeer = "refused-by-peer", OtherSide,
        "The other side refused the handshake, for a reason of its own.",
        "See the reason that it gave in the message, and its log.";
    WrongMagic = "wrong-magic", OtherSide,
        "A handshake message lacks the magic number of Broker.",
        "Check that it is Broker that speaks at the other side.";
    NoCommonVersion = "no-common-version", OtherSide,
        "The two sides have no version of the protocol in common.",
        "Use a Broker that speaks version 1 at the other side: that of Zeek 5 to 9 does.";
    MalformedHandshake = "malformed-handshake", OtherSide,
        "A handshake message breaks the protocol.",
        "Check that it is Broker that speaks at the other side, and report the message to whoever \
         makes it.";
    UnexpectedMessage = "unexpected-message", OtherSide,
        "A handshake message came at the wrong time.",
        "Report the message to whoever makes the other side.";
    EmptyFrame = "empty-frame", OtherSide,
        "A frame without content came instead of a handshake message.",
        "Check that it is Broker that speaks at the other side.";
    FrameTooLarge = "frame-too-large", OtherSide,
        "A frame is longer than allowed, or what came is no frame.",
        "If such messages are meant to be raise the limit `frame`, or `handshake-frame` when it \
         happens while peering; else check what speaks at the other side.";
    SameId = "same-id", BothSides,
        "Two endpoints have the same id.",
        "Give each endpoint an id of its own; without --endpoint-id each has a random one.";
    ConnectedToItself = "connected-to-itself", ThisSide,
        "This endpoint has connected to itself.",
        "Take the own address out of the addresses to peer with.";
    NilId = "nil-id", OtherSide,
        "The other side claims the nil id, which nobody can have.",
        "Give the other side a proper id.";
    Redundant = "redundant", Nobody,
        "The two endpoints are connected already.",
        "Nothing to do: they need one connection. If it is said again and again, another endpoint \
         somewhere may have the same id: without --endpoint-id each has a random one.";
    LimitReached = "limit-reached", ThisSide,
        "A limit of this side does not allow it.",
        "Raise the limit that the message names, or find out who uses it up.";
    ShuttingDown = "shutting-down", Nobody,
        "One of the two endpoints is being shut down.",
        "Nothing to do if that is meant.";
    Cancelled = "cancelled", Nobody,
        "This side has given it up itself.",
        "Nothing to do if that is meant.";
    Overflow = "overflow", OtherSide,
        "The peer does not read fast enough, its queue overflowed, and the policy is to cut such \
         peers.",
        "Find out what slows the peer down; or raise outbox-messages, or choose the policy \
         drop_oldest, drop_newest or wait.";
    ControlOverflow = "control-overflow", OtherSide,
        "The peer causes routing updates and pongs and does not read them.",
        "Find out why the peer does not read.";
    StalledWrite = "stalled-write", OtherSide,
        "The peer has accepted no data for too long.",
        "Find out what the peer is stuck in; or raise the limit stalled-write.";
    ByeTimeout = "bye-timeout", OtherSide,
        "The peer did not acknowledge the end of the peering; what was still in flight may be lost.",
        "Find out what slows the peer down; or raise the limit bye.";
    Silent = "silent", Network,
        "The peer vanished without a word, and somebody connected in its name.",
        "Nothing to do if it was restarted or moved; else check the network, and that no id is \
         used twice.";
    MalformedMessage = "malformed-message", OtherSide,
        "A message of a peer is malformed. It is dropped and counted.",
        "Report what the message says to whoever makes the other side.";
    BadMessages = "bad-messages", OtherSide,
        "The peer sent many more bad messages than good ones and has been cut.",
        "Find out what runs at the other side: nothing that conforms to the protocol does this.";
    ForgedSender = "forged-sender", OtherSide,
        "A message came in another name than that of the peer that sent it. It is dropped and \
         counted.",
        "Find out what runs at the other side: nothing that conforms to the protocol does this.";
    InternalTopic = "internal-topic", OtherSide,
        "A message of a peer has a topic that is internal to an endpoint. It is dropped and \
         counted.",
        "Let the publisher use another topic than those below `<$>/local/`.";
    NotPermitted = "not-permitted", BothSides,
        "The rules of this side (`peer-rules`) do not allow the peer to do this.",
        "Change the rules here if the peer is meant to, or what it does at the other side.";
    LoopDetected = "loop-detected", BothSides,
        "A message came back, with fewer hops left: endpoints of version 1 that pass messages on \
         are connected in a circle.",
        "Take a link out of the circle, or switch forwarding off in one of the endpoints of \
         version 1 in it; `--loops drop` drops such copies.";
    UnknownPeer = "unknown-peer", ThisSide,
        "There is no peering with the named address or id.",
        "Use the address as text exactly as the list of peers shows it.";
}

impl Reason {
    /// The reason with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.name() == name)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_reason_has_a_name_of_its_own_and_sentences() {
        let names: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            assert_eq!(Reason::named(reason.name()), Some(*reason));
            for sentence in [reason.meaning(), reason.advice()] {
                assert!(sentence.starts_with(char::is_uppercase), "{reason}: {sentence}");
                assert!(sentence.ends_with('.'), "{reason}: {sentence}");
                assert!(!sentence.contains('|'), "{reason}: the documentation has it in a table");
            }
        }
        assert_eq!(Reason::named("none of them"), None);
    }

    #[test]
    fn the_guide_for_troubleshooting_lists_every_reason_as_it_is_here() {
        const GUIDE: &str =
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/troubleshooting.md"));
        let row = |reason: &Reason| {
            let (meaning, advice) = (reason.meaning(), reason.advice());
            format!("| `{reason}` | {} | {meaning} | {advice} |\n", reason.blame())
        };
        let table: String = Reason::ALL.iter().map(row).collect();
        assert!(GUIDE.contains(&table), "the table in docs/troubleshooting.md has to be:\n{table}");
    }
}
