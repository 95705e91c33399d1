//! Anonymous TLS against OpenSSL, in both roles; skipped where there is no OpenSSL that has it.

#![allow(clippy::unwrap_used)]

use broker_tls::anonymous::{AnonymousConnection, AnonymousStatus, Error};
use rustls::AlertDescription as Alert;
use std::io::{BufRead, BufReader, IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

const CIPHER: &str = "AECDH-AES256-SHA:@SECLEVEL=0";

/// A command of OpenSSL, if there is one with this mode.
fn openssl(arguments: &[&str]) -> Option<Command> {
    let known = Command::new("openssl").args(["ciphers", CIPHER]).output();
    if !known.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no openssl with anonymous TLS is here");
        return None;
    }
    let mut command = Command::new("openssl");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    Some(command)
}

/// A program that ends with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One side over a socket.
struct Stream {
    connection: AnonymousConnection,
    socket: TcpStream,
}

impl Stream {
    fn handshake(connection: AnonymousConnection, socket: TcpStream) -> Result<Self, Error> {
        let mut stream = Self { connection, socket };
        while !stream.connection.is_established() {
            stream.flush();
            stream.fill()?;
        }
        stream.flush();
        Ok(stream)
    }

    fn flush(&mut self) {
        self.socket.write_all(self.connection.output()).unwrap();
        self.connection.sent(self.connection.output().len());
    }

    /// Reads once; the outcome is what that was.
    fn fill(&mut self) -> Result<AnonymousStatus, Error> {
        let count = self.socket.read(self.connection.room()).unwrap();
        self.connection.arrived(count);
        let status = self.connection.process();
        assert!(count > 0 || status == Ok(AnonymousStatus::Closed), "the stream ended: {status:?}");
        status
    }

    fn write(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let taken = self.connection.send(&[IoSlice::new(data)]).unwrap();
            data = &data[taken..];
            self.flush();
        }
    }

    /// Reads so many bytes.
    fn read(&mut self, length: usize) -> Vec<u8> {
        let mut data = Vec::new();
        while data.len() < length {
            match self.connection.process().unwrap() {
                AnonymousStatus::Data => {
                    data.extend_from_slice(self.connection.plaintext());
                    self.connection.consume(self.connection.plaintext().len());
                }
                AnonymousStatus::Input => {
                    self.fill().unwrap();
                }
                AnonymousStatus::Closed => break,
            }
        }
        data
    }
}

/// What crosses a connection: more than some records, and nothing that OpenSSL takes for a command.
fn data() -> Vec<u8> {
    (0..300_000_u32).map(|at| b'a' + (at % 13) as u8).collect()
}

/// `openssl s_server`, what it prints after its first words, and where it listens.
fn server(arguments: &[&str]) -> Option<(Running, BufReader<impl Read>, TcpStream)> {
    let mut command = openssl(&["s_server", "-accept", "127.0.0.1:0", "-tls1_2", "-naccept", "1"])?;
    let mut child = command.args(arguments).stderr(Stdio::null()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let running = Running(child);
    let mut line = String::new();
    while !line.starts_with("ACCEPT") {
        line.clear();
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "s_server did not start");
    }
    let address = line.trim().trim_start_matches("ACCEPT ").to_owned();
    let socket = TcpStream::connect(address).unwrap();
    Some((running, output, socket))
}

#[test]
fn servers_of_openssl_are_served_as_a_client() {
    for group in ["secp384r1", "prime256v1", "X25519"] {
        let arguments = ["-nocert", "-cipher", CIPHER, "-groups", group];
        let Some((mut running, mut output, socket)) = server(&arguments) else { return };
        let mut stream = Stream::handshake(AnonymousConnection::client().unwrap(), socket).unwrap();
        let data = data();
        stream.write(&data);
        stream.write(b"\n");
        let mut line = String::new();
        while !line.starts_with("abc") {
            line.clear();
            assert_ne!(output.read_line(&mut line).unwrap(), 0, "nothing arrived");
        }
        assert!(line.trim_end().as_bytes() == data, "{group}");

        let mut input = running.0.stdin.take().unwrap();
        let back = data.clone();
        let writing = std::thread::spawn(move || {
            input.write_all(&back).unwrap();
            input
        });
        assert!(stream.read(data.len()) == data, "{group}");
        drop(writing.join().unwrap());
        stream.connection.close();
        stream.flush();
    }
}

#[test]
fn clients_of_openssl_are_served() {
    for group in ["secp384r1", "prime256v1", "X25519", "X448:P-384"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let arguments = ["s_client", "-quiet", "-connect", &address, "-tls1_2"];
        let Some(mut command) = openssl(&arguments) else { return };
        command.args(["-cipher", CIPHER, "-groups", group]).stderr(Stdio::null());
        let mut running = Running(command.spawn().unwrap());
        let (socket, _) = listener.accept().unwrap();
        let mut stream = Stream::handshake(AnonymousConnection::server(), socket).unwrap();
        let (data, mut input) = (data(), running.0.stdin.take().unwrap());
        let there = data.clone();
        let writing = std::thread::spawn(move || {
            input.write_all(&there).unwrap();
            input
        });
        assert!(stream.read(data.len()) == data, "{group}");
        let input = writing.join().unwrap();
        stream.write(&data);
        let mut back = vec![0; data.len()];
        running.0.stdout.as_mut().unwrap().read_exact(&mut back).unwrap();
        assert!(back == data, "{group}");
        drop(input);
        stream.connection.close();
        stream.flush();
        assert_eq!(stream.read(1), b"", "an orderly end");
    }
}

#[test]
fn renegotiation_that_openssl_asks_for_is_declined() {
    let arguments = ["-nocert", "-cipher", CIPHER];
    let Some((mut running, _output, socket)) = server(&arguments) else { return };
    let mut stream = Stream::handshake(AnonymousConnection::client().unwrap(), socket).unwrap();
    let mut input = running.0.stdin.take().unwrap();
    // OpenSSL asks with a HelloRequest, and ends the connection because of the answer.
    input.write_all(b"r\n").unwrap();
    let outcome = loop {
        match stream.fill() {
            Ok(AnonymousStatus::Input | AnonymousStatus::Data) => stream.flush(),
            other => break other,
        }
    };
    assert!(
        matches!(outcome, Ok(AnonymousStatus::Closed) | Err(Error::AlertReceived(_))),
        "{outcome:?}"
    );
}

#[test]
fn parameters_that_openssl_does_not_share_end_the_handshake_with_its_alert() {
    let arguments = ["-nocert", "-cipher", "ADH-AES256-SHA:@SECLEVEL=0"];
    let Some((_running, _output, socket)) = server(&arguments) else { return };
    let outcome = Stream::handshake(AnonymousConnection::client().unwrap(), socket).map(drop);
    assert_eq!(outcome, Err(Error::AlertReceived(Alert::HandshakeFailure)));
}
