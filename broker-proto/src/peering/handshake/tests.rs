//! Every state of the handshake against every message, with surroundings that say what they are
//! told to say.

use super::*;
use crate::Limits;

const SMALL: EndpointId = EndpointId::from_bytes([0x11; 16]);
const OWN: EndpointId = EndpointId::from_bytes([0x88; 16]);
const LARGE: EndpointId = EndpointId::from_bytes([0xee; 16]);

struct Fake {
    admission: Admission,
    believes: bool,
    admitted: Vec<(EndpointId, Role)>,
    version: u8,
    sent: Vec<HandshakeMessage>,
}

impl Fake {
    fn new() -> Self {
        let (admitted, sent) = (Vec::new(), Vec::new());
        Self { admission: Admission::Proceed, believes: true, admitted, version: 2, sent }
    }

    fn that_answers(admission: Admission) -> Self {
        Self { admission, ..Self::new() }
    }

    fn sent(&mut self) -> Vec<&'static str> {
        self.sent.drain(..).map(|message| message.name()).collect()
    }
}

impl HandshakeContext for Fake {
    fn admit(&mut self, id: EndpointId, role: Role) -> Admission {
        self.admitted.push((id, role));
        self.admission.clone()
    }

    fn believes_in(&self, _: EndpointId) -> bool {
        self.believes
    }

    fn has_room(&self) -> Result<(), String> {
        Ok(())
    }

    fn filter(&mut self, _: EndpointId) -> Vec<Bytes> {
        vec![Bytes::from_static(b"/own")]
    }

    fn version(&self) -> u8 {
        self.version
    }

    fn role(&self) -> handshake::Role {
        handshake::Role::Relay
    }

    fn send(&mut self, message: &HandshakeMessage) {
        self.sent.push(message.clone());
    }
}

fn read(payload: &[u8]) -> HandshakeFrame {
    HandshakeFrame::read(payload, FilterLimits { entries: 2, entry: 9, bytes: 9 })
}

fn hello(sender: EndpointId) -> HandshakeMessage {
    HandshakeMessage::hello(sender)
}

fn select(sender: EndpointId) -> HandshakeMessage {
    HandshakeMessage::VersionSelect { sender, version: 1 }
}

fn drop_conn(code: ErrorCode) -> HandshakeMessage {
    HandshakeMessage::DropConn { sender: LARGE, code, description: "why".into() }
}

fn filter() -> Vec<Bytes> {
    vec![Bytes::from_static(b"/theirs")]
}

fn receive(handshake: &mut Handshake, message: &HandshakeMessage, fake: &mut Fake) -> Step {
    handshake.receive(read(&message.to_frame()[4..]), fake)
}

/// A handshake that has been brought into a state, named as in the state table of the protocol.
fn in_state(state: &str) -> Handshake {
    let mut fake = Fake::new();
    let script: &[HandshakeMessage] = match state {
        "C0" | "S0" => &[],
        "R1" => &[hello(SMALL)],
        "R2" => &[hello(SMALL), select(SMALL)],
        "R3" => &[hello(SMALL), select(SMALL), HandshakeMessage::OriginatorSyn(filter(), None)],
        "O1" => &[hello(LARGE)],
        "P" => {
            fake.admission = Admission::Pause;
            &[hello(LARGE)]
        }
        other => panic!("no state {other}"),
    };
    let mut handshake = match state {
        "C0" => Handshake::connector(OWN),
        _ => Handshake::acceptor(OWN),
    };
    handshake.greet(&mut fake);
    for message in script {
        let step = receive(&mut handshake, message, &mut fake);
        assert!(matches!(step, Step::Continue | Step::Paused), "{state}: {step:?}");
    }
    handshake
}

/// What a message does: the new state or the end, and what is sent in answer.
fn outcome(state: &str, message: &HandshakeMessage) -> String {
    let mut handshake = in_state(state);
    let mut fake = Fake::new();
    let before = handshake.state;
    let step = receive(&mut handshake, message, &mut fake);
    let what = match step {
        Step::Continue if handshake.state == before => "stay".to_owned(),
        Step::Continue => match handshake.state {
            State::AwaitSelect => "R1".to_owned(),
            State::AwaitSyn => "R2".to_owned(),
            State::AwaitAck => "R3".to_owned(),
            State::AwaitSynAck => "O1".to_owned(),
            state => format!("{state:?}"),
        },
        Step::Paused => "P".to_owned(),
        Step::Established { peer, filter: theirs, .. } => {
            assert_eq!(theirs, if peer.is_nil() { vec![] } else { filter() });
            format!("fin {peer}")
                .replace(&SMALL.to_string(), "small")
                .replace(&LARGE.to_string(), "large")
        }
        Step::Redundant { peer } => {
            assert_eq!(peer, LARGE);
            "redundant".to_owned()
        }
        Step::Failed(failure) => format!("err {}", failure.name()),
    };
    let over = !matches!(handshake.state, State::Over);
    assert_eq!(over, !what.starts_with("err") && !what.starts_with("fin") && what != "redundant");
    std::iter::once(what.as_str()).chain(fake.sent()).collect::<Vec<_>>().join(", ")
}

