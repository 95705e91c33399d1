use super::{Setting, listener, with};
use crate::common::Cli;

/// Checks what the acceptor says of its address, and both sides of the peering.
async fn check(scheme: &str, acceptor: &[String], dialler: &[String], expected: [&str; 3]) {
    let acceptor = [acceptor, &["--events".to_owned()]].concat();
    let (mut node, listening) = listener(scheme, &acceptor).await;
    let url = native(listening["url"].as_str().unwrap());
    let mut sub = Cli::start(&with(&["sub", "/t", "--peer", &url, "--events"], dialler));
    let found = [
        listening["protection"].clone(),
        node.event("peer_added").await["protection"].clone(),
        sub.event("peer_added").await["protection"].clone(),
    ];
    assert_eq!(found, expected, "{scheme}");
}

/// The address for a peering; that for clients is another one.
fn native(url: &str) -> String {
    if url.starts_with("ws") { format!("{url}/v1/native") } else { url.to_owned() }
}

#[tokio::test]
async fn listeners_and_both_sides_say_what_protects_a_link() {
    let setting = Setting::new();
    let (a, b) = (setting.node("a"), setting.node("b"));
    for scheme in ["tcp", "ws"] {
        check(scheme, &[], &[], ["plain"; 3]).await;
    }
    for scheme in ["tls", "wss", "quic"] {
        check(scheme, &[], &[], ["encrypted, not authenticated"; 3]).await;
    }
    let proved =
        ["authenticated by certificates", "authenticated as CN=b", "authenticated as CN=a"];
    for scheme in ["tls", "quic"] {
        check(scheme, &a, &b, proved).await;
    }
    let peers = "authenticated by certificates, which only peers have to have";
    check("wss", &a, &b, [peers, proved[1], proved[2]]).await;
}

#[tokio::test]
async fn keys_without_a_ca_are_pinned_by_the_address_that_a_node_shows() {
    let setting = Setting::new();
    let own = |name: &str| setting.option("self-signed", name).to_vec();
    let anybody = "encrypted, not authenticated";
    let (mut node, listening) = listener("quic", &own("a")).await;
    let url = listening["url"].as_str().unwrap();
    let (_, pin) = url.split_once("?pin=sha256:").unwrap();
    assert_eq!(listening["protection"], anybody);
    let mut sub = Cli::start(&with(&["sub", "/t", "--peer", url, "--events"], &own("b")));
    let added = sub.event("peer_added").await;
    assert_eq!(added["protection"], format!("authenticated as key {pin}"));

    // Who pins knows, and lets in nobody else.
    let pins = |pin: &str| ["--tls-pin".to_owned(), pin.to_owned()];
    let (_, theirs) = listener("quic", &own("b")).await;
    let (_, theirs) = theirs["url"].as_str().unwrap().split_once("?pin=sha256:").unwrap();
    let demanding = [own("c"), pins(theirs).to_vec()].concat();
    let (mut choosy, listening) = listener("quic", &demanding).await;
    assert_eq!(listening["protection"], "authenticated by pinned keys");
    let url = listening["url"].as_str().unwrap();
    let known = Cli::start(&with(&["ping", url, "--count", "1"], &own("b"))).end().await;
    known.expect(0);
    let stranger = Cli::start(&with(&["ping", url, "--count", "1"], &own("d"))).end().await;
    stranger.expect(4).says("is not among those that the other side expects");
    assert!(
        choosy.diagnosis().await.contains("is not pinned"),
        "the acceptor says which key it is"
    );
    node.child.kill().await.unwrap();
}

#[tokio::test]
async fn text_says_it_behind_the_address_and_behind_the_event() {
    let text = ["--output".to_owned(), "text".to_owned()];
    let mut node = Cli::start(&["node", "--listen", "tls://127.0.0.1:0", "--output", "text"]);
    let line = node.line().await;
    let (url, protection) = line.strip_prefix("listening on ").unwrap().split_once(' ').unwrap();
    assert_eq!(protection, "(encrypted, not authenticated)");
    let mut sub = Cli::start(&with(&["sub", "/t", "--peer", url, "--events"], &text));
    let added = loop {
        let line = sub.line().await;
        if line.starts_with("peer_added") {
            break line;
        }
    };
    assert!(added.ends_with(": handshake successful (encrypted, not authenticated)"), "{added}");
}
