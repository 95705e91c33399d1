use super::{Setting, listener, said, with};
use crate::common::{Cli, Signal, page, run};
use std::time::{Duration, SystemTime};

/// What a new dialler learns about the acceptor.
async fn presented(url: &str, options: &[String]) -> String {
    let mut sub = Cli::start(&with(&["sub", "/t", "--peer", url, "--events"], options));
    sub.event("peer_added").await["protection"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn certificates_are_replaced_without_an_end_of_peerings() {
    for scheme in ["tls", "quic"] {
        let setting = Setting::new();
        let log = ["--log-level".to_owned(), "info".to_owned()];
        let options = [&setting.node("node")[..], &log].concat();
        let (mut node, listening) = listener(scheme, &options).await;
        let url = listening["url"].as_str().unwrap();
        let good = setting.node("good");
        let mut early = Cli::start(&with(&["sub", "/t", "--peer", url, "--events"], &good));
        assert_eq!(early.event("peer_added").await["protection"], "authenticated as CN=node");

        // The node notices by itself, and whatever connects then gets the new one.
        setting.presenting("node", &setting.ca.issue("renewed"));
        said(&mut node, "certificates-read").await;
        assert_eq!(presented(url, &good).await, "authenticated as CN=renewed");

        // A signal has it looked at now.
        setting.presenting("node", &setting.ca.issue("again"));
        node.signal(Signal::HUP);
        said(&mut node, "have been read again").await;

        // What is no good is named, and changes nothing.
        setting.files.write("node.key", "no key");
        node.signal(Signal::HUP);
        let unusable = said(&mut node, "certificates-unusable").await;
        assert!(unusable.contains("node.key"), "{unusable}");
        assert!(unusable.ends_with("what was read before stays in use"), "{unusable}");
        assert_eq!(presented(url, &good).await, "authenticated as CN=again");

        // The first peering has been there all the time.
        early.signal(Signal::TERM);
        let end = early.end().await.expect(0);
        let ends: Vec<_> = end.lines().iter().map(|line| line["type"].clone()).collect();
        assert!(!ends.contains(&"peer_lost".into()), "{ends:?}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_keeps_its_reader_waiting_keeps_nothing_else_waiting() {
    let setting = Setting::new();
    let options = [&setting.node("node")[..], &["--listen".into(), "127.0.0.1:0".into()]].concat();
    let (mut node, _) = listener("tls", &options).await;
    let plain = node.listening().await;
    let key = setting.files.path().join("node.key");
    std::fs::remove_file(&key).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&key).status().unwrap();
    assert!(made.success());
    node.signal(Signal::HUP);
    // A writer gets the file open as soon as the node wants to read it, or never if the node does
    // not read such files.
    let (opened, open) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || opened.send(std::fs::File::options().write(true).open(key)));
    let writer = tokio::select! {
        writer = open => Some(writer.unwrap().unwrap()),
        _ = said(&mut node, "unusable") => None,
    };
    Cli::start(&["ping", &plain, "--count", "1"]).end().await.expect(0);
    node.signal(Signal::TERM);
    node.end().await.expect(0);
    drop(writer);
}

#[tokio::test]
async fn without_certificates_there_is_nothing_to_read_again_and_the_node_goes_on() {
    let (mut node, listening) = listener("tls", &[]).await;
    node.signal(Signal::HUP);
    said(&mut node, "there are no certificates to read again").await;
    let url = listening["url"].as_str().unwrap();
    Cli::start(&["ping", url, "--count", "1"]).end().await.expect(0);
}

#[tokio::test]
async fn odd_files_among_the_cas_are_named_at_the_start() {
    let setting = Setting::new();
    setting.node("node");
    let directory = setting.files.path().join("cas");
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join("ca.pem"), &setting.ca.pem).unwrap();
    std::fs::write(directory.join("empty.pem"), "").unwrap();
    let options = [
        &setting.option("certificate", "node.pem")[..],
        &setting.option("key", "node.key"),
        &["--tls-ca-dir".to_owned(), directory.display().to_string()],
    ]
    .concat();
    let (mut node, _) = listener("tls", &options).await;
    let odd = said(&mut node, "certificates-odd").await;
    assert!(odd.contains("empty.pem"), "{odd}");
}

#[cfg(feature = "http")]
#[tokio::test]
async fn a_certificate_that_ends_soon_is_told_of_by_whoever_uses_it() {
    let setting = Setting::new();
    let soon = |params: &mut rcgen::CertificateParams| {
        params.not_after = (SystemTime::now() + Duration::from_secs(9 * 86_400 + 43_200)).into();
    };
    let options = setting.presenting("soon", &setting.ca.issue_with("soon", soon));
    let node = ["node", "--listen", "tls://127.0.0.1:0", "--http", "127.0.0.1:0"];
    let warning = "soon.pem ends in 9 days, at ";
    run(&with(&[&node[..], &["--check"]].concat(), &options)).await.expect(0).says(warning);
    let mut node = Cli::start(&with(&node, &options));
    let url = node.listening().await;
    let http = node.listening().await;
    let said = said(&mut node, "certificates-expire").await;
    assert!(said.contains(warning) && said.ends_with("put a new one there"), "{said}");
    let examined = run(&with(&["doctor", &url], &setting.node("good"))).await.expect(0).lines();
    let warned: Vec<_> = examined.iter().filter(|line| line["warning"] == true).collect();
    assert_eq!(warned.len(), 1, "{examined:?}");
    let message = warned[0]["message"].as_str().unwrap();
    assert!(message.starts_with("the certificate \"CN=soon\" of the peer ends in 9"), "{message}");
    let page = page(http.strip_prefix("http://").unwrap(), "/metrics").await;
    let gauge = "broker_certificate_expiry_timestamp_seconds{role=\"own\",subject=\"CN=soon\"} ";
    let ends = page.lines().find_map(|line| line.strip_prefix(gauge)).unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    let days = (ends.parse::<f64>().unwrap() - now) / 86_400.0;
    assert!((9.0..10.0).contains(&days), "{days}");
    assert!(page.contains("{role=\"ca\",subject=\"CN=the CA\"}"), "{page}");
}