fn messages() -> Vec<(&'static str, HandshakeMessage)> {
    vec![
        ("probe", HandshakeMessage::Probe),
        ("hello(small)", hello(SMALL)),
        ("hello(large)", hello(LARGE)),
        ("hello(own)", hello(OWN)),
        ("hello(nil)", hello(EndpointId::NIL)),
        ("select(small)", select(SMALL)),
        ("select(large)", select(LARGE)),
        ("select(own)", select(OWN)),
        ("select(nil)", select(EndpointId::NIL)),
        ("drop_conn(39)", drop_conn(ErrorCode::RedundantConnection)),
        ("drop_conn(40)", drop_conn(ErrorCode::LogicError)),
        ("syn", HandshakeMessage::OriginatorSyn(filter(), None)),
        ("syn_ack", HandshakeMessage::ResponderSynAck(filter(), None)),
        ("ack", HandshakeMessage::OriginatorAck),
    ]
}

fn check(state: &str, expected: [&str; 14]) {
    for ((name, message), expected) in messages().iter().zip(expected) {
        assert_eq!(outcome(state, message), expected, "{name} in state {state}");
    }
}

const GREETED_BY_SMALL: &str = "R1, hello";
const GREETED_BY_LARGE: &str = "O1, version_select, originator_syn";
const UNEXPECTED: &str = "err unexpected-message";
const REFUSED: &str = "err refused-by-peer";

#[test]
fn a_connector_takes_a_hello_or_a_version_select_first() {
    let mut expected = [
        "stay",
        GREETED_BY_SMALL,
        GREETED_BY_LARGE,
        GREETED_BY_SMALL,
        "err nil-id",
        "R2",
        // The order of the ids is not checked here: whoever selects is the originator.
        "R2",
        "err same-id",
        "err nil-id",
        "redundant",
        REFUSED,
        UNEXPECTED,
        UNEXPECTED,
        UNEXPECTED,
    ];
    check("C0", expected);
    expected[5..9].fill(UNEXPECTED);
    check("S0", expected);
}

#[test]
fn a_responder_that_greeted_takes_nothing_but_a_version_select() {
    check(
        "R1",
        [
            "stay",
            UNEXPECTED,
            UNEXPECTED,
            "err same-id",
            UNEXPECTED,
            "R2",
            "R2",
            "err same-id",
            "err nil-id",
            "redundant",
            REFUSED,
            UNEXPECTED,
            UNEXPECTED,
            UNEXPECTED,
        ],
    );
}

#[test]
fn behind_the_version_select_each_state_takes_one_message_and_no_drop_conn() {
    let mut expected = [UNEXPECTED; 14];
    expected[9..11].copy_from_slice(&["err redundant", REFUSED]);
    let next = |at: usize, what: &'static str| {
        let mut expected = expected;
        expected[at] = what;
        expected
    };
    check("R2", next(11, "R3, responder_syn_ack"));
    check("O1", next(12, "fin large, originator_ack"));
    check("R3", next(13, "fin small"));
}

#[test]
fn a_paused_handshake_ignores_every_message() {
    check("P", ["stay"; 14]);
}

#[test]
fn roles_follow_from_the_ids_and_only_then_is_admission_asked_for() {
    for (state, message, expected) in [
        ("C0", hello(LARGE), Some((LARGE, Role::Originator))),
        ("S0", hello(LARGE), Some((LARGE, Role::Originator))),
        ("S0", hello(SMALL), None),
        ("C0", select(SMALL), Some((SMALL, Role::Responder))),
        ("R1", select(SMALL), Some((SMALL, Role::Responder))),
    ] {
        let mut fake = Fake::new();
        receive(&mut in_state(state), &message, &mut fake);
        assert_eq!(fake.admitted, Vec::from_iter(expected), "{} in {state}", message.name());
    }
}

