//! TLS without certificates, with OpenSSL set up as the C++ Broker sets it up at the other end.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../../broker-tls/tests/pki/mod.rs"]
mod pki;
mod support;
#[path = "support/tls.rs"]
mod tls_support;

use broker_core::Url;
use broker_core::transport::{
    Connection, Protection, ReadBuffer, StreamReader, StreamWriter, Transport,
    TransportErrorKind as Kind,
};
use broker_transport_tcp::tls::TlsOptions;
use openssl::ssl::{
    Ssl, SslContext, SslContextBuilder, SslFiletype, SslMethod, SslVerifyMode, SslVersion,
};
use std::pin::Pin;
use support::{batch_of, expect_frames, mixed_frames};
use tls_support::{Setting, accept, listen, meet, transport};
use tokio::net::{TcpListener, TcpStream};
use tokio_openssl::SslStream;

/// A context as the C++ Broker has it without certificates.
fn reference() -> SslContextBuilder {
    let mut context = SslContext::builder(SslMethod::tls()).unwrap();
    context.set_verify(SslVerifyMode::NONE);
    context.set_groups_list("P-384").unwrap();
    context.set_cipher_list("AECDH-AES256-SHA@SECLEVEL=0").unwrap();
    context.set_min_proto_version(Some(SslVersion::TLS1_2)).unwrap();
    context
}

/// A context as the C++ Broker has it with certificates.
fn reference_with(options: &TlsOptions) -> SslContextBuilder {
    let mut context = SslContext::builder(SslMethod::tls()).unwrap();
    context.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
    context.set_certificate_chain_file(options.certificate.as_ref().unwrap()).unwrap();
    context.set_private_key_file(options.key.as_ref().unwrap(), SslFiletype::PEM).unwrap();
    context.set_ca_file(options.ca_file.as_ref().unwrap()).unwrap();
    context.set_cipher_list("HIGH:!aNULL:!MD5").unwrap();
    context.set_min_proto_version(Some(SslVersion::TLS1_2)).unwrap();
    context
}

fn session(context: SslContextBuilder) -> Ssl {
    Ssl::new(&context.build()).unwrap()
}

async fn reference_accepts(
    context: SslContextBuilder,
    listener: &TcpListener,
) -> Result<SslStream<TcpStream>, openssl::ssl::Error> {
    let (socket, _) = listener.accept().await.unwrap();
    let mut stream = SslStream::new(session(context), socket).unwrap();
    Pin::new(&mut stream).accept().await.map(|()| stream)
}

async fn reference_dials(
    context: SslContextBuilder,
    url: &Url,
) -> Result<SslStream<TcpStream>, openssl::ssl::Error> {
    let socket = TcpStream::connect((url.host(), url.port())).await.unwrap();
    let mut stream = SslStream::new(session(context), socket).unwrap();
    Pin::new(&mut stream).connect().await.map(|()| stream)
}

async fn socket_and_url() -> (TcpListener, Url) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::new("tls", "127.0.0.1", listener.local_addr().unwrap().port());
    (listener, url)
}

/// Sends frames both ways between a connection and a stream of the C++ Broker.
async fn exchange_frames(connection: &mut Connection, stream: SslStream<TcpStream>) {
    use broker_core::transport::FrameWriter;
    let frames = mixed_frames();
    let (reader, writer) = tokio::io::split(stream);
    let (mut reader, mut writer) = (StreamReader(reader), StreamWriter(writer));
    let (mut there, mut back) = (batch_of(&frames), batch_of(&frames));
    let (sent_there, sent_back, (), ()) = tokio::join!(
        connection.writer.send(&mut there),
        writer.send(&mut back),
        expect_frames(&mut reader, &frames),
        expect_frames(&mut *connection.reader, &frames),
    );
    sent_there.unwrap();
    sent_back.unwrap();
}

async fn pair() -> (Connection, Connection) {
    let (left, right) = (transport(TlsOptions::default()), transport(TlsOptions::default()));
    let (dialled, accepted) = meet(&left, &right).await;
    (dialled.unwrap(), accepted.unwrap())
}

support::contract::contract_tests!(pair());

#[tokio::test]
async fn links_are_encrypted_and_nobody_is_authenticated() {
    let (left, right) = pair().await;
    assert_eq!(left.link.protection, Protection::Encrypted);
    assert_eq!(right.link.protection.to_string(), "encrypted, not authenticated");
}

#[tokio::test]
async fn the_cpp_broker_without_certificates_can_be_dialled() {
    let (listener, url) = socket_and_url().await;
    let dialler = transport(TlsOptions::default());
    let (dialled, accepted) =
        tokio::join!(dialler.connect(&url), reference_accepts(reference(), &listener));
    let (mut dialled, accepted) = (dialled.unwrap(), accepted.unwrap());
    assert_eq!(accepted.ssl().version_str(), "TLSv1.2");
    assert_eq!(accepted.ssl().current_cipher().unwrap().name(), "AECDH-AES256-SHA");
    assert_eq!(dialled.link.protection, Protection::Encrypted);
    exchange_frames(&mut dialled, accepted).await;
}

