//! TLS of other implementations: tlslite-ng, which is written in Python alone, and OpenSSL's own
//! programs with a certificate, in both roles; asyncio of Python, which refuses without a word.
//! Skipped where they are not to be had.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../../broker-tls/tests/pki/mod.rs"]
mod pki;
mod support;
#[path = "support/tls.rs"]
mod tls_support;

use broker_core::Address;
use broker_core::transport::{Connection, Protection, ReadBuffer, Transport};
use broker_testkit::or_skip;
use broker_testkit::tools;
use broker_transport_tcp::tls::{TlsOptions, TlsTransport};
use std::path::Path;
use std::process::Stdio;
use support::{batch_of, expect_frames, mixed_frames};
use tls_support::{Setting, accept, listen, transport};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// A program and what it prints; it ends when this is dropped.
struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Program {
    fn start(program: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Waits for a line that begins like this, and returns the rest of it.
    async fn line(&mut self, beginning: &str) -> String {
        let mut before = String::new();
        while let Some(line) = self.lines.next_line().await.unwrap() {
            if let Some(rest) = line.strip_prefix(beginning) {
                return rest.trim().to_owned();
            }
            before += &line;
        }
        panic!("it ended without {beginning:?}, after {before:?}");
    }
}

fn anonymous() -> TlsTransport {
    transport(TlsOptions::default())
}

/// Sends frames to somebody who echoes them, and ends in an orderly way.
async fn echo_frames(mut connection: Connection, frames: &[Vec<u8>]) {
    assert_eq!(connection.link.protection, Protection::Encrypted);
    let mut batch = batch_of(frames);
    let (sent, ()) = tokio::join!(
        connection.writer.send(&mut batch),
        expect_frames(&mut *connection.reader, frames)
    );
    sent.unwrap();
    connection.writer.shutdown().await;
    let end = connection.reader.recv(&mut ReadBuffer::new()).await.unwrap_err();
    assert!(end.is_closed(), "{end}");
}

const TLSLITE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/tlslite_peer.py");
/// What fills several records; AES in Python alone takes seconds for a megabyte.
fn some_frames() -> Vec<Vec<u8>> {
    let mut frames = mixed_frames();
    frames.truncate(7);
    frames
}

const AGREED: &str = "aes256 encrypt-then-mac extended";

#[tokio::test]
async fn tlslite_without_certificates_can_be_dialled() {
    let python = or_skip!(tools::python(env!("CARGO_TARGET_TMPDIR"), &["tlslite-ng"]).await);
    for group in ["secp384r1", "secp256r1", "x25519"] {
        let mut theirs = Program::start(&python, &[TLSLITE, "listen", "0", group]);
        let port = theirs.line("port").await.parse().unwrap();
        let dialled = anonymous().connect(&Address::new("tls", "127.0.0.1", port)).await.unwrap();
        assert_eq!(theirs.line("TLS 1.2").await, AGREED, "{group}");
        echo_frames(dialled, &some_frames()).await;
    }
}

#[tokio::test]
async fn tlslite_without_certificates_can_dial() {
    let python = or_skip!(tools::python(env!("CARGO_TARGET_TMPDIR"), &["tlslite-ng"]).await);
    for group in ["secp384r1", "secp256r1", "x25519"] {
        let mut listener = listen(&anonymous()).await;
        let port = listener.url().port().to_string();
        let mut theirs = Program::start(&python, &[TLSLITE, "dial", &port, group]);
        let accepted = accept(&mut *listener).await.unwrap();
        assert_eq!(theirs.line("TLS 1.2").await, AGREED, "{group}");
        echo_frames(accepted, &some_frames()).await;
    }
}

/// It closes the connection that offers something else, and sends no alert.
const ASYNCIO: &str = r#"
import asyncio, ssl
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.maximum_version = ssl.TLSVersion.TLSv1_2
context.set_ciphers("AECDH-AES256-SHA:@SECLEVEL=0")
context.set_ecdh_curve("secp384r1")
async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
async def main():
    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=context)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"#;

#[tokio::test]
async fn asyncio_without_certificates_can_be_dialled() {
    let python = or_skip!(tools::find("python3").ok_or("no python3 is here"));
    let mut theirs = Program::start(&python, &["-c", ASYNCIO]);
    let port = theirs.line("port").await.parse().unwrap();
    let dialled = anonymous().connect(&Address::new("tls", "127.0.0.1", port)).await.unwrap();
    echo_frames(dialled, &mixed_frames()).await;
}

/// Bytes both ways with a program that passes on what it reads and writes.
async fn exchange(mut connection: Connection, mut theirs: Program) {
    assert_eq!(connection.link.protection, Protection::Encrypted);
    let frames = mixed_frames();
    let bytes = frames.concat();
    let mut batch = batch_of(&frames);
    let mut arrived = vec![0; bytes.len()];
    let output = theirs.lines.get_mut();
    let (sent, read) =
        tokio::join!(connection.writer.send(&mut batch), output.read_exact(&mut arrived));
    sent.unwrap();
    read.unwrap();
    assert!(arrived == bytes, "something else has arrived");
    let input = theirs.child.stdin.as_mut().unwrap();
    let (written, ()) =
        tokio::join!(input.write_all(&bytes), expect_frames(&mut *connection.reader, &frames));
    written.unwrap();
}

fn openssl() -> Result<std::path::PathBuf, String> {
    tools::find("openssl").ok_or_else(|| "no openssl is here".to_owned())
}

const VERSIONS: [&str; 2] = ["-tls1_2", "-tls1_3"];

#[tokio::test]
async fn openssl_with_a_certificate_can_be_dialled() {
    let openssl = or_skip!(openssl());
    let setting = Setting::new();
    let options = setting.files.options("theirs", &setting.ca.issue("theirs"), &setting.ca.pem);
    let [certificate, key] = [options.certificate.unwrap(), options.key.unwrap()];
    let files = ["-cert", certificate.to_str().unwrap(), "-key", key.to_str().unwrap()];
    for version in VERSIONS {
        // Unless it is quiet it takes what it reads for commands, so it does not name its port.
        let at = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let arguments = ["s_server", "-quiet", version, "-accept", &at.to_string()];
        let theirs = Program::start(&openssl, &[&arguments[..], &files].concat());
        let url = Address::new("tls", "127.0.0.1", at.port());
        let dialled = loop {
            match anonymous().connect(&url).await {
                Err(error) if error.to_string().contains("refused, nothing listens") => {
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
                dialled => break dialled.unwrap(),
            }
        };
        exchange(dialled, theirs).await;
    }
}

#[tokio::test]
async fn openssl_that_verifies_nothing_can_dial() {
    let openssl = or_skip!(openssl());
    for version in VERSIONS {
        let mut listener = listen(&anonymous()).await;
        let at = format!("127.0.0.1:{}", listener.url().port());
        let theirs = Program::start(&openssl, &["s_client", "-quiet", version, "-connect", &at]);
        exchange(accept(&mut *listener).await.unwrap(), theirs).await;
    }
}