#[test]
fn refusals_are_answered_with_the_codes_and_texts_of_the_protocol() {
    let limit = || Refusal::LimitReached("full".to_owned());
    let cases = [
        (hello(LARGE), Refusal::Redundant, 39, "redundant connection", "redundant"),
        (
            select(SMALL),
            Refusal::RedundantAtResponder,
            40,
            "detected redundant connection at the responder",
            "err redundant",
        ),
        (hello(LARGE), Refusal::ShuttingDown, 28, "shutting down", "err shutting-down"),
        (select(SMALL), Refusal::ShuttingDown, 28, "shutting down", "err shutting-down"),
        (hello(LARGE), limit(), 1, "too many peers", "err limit-reached"),
        (select(SMALL), limit(), 1, "too many peers", "err limit-reached"),
    ];
    for (message, refusal, number, text, expected) in cases {
        let mut fake = Fake::that_answers(Admission::Refuse(refusal));
        let step = receive(&mut in_state("C0"), &message, &mut fake);
        let what = match step {
            Step::Redundant { peer } if peer == LARGE => "redundant".to_owned(),
            Step::Failed(failure) => format!("err {}", failure.name()),
            other => format!("{other:?}"),
        };
        assert_eq!(what, expected);
        let code = ErrorCode::from_number(number).unwrap();
        let answer = HandshakeMessage::DropConn { sender: OWN, code, description: text.into() };
        assert_eq!(fake.sent, [answer]);
    }
}

#[test]
fn a_responder_never_pauses() {
    let mut fake = Fake::that_answers(Admission::Pause);
    let step = receive(&mut in_state("R1"), &select(SMALL), &mut fake);
    assert!(matches!(step, Step::Failed(Failure::Redundant(SMALL))), "{step:?}");
    assert_eq!(fake.sent(), ["drop_conn"]);
}

#[test]
fn a_redundancy_that_this_side_knows_nothing_of_is_a_failure() {
    for state in ["C0", "S0", "R1"] {
        let mut fake = Fake { believes: false, ..Fake::new() };
        let message = drop_conn(ErrorCode::RedundantConnection);
        let step = receive(&mut in_state(state), &message, &mut fake);
        assert!(matches!(step, Step::Failed(Failure::NotRedundant(_))), "{state}: {step:?}");
        assert!(fake.sent.is_empty(), "nothing is said in return");
    }
}

#[test]
fn a_resumed_handshake_goes_on_as_originator() {
    let mut handshake = in_state("P");
    let mut fake = Fake::new();
    handshake.resume(&mut fake);
    assert_eq!(fake.sent(), ["version_select", "originator_syn"]);
    let message = HandshakeMessage::ResponderSynAck(filter(), None);
    let step = receive(&mut handshake, &message, &mut fake);
    assert!(matches!(step, Step::Established { peer: LARGE, .. }), "{step:?}");
}

#[test]
fn malformed_messages_are_answered_in_every_state_and_empty_frames_are_not() {
    let drop_conn_41 = [&drop_conn(ErrorCode::LogicError).to_frame()[4..25], &[41, 1, b'x']];
    let cases: [(&[u8], u8, &str); 7] = [
        (&[1, 2, 3], 20, "invalid message type tag"),
        (&[6, 0x5a, 0x45, 0x45], 20, "failed to parse hello_msg"),
        (&[7, 0, 0, 0, 0], 38, "wrong magic number"),
        (&hello_with(3, 9), 2, "unsupported versions offered"),
        (&[10, 1, 200], 20, "failed to parse v1::originator_syn_msg"),
        (&[11], 20, "failed to parse v1::responder_syn_ack_msg"),
        (&drop_conn_41.concat(), 1, "x"),
    ];
    for state in ["C0", "S0", "R1", "R2", "R3", "O1", "P"] {
        for (payload, number, text) in cases {
            let mut fake = Fake::new();
            let step = in_state(state).receive(read(payload), &mut fake);
            assert!(matches!(step, Step::Failed(Failure::InvalidMessage(_))), "{state}: {step:?}");
            let code = ErrorCode::from_number(number).unwrap();
            let description = text.into();
            assert_eq!(fake.sent, [HandshakeMessage::DropConn { sender: OWN, code, description }]);
        }
        let mut fake = Fake::new();
        let step = in_state(state).receive(read(&[]), &mut fake);
        assert!(matches!(step, Step::Failed(Failure::EmptyFrame)), "{state}: {step:?}");
        assert!(fake.sent.is_empty());
    }
}