#[tokio::test]
async fn the_cpp_broker_without_certificates_can_dial() {
    let mut old = reference();
    old.set_max_proto_version(Some(SslVersion::TLS1_2)).unwrap();
    for (context, version) in [(reference(), "TLSv1.3"), (old, "TLSv1.2")] {
        let mut listener = listen(&transport(TlsOptions::default())).await;
        let url = listener.url().clone();
        let (dialled, accepted) =
            tokio::join!(reference_dials(context, &url), accept(&mut *listener));
        let (dialled, mut accepted) = (dialled.unwrap(), accepted.unwrap());
        assert_eq!(dialled.ssl().version_str(), version);
        assert_eq!(accepted.link.protection, Protection::Encrypted);
        exchange_frames(&mut accepted, dialled).await;
    }
}

#[tokio::test]
async fn a_program_without_the_feature_can_dial_and_be_dialled() {
    let own = broker_transport_tcp::tls::Tls::new(TlsOptions::default()).unwrap();
    let name = rustls::pki_types::ServerName::try_from("unused").unwrap();
    let other = transport(TlsOptions::default());

    let mut listener = listen(&other).await;
    let (config, _) = own.rustls_client("host").unwrap();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let socket = TcpStream::connect(("127.0.0.1", listener.url().port())).await.unwrap();
    let (dialled, accepted) = tokio::join!(connector.connect(name, socket), accept(&mut *listener));
    dialled.unwrap();
    accepted.unwrap();

    let (listener, url) = socket_and_url().await;
    let (config, _) = own.rustls_server().unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let accepting = async { acceptor.accept(listener.accept().await.unwrap().0).await };
    let (dialled, accepted) = tokio::join!(other.connect(&url), accepting);
    dialled.unwrap();
    accepted.unwrap();
}

#[tokio::test]
async fn the_cpp_broker_with_certificates_talks_both_ways_with_an_endpoint_that_has_some() {
    let setting = Setting::new();
    let own = setting.endpoint("own");
    let theirs = setting.files.options("theirs", &setting.ca.issue("theirs"), &setting.ca.pem);

    let (listener, url) = socket_and_url().await;
    let accepting = reference_accepts(reference_with(&theirs), &listener);
    let (dialled, accepted) = tokio::join!(own.connect(&url), accepting);
    let mut dialled = dialled.unwrap();
    assert_eq!(dialled.link.protection.to_string(), "authenticated as CN=theirs");
    exchange_frames(&mut dialled, accepted.unwrap()).await;

    let mut listener = listen(&own).await;
    let url = listener.url().clone();
    let dialling = reference_dials(reference_with(&theirs), &url);
    let (dialled, accepted) = tokio::join!(dialling, accept(&mut *listener));
    let mut accepted = accepted.unwrap();
    assert_eq!(accepted.link.protection.to_string(), "authenticated as CN=theirs");
    exchange_frames(&mut accepted, dialled.unwrap()).await;
}

#[tokio::test]
async fn certificates_at_one_side_alone_are_reported_at_the_side_of_ours() {
    let setting = Setting::new();
    let options = setting.files.options("theirs", &setting.ca.issue("theirs"), &setting.ca.pem);
    let (without, with) = (transport(TlsOptions::default()), setting.endpoint("own"));

    let (listener, url) = socket_and_url().await;
    let accepting = async {
        reference_accepts(reference_with(&options), &listener).await.map(drop).unwrap_err()
    };
    let (dialled, _) = tokio::join!(without.connect(&url), accepting);
    let error = match dialled {
        Ok(mut dialled) => dialled.reader.recv(&mut ReadBuffer::new()).await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.kind(), Kind::OwnCertificate, "{error}");
    assert!(error.to_string().contains("demands a certificate"), "{error}");

    let accepting =
        async { reference_accepts(reference(), &listener).await.map(drop).unwrap_err() };
    let (dialled, _) = tokio::join!(with.connect(&url), accepting);
    let error = dialled.err().unwrap();
    assert_eq!(error.kind(), Kind::Tls, "{error}");
    assert!(error.to_string().contains("both sides have to have certificates"), "{error}");

    let mut listener = listen(&without).await;
    let url = listener.url().clone();
    let dialling = reference_dials(reference_with(&options), &url);
    let (dialled, accepted) = tokio::join!(dialling, accept(&mut *listener));
    assert!(dialled.is_err());
    let error = accepted.err().unwrap();
    assert_eq!(error.kind(), Kind::OwnCertificate, "{error}");
    assert!(error.to_string().contains("demands a certificate"), "{error}");

    let mut listener = tls_support::listen(&with).await;
    let url = listener.url().clone();
    let (_dialled, accepted) =
        tokio::join!(reference_dials(reference(), &url), accept(&mut *listener));
    let error = accepted.err().unwrap();
    assert_eq!(error.kind(), Kind::PeerCertificate, "{error}");
    assert!(error.to_string().contains("presented no certificate"), "{error}");
}
