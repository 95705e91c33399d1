//! Every reason that an endpoint can give, provoked.
#![cfg(feature = "tcp")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod scene;
mod stranger;
#[cfg(feature = "tls")]
mod tls;
mod troubled;

use broker::core::wire::envelope::ping_frame;
use broker::core::wire::handshake::HandshakeMessage as Message;
use broker::data::Value;
use broker::{Address, EndpointId, ErrorCode, OverflowPolicy, PeerRule, Reason, Retry};
use scene::Scene;
use std::num::NonZeroUsize;
use std::time::Duration;
use stranger::{STRANGER, Stranger, answering};

const SOON: Duration = Duration::from_millis(50);

#[tokio::test]
async fn every_reason_is_given_where_it_applies() {
    for reason in Reason::ALL {
        if let Some(scene) = provoke(*reason).await {
            scene.expect(*reason).await;
        }
    }
}

/// Makes it happen. `None` if that takes a feature that is not there.
async fn provoke(reason: Reason) -> Option<Scene> {
    use Reason as R;
    Some(match reason {
        R::UnsupportedScheme => dialled("gopher://127.0.0.1:1").await,
        R::InvalidAddress => dialled("tcp://127.0.0.1:0").await,
        R::NameResolution => dialled("tcp://no.such.name.invalid:1").await,
        R::Refused => dialled("tcp://127.0.0.1:1").await,
        R::TimedOut => dialled("trouble://timed-out:1").await,
        R::Unreachable => dialled("trouble://unreachable:1").await,
        R::PermissionDenied => dialled("trouble://permission-denied:1").await,
        R::AccessDenied => dialled("trouble://access-denied:1").await,
        R::OutOfResources => dialled("trouble://out-of-resources:1").await,
        R::Io => dialled("trouble://io:1").await,
        R::AddressInUse | R::AddressNotAvailable => listening(reason).await,
        #[cfg(feature = "tls")]
        R::PeerIsPlain | R::PeerCertificate | R::OwnCertificate | R::Tls => {
            tls::provoke(reason).await
        }
        #[cfg(not(feature = "tls"))]
        R::PeerIsPlain | R::PeerCertificate | R::OwnCertificate | R::Tls => return None,
        R::NotBroker => accepted(b"GET / HTTP/1.1\r\n\r\n").await,
        R::PeerWantsTls => accepted(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await,
        R::WrongMagic => accepted(b"\0\0\0\x17\x06KEEZ0123456789abcdef\x01\x01").await,
        R::NoCommonVersion => accepted(b"\0\0\0\x17\x06ZEEK0123456789abcdef\x03\x04").await,
        R::MalformedHandshake => accepted(b"\0\0\0\x03\x06ZE").await,
        R::UnexpectedMessage => accepted(b"\0\0\0\x01\x0c").await,
        R::EmptyFrame => accepted(b"\0\0\0\0").await,
        R::FrameTooLarge => accepted(b"\x7f\xff\xff\xff").await,
        R::NilId => accepted(&Message::hello(EndpointId::NIL).to_frame()).await,
        R::ClosedInHandshake => closed_in_handshake().await,
        R::HandshakeTimeout => silent_handshake().await,
        R::RefusedByPeer => refused_by_peer(ErrorCode::InvalidData).await,
        R::ShuttingDown => refused_by_peer(ErrorCode::ShuttingDown).await,
        R::SameId => same_id().await,
        R::ConnectedToItself => connected_to_itself().await,
        R::Redundant | R::LimitReached => a_second_one(reason).await,
        R::NotPermitted => not_permitted().await,
        R::LoopDetected => circle().await,
        R::Cancelled => cancelled().await,
        R::UnknownPeer => unknown_peer().await,
        R::Closed | R::Reset => hung_up(reason).await,
        R::Overflow | R::StalledWrite => frozen(reason).await,
        R::ControlOverflow => pinging_without_reading().await,
        R::ByeTimeout => no_bye().await,
        R::Silent => replaced().await,
        R::MalformedMessage | R::BadMessages | R::ForgedSender | R::InternalTopic => {
            misbehaving(reason).await
        }
        other => panic!("nothing provokes {other}"),
    })
}

async fn dialled(url: &str) -> Scene {
    let scene = Scene::new(|_| {});
    scene.fails_to_peer(&url.parse().unwrap()).await;
    scene
}

async fn listening(reason: Reason) -> Scene {
    let mut scene = Scene::new(|_| {});
    let at = match reason {
        Reason::AddressInUse => scene.listen().await,
        _ => Address::new("tcp", "192.0.2.1", 0),
    };
    let error = scene.endpoint.listen(&at).await.unwrap_err();
    assert_eq!(error.reason(), reason);
    scene
}

/// What an endpoint says about somebody who begins like this.
async fn accepted(bytes: &[u8]) -> Scene {
    let mut scene = Scene::new(|_| {});
    let mut stranger = Stranger::dial(&scene.listen().await).await;
    stranger.send(bytes).await;
    scene.keep(stranger)
}

async fn closed_in_handshake() -> Scene {
    let mut scene = Scene::new(|_| {});
    drop(Stranger::dial(&scene.listen().await).await);
    scene
}

async fn silent_handshake() -> Scene {
    let mut scene = Scene::new(|config| config.limits.handshake_time = SOON);
    let stranger = Stranger::dial(&scene.listen().await).await;
    scene.keep(stranger)
}

async fn refused_by_peer(code: ErrorCode) -> Scene {
    let refusal = Message::DropConn { sender: STRANGER, code, description: "no".into() };
    let scene = Scene::new(|_| {});
    scene.fails_to_peer(&answering(refusal.to_frame()).await).await;
    scene
}

async fn same_id() -> Scene {
    let mut scene = Scene::new(|_| {});
    let mut stranger = Stranger::dial(&scene.listen().await).await;
    let own = scene.endpoint.id();
    stranger.say(&Message::hello(own)).await;
    stranger.say(&Message::hello(own)).await;
    scene.keep(stranger)
}

async fn connected_to_itself() -> Scene {
    let mut scene = Scene::new(|_| {});
    let own = scene.listen().await;
    scene.fails_to_peer(&own).await;
    scene
}

/// A second connection of the same peer, or a second peer where there may be one.
async fn a_second_one(reason: Reason) -> Scene {
    let only_one = reason == Reason::LimitReached;
    let mut scene = Scene::new(|config| {
        config.limits.peers = NonZeroUsize::new(if only_one { 1 } else { 10 }).unwrap()
    });
    let url = scene.listen().await;
    let first = Stranger::peer(&url, STRANGER).await;
    scene.is_peered().await;
    let mut second = Stranger::dial(&url).await;
    let mut id = *STRANGER.as_bytes();
    id[15] += u8::from(only_one);
    second.lead(EndpointId::from_bytes(id)).await;
    scene.keep(first).keep(second)
}

/// Two neighbours of version 1 that are in a circle with this endpoint.
async fn circle() -> Scene {
    let mut scene = Scene::new(|_| {});
    let url = scene.listen().await;
    let mut first = Stranger::peer(&url, STRANGER).await;
    scene.is_peered().await;
    let mut id = *STRANGER.as_bytes();
    id[15] += 1;
    let id = EndpointId::from_bytes(id);
    let mut second = Stranger::peer(&url, id).await;
    scene.is_peered().await;
    let payload = Value::Count(7).encode();
    first.envelope_with(STRANGER, b"/t", &payload, 15).await;
    second.hear_data().await;
    second.envelope_with(id, b"/t", &payload, 13).await;
    scene.keep(first).keep(second)
}

async fn not_permitted() -> Scene {
    let rule = PeerRule { certificate: Some("CN=tenant".to_owned()), ..PeerRule::default() };
    let mut scene = Scene::new(|config| config.peer_rules = vec![rule]);
    let mut stranger = Stranger::dial(&scene.listen().await).await;
    stranger.lead(STRANGER).await;
    scene.keep(stranger)
}

async fn cancelled() -> Scene {
    let mut scene = Scene::new(|_| {});
    let url = answering(Vec::new()).await;
    let request = scene.endpoint.peer(&url, Retry::never());
    assert!(scene.endpoint.unpeer(&url));
    scene.outcome = Some(request.await.unwrap_err().failure.reason());
    scene
}

async fn unknown_peer() -> Scene {
    let scene = Scene::new(|_| {});
    assert!(!scene.endpoint.unpeer(Address::new("tcp", "127.0.0.1", 1)));
    scene
}

async fn hung_up(reason: Reason) -> Scene {
    let mut scene = Scene::new(|_| {});
    let stranger = Stranger::peer(&scene.listen().await, STRANGER).await;
    scene.is_peered().await;
    if reason == Reason::Reset {
        // What nobody has read makes the end of a connection an abrupt one.
        scene.endpoint.publish("/t", "unread").await.unwrap();
        stranger.socket.peek(&mut [0]).await.unwrap();
    }
    drop(stranger);
    scene
}

/// A peer that reads nothing.
async fn frozen(reason: Reason) -> Scene {
    let mut scene = Scene::new(|config| {
        config.limits.stalled_write = SOON;
        if reason == Reason::Overflow {
            config.overflow_policy = OverflowPolicy::Disconnect;
            config.limits.outbox_messages = NonZeroUsize::new(4).unwrap();
            config.limits.stalled_write = Duration::ZERO;
        }
    });
    let stranger = Stranger::peer(&scene.listen().await, STRANGER).await;
    scene.is_peered().await;
    // More than sockets hold.
    let large = "x".repeat(1 << 20);
    for _ in 0..40 {
        scene.endpoint.publish("/t", large.as_str()).await.unwrap();
    }
    scene.keep(stranger)
}

async fn pinging_without_reading() -> Scene {
    let mut scene = Scene::new(|config| {
        config.limits.outbox_control_bytes = NonZeroUsize::new(1000).unwrap();
        config.limits.stalled_write = Duration::ZERO;
    });
    let mut stranger = Stranger::peer(&scene.listen().await, STRANGER).await;
    scene.is_peered().await;
    // What fills the sockets, so that the answers pile up.
    let large = "x".repeat(1 << 20);
    for _ in 0..40 {
        scene.endpoint.publish("/t", large.as_str()).await.unwrap();
    }
    let ping = ping_frame(STRANGER, scene.endpoint.id(), &[0; 100]);
    for _ in 0..100 {
        stranger.send(&ping).await;
    }
    scene.keep(stranger)
}

async fn no_bye() -> Scene {
    let mut scene = Scene::new(|config| config.limits.bye = SOON);
    let stranger = Stranger::peer(&scene.listen().await, STRANGER).await;
    scene.is_peered().await;
    scene.endpoint.unpeer_id(STRANGER);
    scene.keep(stranger)
}

/// A peer that does not answer any more when it connects again.
async fn replaced() -> Scene {
    let mut scene = Scene::new(|config| {
        config.limits.liveness = Duration::ZERO;
        config.limits.bye = SOON;
    });
    let url = scene.listen().await;
    let first = Stranger::peer(&url, STRANGER).await;
    scene.is_peered().await;
    let mut second = Stranger::dial(&url).await;
    second.lead(STRANGER).await;
    scene.keep(first).keep(second)
}

async fn misbehaving(reason: Reason) -> Scene {
    let mut scene = Scene::new(|config| config.limits.bad_messages = 3);
    let mut stranger = Stranger::peer(&scene.listen().await, STRANGER).await;
    scene.is_peered().await;
    let (sender, topic, count) = match reason {
        Reason::ForgedSender => (EndpointId::random(), &b"/t"[..], 1),
        Reason::InternalTopic => (STRANGER, &b"<$>/local/data/errors"[..], 1),
        Reason::BadMessages => (STRANGER, &b"/t"[..], 10),
        _ => (STRANGER, &b"/t"[..], 1),
    };
    for _ in 0..count {
        // No value begins like this.
        stranger.envelope(sender, topic, &[0xff; 3]).await;
    }
    scene.keep(stranger)
}