#[test]
fn a_filter_above_the_limits_is_refused_without_being_made() {
    let filters = [&["/a", "/b", "/c"][..], &["/10/bytes/"], &["/5/by", "/5/te"]];
    for filter in filters {
        let filter: Vec<Bytes> =
            filter.iter().map(|topic| Bytes::from_static(topic.as_bytes())).collect();
        for (state, message) in [
            ("R2", HandshakeMessage::OriginatorSyn(filter.clone(), None)),
            ("O1", HandshakeMessage::ResponderSynAck(filter.clone(), None)),
        ] {
            let mut fake = Fake::new();
            let step = receive(&mut in_state(state), &message, &mut fake);
            assert!(matches!(step, Step::Failed(Failure::LimitReached(_))), "{state}: {step:?}");
            assert_eq!(fake.sent(), ["drop_conn"]);
        }
    }
    // Whoever wants everything wants nothing else, however often it is said.
    let message = HandshakeMessage::decode(&[10, 2, 0, 0], Limits::default().filter());
    assert_eq!(message, Ok(HandshakeMessage::OriginatorSyn(vec![Bytes::new()], None)));
}

fn hello_with(min_version: u8, max_version: u8) -> Vec<u8> {
    HandshakeMessage::Hello { sender: LARGE, min_version, max_version }.to_frame()[4..].to_vec()
}

#[test]
fn other_protocols_are_named_as_long_as_nothing_of_broker_has_arrived() {
    let request = b"GET / HTTP/1.1\r\n";
    for (state, expected) in [("S0", "not-broker"), ("C0", "not-broker"), ("R2", "malformed")] {
        let step = in_state(state).receive(read(request), &mut Fake::new());
        let Step::Failed(failure) = step else { panic!("{step:?}") };
        assert!(failure.name().starts_with(expected), "{state}: {failure}");
    }
}

#[test]
fn texts_of_the_other_side_are_shown_on_one_line_and_cut() {
    let sender = EndpointId::from_bytes([0xee; 16]);
    let description =
        bstr::BString::from([b"no\n\x1b[2J\xff".as_slice(), &[b'x'; 60_000]].concat());
    let refusal = HandshakeMessage::DropConn { sender, code: ErrorCode::ShuttingDown, description };
    let mut unknown_code = refusal.to_frame().split_off(4);
    unknown_code[21] = 99;
    for payload in [refusal.to_frame().split_off(4), unknown_code] {
        let mut fake = Fake::new();
        let mut handshake = Handshake::acceptor(OWN);
        let Step::Failed(failure) = handshake.receive(read(&payload), &mut fake) else {
            panic!("not refused")
        };
        let text = failure.to_string();
        assert!(text.contains(r"no\n\u{1b}[2J"), "{text}");
        assert!(text.len() < 400 && !text.contains(char::is_control), "{text}");
        assert!(format!("{failure:?}").len() < 1000, "and no more is kept");
    }
}

#[test]
fn the_highest_version_of_both_sides_is_spoken_and_has_roles() {
    use handshake::Role::{Leaf, Relay};
    for (offered, own, said, expected) in [
        (9, 2, Some(Leaf), Dialect::Two(Leaf)),
        (2, 2, Some(Relay), Dialect::Two(Relay)),
        (2, 2, None, Dialect::Two(Leaf)),
        (1, 2, Some(Relay), Dialect::One),
        (2, 1, Some(Relay), Dialect::One),
    ] {
        let mut fake = Fake { version: own, ..Fake::new() };
        let mut handshake = Handshake::acceptor(OWN);
        let min_version = 1;
        let hello = HandshakeMessage::Hello { sender: LARGE, min_version, max_version: offered };
        receive(&mut handshake, &hello, &mut fake);
        let version = offered.min(own);
        let role = (version == 2).then_some(Relay);
        let filter = vec![Bytes::from_static(b"/own")];
        assert_eq!(
            fake.sent,
            [
                HandshakeMessage::VersionSelect { sender: OWN, version },
                HandshakeMessage::OriginatorSyn(filter, role),
            ]
        );
        let answer = HandshakeMessage::ResponderSynAck(vec![], said);
        let step = receive(&mut handshake, &answer, &mut fake);
        let Step::Established { dialect, .. } = step else { panic!("{step:?}") };
        assert_eq!(dialect, expected);
    }
}

#[test]
fn a_version_that_was_not_offered_is_refused() {
    let mut fake = Fake { version: 1, ..Fake::new() };
    let mut handshake = Handshake::acceptor(OWN);
    receive(&mut handshake, &hello(SMALL), &mut fake);
    let select = HandshakeMessage::VersionSelect { sender: SMALL, version: 2 };
    let step = receive(&mut handshake, &select, &mut fake);
    assert!(matches!(step, Step::Failed(Failure::InvalidMessage(_))), "{step:?}");
}
