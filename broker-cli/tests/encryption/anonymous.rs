//! A listener that has no certificate, as that of a default Zeek.

use super::listener;
use crate::common::{Cli, run};
use broker_tls::anonymous::{Hello, inspect};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Stands before a node and refuses every hello that offers more than the anonymous mode.
async fn only_anonymous(node: &str) -> String {
    let (_, address) = node.split_once("://").unwrap();
    let address = address.to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("tls://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let address = address.clone();
            tokio::spawn(async move {
                let mut hello = Vec::new();
                while inspect(&hello, &[]) == Hello::Incomplete {
                    client.read_buf(&mut hello).await.unwrap();
                }
                if inspect(&hello, &[]) == Hello::Anonymous {
                    let mut server = TcpStream::connect(address).await.unwrap();
                    server.write_all(&hello).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                } else {
                    client.write_all(&[0x15, 3, 3, 0, 2, 2, 40]).await.unwrap();
                }
            });
        }
    });
    url
}

#[tokio::test]
async fn it_is_peered_with_and_the_log_says_once_what_it_is() {
    let (mut node, listening) = listener("tls", &["--events".to_owned()]).await;
    let url = only_anonymous(listening["url"].as_str().unwrap()).await;
    let arguments = ["sub", "/t", "--peer", &url, "--events", "--log-level", "info"];
    let mut sub = Cli::start(&arguments);
    let log = sub.event("internal_log_event").await;
    assert_eq!(log["id"], "anonymous-tls");
    assert!(log["description"].as_str().unwrap().starts_with(&url), "{log}");
    for side in [&mut node, &mut sub] {
        let protection = side.event("peer_added").await["protection"].clone();
        assert_eq!(protection, "encrypted, not authenticated");
    }
    run(&["ping", &url, "--count", "2"]).await.expect(0);
    run(&["pub", "/t", "1", "--peer", &url]).await.expect(0);
}

#[tokio::test]
async fn the_doctor_names_the_mode_and_the_way_out_of_it() {
    let (_node, listening) = listener("tls", &[]).await;
    let url = only_anonymous(listening["url"].as_str().unwrap()).await;
    let end = run(&["doctor", &url]).await.expect(0);
    let lines = end.lines();
    let agreed = lines.iter().find(|line| line["version"].is_string()).unwrap();
    assert_eq!(agreed["version"], "TLSv1_2");
    assert_eq!(agreed["cipher"], "TLS_ECDH_anon_WITH_AES_256_CBC_SHA");
    let message = agreed["message"].as_str().unwrap();
    assert!(message.contains("the anonymous TLS of a Zeek without certificates"), "{message}");
    assert!(message.contains("set certificate, key and ca-file here"), "{message}");
}
