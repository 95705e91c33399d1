//! What goes wrong with encryption.

use crate::scene::Scene;
use crate::stranger::answering;
use broker::event::Severity;
use broker::tls::{Pin, TlsOptions};
use broker::{Address, Config, Endpoint, Limits, Reason, TransportOptions};

/// An endpoint that listens with these options, and where.
async fn listening(scheme: &str, options: TlsOptions) -> (Endpoint, Address) {
    let endpoint = endpoint(options);
    let url = endpoint.listen(Address::new(scheme, "127.0.0.1", 0)).await.unwrap();
    (endpoint, url)
}

#[allow(clippy::field_reassign_with_default, reason = "other features bring other fields")]
fn endpoint(tls: TlsOptions) -> Endpoint {
    let mut transports = TransportOptions::default();
    transports.tls = tls;
    let config = Config { log_level: Severity::Debug, ..Config::default() };
    let builder = broker::builder_with(&Limits::default(), transports).unwrap();
    builder.config(config).build().unwrap()
}

pub(crate) async fn provoke(reason: Reason) -> Scene {
    let pinned = TlsOptions { pins: vec![Pin::of_public_key(b"key")], ..TlsOptions::default() };
    match reason {
        Reason::PeerIsPlain => {
            let (plain, url) = listening("tcp", TlsOptions::default()).await;
            let scene = Scene::of(endpoint(TlsOptions::default()));
            scene.fails_to_peer(&Address::new("tls", url.host(), url.port())).await;
            scene.beside(plain)
        }
        Reason::PeerCertificate | Reason::OwnCertificate => {
            let directory = tempfile::tempdir().unwrap();
            let file = |name: &str| Some(directory.path().join(name));
            let with_key = |name| TlsOptions { self_signed: file(name), ..pinned.clone() };
            let (acceptor, url) = listening("tls", with_key("acceptor")).await;
            // Who pins another key refuses the acceptor; who has no key is refused by it.
            let scene = Scene::of(endpoint(match reason {
                Reason::PeerCertificate => with_key("dialler"),
                _ => TlsOptions::default(),
            }));
            scene.fails_to_peer(&url).await;
            scene.beside(acceptor)
        }
        _ => {
            // The alert of a server that speaks no version that is offered.
            let url = answering(vec![0x15, 3, 3, 0, 2, 2, 70]).await;
            let scene = Scene::of(endpoint(TlsOptions::default()));
            scene.fails_to_peer(&Address::new("tls", url.host(), url.port())).await;
            scene
        }
    }
}
