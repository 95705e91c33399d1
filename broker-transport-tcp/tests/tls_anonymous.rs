//! TLS without certificates: with endpoints of this project, with OpenSSL set up as the C++ Broker
//! sets it up, and with what has certificates at one side alone.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../../broker-tls/tests/pki/mod.rs"]
mod pki;
mod support;
#[path = "support/tls.rs"]
mod tls_support;

use broker_core::transport::{Connection, Protection, ReadBuffer, Transport, TransportError};
use broker_core::{Address, Reason};
use broker_transport_tcp::TcpTransport;
use broker_transport_tcp::tls::{Tls, TlsOptions, TlsTransport};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, LazyLock};
use support::{batch_of, expect_frames, mixed_frames};
use tls_support::{Setting, accept, listen, meet, transport};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdout, Command};

/// The side of the C++ Broker; see the script.
struct CppBroker {
    /// Ends the program when it is dropped.
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl CppBroker {
    fn start(arguments: &[&str]) -> Option<Self> {
        const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/cpp_broker.py");
        static IS_THERE: LazyLock<bool> = LazyLock::new(|| {
            let mut python = std::process::Command::new("python3");
            let output = python.args([SCRIPT, "check", "0"]).output();
            output.is_ok_and(|output| output.status.success())
        });
        if !*IS_THERE {
            eprintln!("skipped: no python3 with anonymous TLS is here");
            return None;
        }
        let mut child = Command::new("python3")
            .arg(SCRIPT)
            .args(arguments)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Some(Self { _child: child, lines })
    }

    /// One that listens.
    async fn listen(arguments: &[&str]) -> Option<(Self, Address)> {
        let mut cpp = Self::start(&[&["listen", "0"], arguments].concat())?;
        let line = cpp.line().await;
        let port = line.strip_prefix("port ").unwrap().parse().unwrap();
        Some((cpp, Address::new("tls", "127.0.0.1", port)))
    }

    /// One that dials.
    fn dial(url: &Address, arguments: &[&str]) -> Option<Self> {
        Self::start(&[&["dial", &url.port().to_string()], arguments].concat())
    }

    async fn line(&mut self) -> String {
        self.lines.next_line().await.unwrap().unwrap_or_default()
    }
}

const ANONYMOUS: &str = "TLSv1.2 AECDH-AES256-SHA";

/// The arguments for files with a certificate.
fn files(options: &TlsOptions) -> Vec<&str> {
    let TlsOptions { certificate, key, ca_file, .. } = options;
    let paths = [certificate, key, ca_file].into_iter().flatten();
    std::iter::once("--files").chain(paths.map(|path| path.to_str().unwrap())).collect()
}

/// Sends frames to somebody who echoes them.
async fn echo_frames(connection: &mut Connection) {
    let frames = mixed_frames();
    let mut batch = batch_of(&frames);
    let (sent, ()) = tokio::join!(
        connection.writer.send(&mut batch),
        expect_frames(&mut *connection.reader, &frames)
    );
    sent.unwrap();
}

fn anonymous() -> TlsTransport {
    transport(TlsOptions::default())
}

/// Stands before a listener and refuses every hello that offers more than the anonymous mode, as a
/// listener of the C++ Broker without certificates does; counts the connections.
async fn only_anonymous(to: &Address) -> (Address, Arc<AtomicUsize>) {
    refusing(to, &[0x15, 3, 3, 0, 2, 2, 40]).await
}

/// The same, with this in place of the alert before it closes the connection.
async fn refusing(to: &Address, alert: &'static [u8]) -> (Address, Arc<AtomicUsize>) {
    use broker_tls::anonymous::{Hello, inspect};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Address::new("tls", "127.0.0.1", listener.local_addr().unwrap().port());
    let (port, count) = (to.port(), Arc::new(AtomicUsize::new(0)));
    let counted = count.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            counted.fetch_add(1, SeqCst);
            tokio::spawn(async move {
                let mut hello = Vec::new();
                while inspect(&hello, &[]) == Hello::Incomplete {
                    client.read_buf(&mut hello).await.unwrap();
                }
                if inspect(&hello, &[]) != Hello::Anonymous {
                    client.write_all(alert).await.unwrap();
                    return;
                }
                let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                server.write_all(&hello).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (url, count)
}

/// Both ends of a link in the anonymous mode.
async fn pair() -> (Connection, Connection) {
    let mut listener = listen(&anonymous()).await;
    let (url, _) = only_anonymous(listener.url()).await;
    let dialler = anonymous();
    let (dialled, accepted) = tokio::join!(dialler.connect(&url), accept(&mut *listener));
    (dialled.unwrap(), accepted.unwrap())
}

support::contract::contract_tests!(pair());

#[track_caller]
fn assert_says(error: &TransportError, reason: Reason, words: &str) {
    assert_eq!(error.reason(), reason, "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

#[tokio::test]
async fn links_are_encrypted_and_nobody_is_authenticated() {
    let (left, right) = pair().await;
    assert_eq!(left.link.protection, Protection::Encrypted);
    assert_eq!(right.link.protection.to_string(), "encrypted, not authenticated");
}

#[tokio::test]
async fn the_mode_is_used_only_where_nothing_better_is_there() {
    let mut listener = listen(&anonymous()).await;
    let url = listener.url().clone();
    let examine = async {
        let socket = TcpStream::connect((url.host(), url.port())).await.unwrap();
        anonymous().examine(socket, &url).await
    };
    let ((dialled, details), accepted) = tokio::join!(examine, accept(&mut *listener));
    assert_eq!(details.version.as_deref(), Some("TLSv1_3"));
    assert_eq!(dialled.unwrap().link.protection, Protection::Encrypted);
    accepted.unwrap();

    let (url, _) = only_anonymous(&url).await;
    let examine = async {
        let socket = TcpStream::connect((url.host(), url.port())).await.unwrap();
        anonymous().examine(socket, &url).await
    };
    let ((dialled, details), accepted) = tokio::join!(examine, accept(&mut *listener));
    dialled.unwrap();
    accepted.unwrap();
    assert_eq!(details.version.as_deref(), Some("TLSv1_2"));
    assert_eq!(details.cipher.as_deref(), Some("TLS_ECDH_anon_WITH_AES_256_CBC_SHA"));
}

#[tokio::test]
async fn a_listener_without_certificates_is_dialled_twice_once_and_the_log_is_told() {
    let mut listener = listen(&anonymous()).await;
    let (url, count) = only_anonymous(listener.url()).await;
    let tls = Tls::new(TlsOptions::default()).unwrap();
    let (told, tell) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
    let telling = told.clone();
    let address = url.to_string();
    tls.on_anonymous_listener(move |text| {
        assert!(text.starts_with(&address), "{text}");
        telling.store(tell.fetch_add(1, SeqCst) + 1, SeqCst);
    });
    let dialler = TlsTransport::new(TcpTransport::default(), tls);
    for connections in [2, 3, 4] {
        let (dialled, accepted) = tokio::join!(dialler.connect(&url), accept(&mut *listener));
        dialled.unwrap();
        accepted.unwrap();
        assert_eq!(count.load(SeqCst), connections);
        assert_eq!(told.load(SeqCst), 1);
    }
}

/// Python's asyncio closes without an alert.
#[tokio::test]
async fn a_listener_that_refuses_without_a_word_is_dialled_anonymously_too() {
    let mut listener = listen(&anonymous()).await;
    let (url, count) = refusing(listener.url(), &[]).await;
    let dialler = anonymous();
    // Whoever is not dialled accepts nothing.
    let (dialled, _accepted) =
        tokio::try_join!(dialler.connect(&url), accept(&mut *listener)).unwrap();
    assert_eq!(dialled.link.protection, Protection::Encrypted);
    assert_eq!(count.load(SeqCst), 2);
    // Who has certificates never falls back.
    let setting = Setting::new();
    let error = setting.endpoint("own").connect(&url).await.err().unwrap();
    assert_eq!((error.reason(), count.load(SeqCst)), (Reason::Closed, 3));
}

#[tokio::test]
async fn a_listener_that_has_got_a_certificate_meanwhile_is_dialled_with_tls_1_3_again() {
    let Some((mut cpp, url)) = CppBroker::listen(&[]).await else { return };
    let dialler = anonymous();
    dialler.connect(&url).await.unwrap();
    assert!(cpp.line().await.starts_with("failed"), "TLS 1.3 cannot be agreed on");
    assert_eq!(cpp.line().await, ANONYMOUS);
    drop(cpp);

    let setting = Setting::new();
    let options = setting.files.options("theirs", &setting.ca.issue("theirs"), &setting.ca.pem);
    let port = url.port().to_string();
    let arguments = [&["listen", &port][..], &files(&options)].concat();
    let mut cpp = loop {
        // Until the port is free again.
        let mut cpp = CppBroker::start(&arguments).unwrap();
        if cpp.line().await.starts_with("port") {
            break cpp;
        }
    };
    let mut dialled = dialler.connect(&url).await.unwrap();
    assert!(cpp.line().await.starts_with("failed"), "the anonymous mode is refused");
    assert!(cpp.line().await.starts_with("TLSv1.3"));
    assert_eq!(dialled.link.protection, Protection::Encrypted);
    echo_frames(&mut dialled).await;
}

#[tokio::test]
async fn the_cpp_broker_without_certificates_can_be_dialled() {
    let Some((mut cpp, url)) = CppBroker::listen(&[]).await else { return };
    let mut dialled = anonymous().connect(&url).await.unwrap();
    assert!(cpp.line().await.starts_with("failed"));
    assert_eq!(cpp.line().await, ANONYMOUS);
    assert_eq!(dialled.link.protection, Protection::Encrypted);
    echo_frames(&mut dialled).await;
    dialled.writer.shutdown().await;
    let end = dialled.reader.recv(&mut ReadBuffer::new()).await.unwrap_err();
    assert!(end.is_closed(), "{end}");
}

#[tokio::test]
async fn the_cpp_broker_without_certificates_can_dial() {
    for (arguments, version) in [(&[][..], "TLSv1.3"), (&["-tls1_2"], ANONYMOUS)] {
        let mut listener = listen(&anonymous()).await;
        let Some(mut cpp) = CppBroker::dial(listener.url(), arguments) else { return };
        let mut accepted = accept(&mut *listener).await.unwrap();
        assert!(cpp.line().await.starts_with(version));
        assert_eq!(accepted.link.protection, Protection::Encrypted);
        echo_frames(&mut accepted).await;
    }
}

#[tokio::test]
async fn a_listener_with_a_certificate_and_no_demands_can_be_dialled() {
    let setting = Setting::new();
    let options = setting.files.options("theirs", &setting.ca.issue("theirs"), &setting.ca.pem);
    for version in [&[][..], &["-tls1_2"]] {
        let arguments = [&files(&options)[..], version].concat();
        let Some((mut cpp, url)) = CppBroker::listen(&arguments).await else { return };
        let mut dialled = anonymous().connect(&url).await.unwrap();
        assert!(cpp.line().await.starts_with("TLSv1."), "with the first connection");
        assert_eq!(dialled.link.protection, Protection::Encrypted);
        echo_frames(&mut dialled).await;
    }
}

#[tokio::test]
async fn the_cpp_broker_with_certificates_talks_both_ways_with_an_endpoint_that_has_some() {
    let setting = Setting::new();
    let own = setting.endpoint("own");
    let theirs = setting.files.options("theirs", &setting.ca.issue("theirs"), &setting.ca.pem);
    let arguments = [&files(&theirs)[..], &["--demand"]].concat();

    let Some((_cpp, url)) = CppBroker::listen(&arguments).await else { return };
    let mut dialled = own.connect(&url).await.unwrap();
    assert_eq!(dialled.link.protection.to_string(), "authenticated as CN=theirs");
    echo_frames(&mut dialled).await;

    let mut listener = listen(&own).await;
    let Some(_cpp) = CppBroker::dial(listener.url(), &arguments) else { return };
    let mut accepted = accept(&mut *listener).await.unwrap();
    assert_eq!(accepted.link.protection.to_string(), "authenticated as CN=theirs");
    echo_frames(&mut accepted).await;
}

#[tokio::test]
async fn certificates_at_one_side_alone_are_reported_at_the_side_of_ours() {
    let setting = Setting::new();
    let options = setting.files.options("theirs", &setting.ca.issue("theirs"), &setting.ca.pem);
    let arguments = [&files(&options)[..], &["--demand"]].concat();
    let (without, with) = (anonymous(), setting.endpoint("own"));

    let Some((_cpp, url)) = CppBroker::listen(&arguments).await else { return };
    let error = match without.connect(&url).await {
        Ok(mut dialled) => dialled.reader.recv(&mut ReadBuffer::new()).await.unwrap_err(),
        Err(error) => error,
    };
    assert_says(&error, Reason::OwnCertificate, "demands a certificate");

    let (mut cpp, url) = CppBroker::listen(&[]).await.unwrap();
    let error = with.connect(&url).await.err().unwrap();
    assert_says(&error, Reason::Tls, "both sides have to have certificates");
    assert!(cpp.line().await.starts_with("failed"));

    let mut listener = listen(&without).await;
    let _cpp = CppBroker::dial(listener.url(), &arguments);
    let error = accept(&mut *listener).await.err().unwrap();
    assert_says(&error, Reason::OwnCertificate, "demands a certificate");

    let mut listener = listen(&with).await;
    let _cpp = CppBroker::dial(listener.url(), &[]);
    let error = accept(&mut *listener).await.err().unwrap();
    assert_says(&error, Reason::PeerCertificate, "presented no certificate");
}

#[tokio::test]
async fn an_endpoint_with_certificates_neither_dials_nor_accepts_anonymously() {
    let setting = Setting::new();
    let listener = listen(&anonymous()).await;
    let (url, count) = only_anonymous(listener.url()).await;
    let error = setting.endpoint("own").connect(&url).await.err().unwrap();
    assert_says(&error, Reason::Tls, "both sides have to have certificates, or neither");
    assert_eq!(count.load(SeqCst), 1, "there was a second attempt");

    let mut strict = listen(&setting.endpoint("own")).await;
    let client = broker_tls::anonymous::AnonymousConnection::client().unwrap();
    let mut socket = TcpStream::connect(("127.0.0.1", strict.url().port())).await.unwrap();
    socket.write_all(client.output()).await.unwrap();
    let mut answer = Vec::new();
    let (read, accepted) = tokio::join!(socket.read_to_end(&mut answer), accept(&mut *strict));
    read.unwrap();
    assert_eq!(answer, [0x15, 3, 3, 0, 2, 2, 40], "no common parameters");
    assert_says(&accepted.err().unwrap(), Reason::PeerCertificate, "certificates are configured");
}

#[tokio::test]
async fn the_end_of_a_stream_that_nobody_announced_is_no_orderly_end() {
    let (left, mut right) = pair().await;
    drop(left);
    let error = right.reader.recv(&mut ReadBuffer::new()).await.unwrap_err();
    assert_says(&error, Reason::Closed, "receiving");
}

#[tokio::test]
async fn what_refuses_both_modes_is_explained() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Address::new("tls", "127.0.0.1", listener.local_addr().unwrap().port());
    let server = async {
        for _ in 0..2 {
            let (mut socket, _) = listener.accept().await.unwrap();
            socket.read_u8().await.unwrap();
            socket.write_all(&[0x15, 3, 3, 0, 2, 2, 40]).await.unwrap();
            // Everything is read, so that the alert is not destroyed by a reset.
            socket.shutdown().await.unwrap();
            tokio::io::copy(&mut socket, &mut tokio::io::sink()).await.unwrap();
        }
    };
    let dialler = anonymous();
    let (dialled, ()) = tokio::join!(dialler.connect(&url), server);
    assert_says(&dialled.err().unwrap(), Reason::Tls, "both sides have to have certificates");
}

#[tokio::test]
async fn two_endpoints_without_certificates_meet() {
    let (dialled, accepted) = meet(&anonymous(), &anonymous()).await;
    assert_eq!(dialled.unwrap().link.protection, Protection::Encrypted);
    assert_eq!(accepted.unwrap().link.protection, Protection::Encrypted);
}
