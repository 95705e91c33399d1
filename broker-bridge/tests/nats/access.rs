//! Who is let in by a server, and which server is believed.

use crate::support::{Server, node, program};
use broker_core::Reason;
use broker_core::endpoint::Retry;
use broker_testkit::or_skip;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::path::Path;
use tempfile::TempDir;

/// Peers with each query, and compares the reasons why that fails.
async fn peer(server: &Server, scheme: &str, queries: &[(String, Option<Reason>)]) {
    let node = node();
    for (query, reason) in queries {
        let url = format!("{scheme}://{}?{query}", server.at);
        let result = node.endpoint.peer(url.as_str(), Retry::never()).await;
        let found = result.as_ref().err().map(|error| error.failure.reason());
        assert_eq!(found, *reason, "{query}: {result:?}");
    }
}

#[tokio::test]
async fn who_has_no_token_is_told_that_access_is_denied() {
    let program = or_skip!(program().await);
    let server = Server::start_with(&program, &["--auth", "secret"]).await;
    let denied = [
        ("from=/a", Some(Reason::AccessDenied)),
        ("from=/a&access_token=wrong", Some(Reason::AccessDenied)),
        ("from=/a&nkey=/nowhere", Some(Reason::InvalidAddress)),
        ("from=/a&access_token=secret", None),
    ];
    peer(&server, "nats", &denied.map(|(query, reason)| (query.to_owned(), reason))).await;
}

#[tokio::test]
async fn a_user_has_a_password_in_a_file() {
    let program = or_skip!(program().await);
    let server = Server::start_with(&program, &["--user", "me", "--pass", "secret"]).await;
    let files = TempDir::new().unwrap();
    let (right, wrong) = (files.path().join("right"), files.path().join("wrong"));
    std::fs::write(&right, "secret\n").unwrap();
    std::fs::write(&wrong, "other\n").unwrap();
    let user =
        |name: &str, file: &Path| format!("from=/a&user={name}&password-file={}", file.display());
    let queries = [
        (user("me", &wrong), Some(Reason::AccessDenied)),
        (user("you", &right), Some(Reason::AccessDenied)),
        (user("me", &right), None),
    ];
    peer(&server, "nats", &queries).await;
}

#[tokio::test]
async fn the_seed_of_an_nkey_says_who_this_is() {
    let program = or_skip!(program().await);
    let files = TempDir::new().unwrap();
    let path = |name: &str| files.path().join(name).to_str().unwrap().to_owned();
    let (known, other) = (nkeys::KeyPair::new_user(), nkeys::KeyPair::new_user());
    for (name, key) in [("known", &known), ("other", &other)] {
        std::fs::write(path(name), key.seed().unwrap()).unwrap();
    }
    let users = format!("authorization: {{ users: [ {{ nkey: {} }} ] }}", known.public_key());
    std::fs::write(path("conf"), users).unwrap();
    let server = Server::start_with(&program, &["-c", &path("conf")]).await;
    let queries = [
        (format!("from=/a&nkey={}", path("other")), Some(Reason::AccessDenied)),
        (format!("from=/a&nkey={}", path("known")), None),
    ];
    peer(&server, "nats", &queries).await;
}

#[tokio::test]
async fn both_sides_show_certificates() {
    let program = or_skip!(program().await);
    let files = TempDir::new().unwrap();
    let path = |name: &str| files.path().join(name).to_str().unwrap().to_owned();
    let authority = || {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let (ours, other) = (authority(), authority());
    std::fs::write(path("ca"), ours.pem()).unwrap();
    std::fs::write(path("other-ca"), other.pem()).unwrap();
    let mut server = Server::unstarted(
        &program,
        &[
            "--tlsverify",
            &format!("--tlscert={}", path("server")),
            &format!("--tlskey={}", path("server-key")),
            &format!("--tlscacert={}", path("ca")),
        ],
    );
    let host = server.at.split(':').next().unwrap().to_owned();
    for name in ["server", "client"] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([host.clone()]).unwrap();
        std::fs::write(path(name), params.signed_by(&key, &ours).unwrap().pem()).unwrap();
        std::fs::write(path(&format!("{name}-key")), key.serialize_pem()).unwrap();
    }
    server.run().await;
    let client = format!("&cert={}&key={}", path("client"), path("client-key"));
    let queries = [
        (format!("from=/a&ca={}{client}", path("other-ca")), Some(Reason::PeerCertificate)),
        (format!("from=/a&ca={}", path("ca")), Some(Reason::Tls)),
        (format!("from=/a&ca={}{client}", path("ca")), None),
    ];
    peer(&server, "nats+tls", &queries).await;
}
