//! Finding out what else speaks at an address that does not speak plain Broker.

use broker::Failure;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The most time for finding out what else speaks at an address.
pub(super) const TIME: Duration = Duration::from_secs(2);

/// Whether TLS is spoken at the address: a server answers the beginning of a handshake, if only to
/// refuse it.
pub(super) async fn speaks_tls(address: SocketAddr, time: Duration) -> bool {
    let answer = ask(address, time, &client_hello()).await;
    matches!(answer.as_slice(), [0x15, 3, 0..=4, ..] | [0x16, 3, 0..=4, _, _, SERVER_HELLO, ..])
}

/// The message of TLS that answers a hello.
const SERVER_HELLO: u8 = 2;

/// What an HTTP request reveals.
pub(super) async fn asked_for_a_page(address: SocketAddr, time: Duration) -> Option<Failure> {
    let answer = ask(address, time, b"GET / HTTP/1.0\r\n\r\n").await;
    Failure::of_first_bytes(&answer)
}

/// Whether the native protocol is spoken at the address: there the server says something first.
pub(super) async fn greets_natively(address: SocketAddr, time: Duration) -> bool {
    // A frame that is short, with one of the messages of the handshake.
    let greeting = ask(address, time, b"").await;
    matches!(greeting.as_slice(), [0, 0, _, _, 6..=12, ..])
}

/// So many bytes of an answer identify the protocol.
const ENOUGH: usize = 6;

/// Sends bytes on a connection of its own, and returns the first that come back; none if they are
/// those that were sent.
async fn ask(address: SocketAddr, time: Duration, question: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    let exchange = async {
        let mut socket = TcpStream::connect(address).await?;
        socket.write_all(question).await?;
        while answer.len() < ENOUGH && socket.read_buf(&mut answer).await? > 0 {}
        Ok::<_, std::io::Error>(())
    };
    // What has come by then counts, however it ended.
    let _ = timeout(time, exchange).await;
    let is_echo = !answer.is_empty() && question.starts_with(&answer[..answer.len().min(ENOUGH)]);
    if is_echo { Vec::new() } else { answer }
}

/// The ciphers offered: of TLS 1.3, the common ones of 1.2, and the anonymous one that Broker
/// endpoints without certificates insist on.
const CIPHERS: [u16; 9] = [0x1301, 0x1302, 0x1303, 0xc02b, 0xc02c, 0xc02f, 0xc030, 0x009c, 0xc019];

/// The smallest hello of TLS 1.2 and 1.3 that servers answer. What it offers is never used.
fn client_hello() -> Vec<u8> {
    let mut extensions = Vec::new();
    // Versions 1.3 and 1.2.
    extension(&mut extensions, 43, &[4, 3, 4, 3, 3]);
    // The groups X25519, P-256 and P-384.
    extension(&mut extensions, 10, &[0, 6, 0, 0x1d, 0, 0x17, 0, 0x18]);
    // Signatures with ECDSA, RSA-PSS and RSA.
    extension(&mut extensions, 13, &[0, 8, 4, 3, 5, 3, 8, 4, 4, 1]);
    // No key share: a server asks for one.
    extension(&mut extensions, 51, &[0, 0]);

    let mut hello = vec![3, 3];
    hello.extend_from_slice(&[0x5a; 32]);
    hello.push(0);
    hello.extend_from_slice(&((CIPHERS.len() * 2) as u16).to_be_bytes());
    CIPHERS.iter().for_each(|cipher| hello.extend_from_slice(&cipher.to_be_bytes()));
    hello.extend_from_slice(&[1, 0]);
    hello.extend_from_slice(&(extensions.len() as u16).to_be_bytes());
    hello.extend_from_slice(&extensions);

    let mut record = vec![0x16, 3, 1];
    record.extend_from_slice(&((hello.len() + 4) as u16).to_be_bytes());
    record.extend_from_slice(&[1, 0]);
    record.extend_from_slice(&(hello.len() as u16).to_be_bytes());
    record.extend_from_slice(&hello);
    record
}

fn extension(out: &mut Vec<u8>, number: u16, body: &[u8]) {
    out.extend_from_slice(&number.to_be_bytes());
    out.extend_from_slice(&(body.len() as u16).to_be_bytes());
    out.extend_from_slice(body);
}
