//! The rules of RFC 6455 for frames, as a client meets them at the server.

#![allow(clippy::unwrap_used)]

use broker_testkit::websocket as support;

use broker_transport_ws::WsOptions;
use support::{Client, Frame, MASK, Server, count, frame};

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// A publisher, and a subscriber that shows what was published.
async fn pair(server: &Server) -> (Client, Client) {
    let publisher = server.client("[]").await;
    (publisher, server.client("[\"/t\"]").await)
}

fn message(number: u64) -> Vec<u8> {
    count("/t", number).into_bytes()
}

#[tokio::test]
async fn every_form_of_a_message_is_the_same_message() {
    let server = Server::start().await;
    let (mut publisher, mut subscriber) = pair(&server).await;
    let text = message(1);
    let (first, rest) = text.split_at(20);
    let (second, third) = rest.split_at(5);
    let unshortened = |length: &[u8]| {
        let mut out = vec![0x81];
        out.extend_from_slice(length);
        out.extend_from_slice(&MASK);
        out.extend(text.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        out
    };
    let length = text.len() as u8;
    let forms: Vec<(&str, Vec<u8>)> = vec![
        ("text", frame(TEXT, true, &text)),
        ("binary", frame(BINARY, true, &text)),
        ("two fragments", [frame(TEXT, false, first), frame(0, true, rest)].concat()),
        (
            "three fragments, empty ones between",
            [
                frame(TEXT, false, b""),
                frame(0, false, first),
                frame(0, false, b""),
                frame(0, false, second),
                frame(0, false, third),
                frame(0, true, b""),
            ]
            .concat(),
        ),
        ("binary fragments", [frame(BINARY, false, first), frame(0, true, rest)].concat()),
        ("16-bit length", unshortened(&[0x80 | 126, 0, length])),
        ("64-bit length", unshortened(&[0x80 | 127, 0, 0, 0, 0, 0, 0, 0, length])),
        (
            "one byte in each fragment",
            text.iter()
                .enumerate()
                .flat_map(|(at, byte)| {
                    frame(if at == 0 { TEXT } else { 0 }, at + 1 == text.len(), &[*byte])
                })
                .collect(),
        ),
    ];
    for (form, bytes) in forms {
        publisher.raw(&bytes).await;
        assert_eq!(subscriber.recv_text().await, count("/t", 1), "{form}");
    }
}

#[tokio::test]
async fn a_frame_may_arrive_in_any_pieces() {
    let server = Server::start().await;
    let (mut publisher, mut subscriber) = pair(&server).await;
    publisher.stream.set_nodelay(true).unwrap();
    let bytes = frame(TEXT, true, &message(7));
    for cut in 1..bytes.len() {
        publisher.raw(&bytes[..cut]).await;
        tokio::task::yield_now().await;
        publisher.raw(&bytes[cut..]).await;
        assert_eq!(subscriber.recv_text().await, count("/t", 7), "cut at {cut}");
    }
}

#[tokio::test]
async fn many_messages_may_arrive_at_once() {
    let server = Server::start().await;
    let (mut publisher, mut subscriber) = pair(&server).await;
    let burst: Vec<u8> = (0..500).flat_map(|n| frame(TEXT, true, &message(n))).collect();
    publisher.raw(&burst).await;
    for number in 0..500 {
        assert_eq!(subscriber.recv_text().await, count("/t", number));
    }
}

#[tokio::test]
async fn control_frames_are_answered_between_fragments() {
    let server = Server::start().await;
    let (mut publisher, mut subscriber) = pair(&server).await;
    let text = message(1);
    let (first, rest) = text.split_at(20);
    publisher.raw(&frame(TEXT, false, first)).await;
    publisher.raw(&frame(PING, true, b"between")).await;
    assert_eq!(publisher.recv().await, Frame::Pong(b"between".to_vec()));
    publisher.raw(&frame(PONG, true, b"unasked")).await;
    publisher.raw(&frame(0, true, rest)).await;
    assert_eq!(subscriber.recv_text().await, count("/t", 1));
}

#[tokio::test]
async fn each_ping_is_answered_with_its_payload() {
    let server = Server::start().await;
    let mut client = server.open().await;
    client.raw(&frame(PING, true, b"before the subscriptions")).await;
    assert_eq!(client.recv().await, Frame::Pong(b"before the subscriptions".to_vec()));
    client.text("[]").await;
    client.recv_text().await;
    let longest = vec![b'x'; 125];
    let pings = [frame(PING, true, b""), frame(PING, true, &longest), frame(PING, true, b"3")];
    client.raw(&pings.concat()).await;
    for payload in [vec![], longest, b"3".to_vec()] {
        assert_eq!(client.recv().await, Frame::Pong(payload));
    }
}

#[tokio::test]
async fn what_breaks_the_protocol_is_closed_with_1002() {
    let server = Server::start().await;
    let text = message(1);
    let unmasked = [&[0x81, text.len() as u8][..], &text].concat();
    let with_first = |first: u8| {
        let mut bytes = frame(TEXT, true, &text);
        bytes[0] = first;
        bytes
    };
    let mut broken: Vec<(String, Vec<u8>)> = vec![
        ("no mask".into(), unmasked),
        ("continuation of nothing".into(), frame(0, true, &text)),
        (
            "new message inside a message".into(),
            [frame(TEXT, false, b"x"), frame(TEXT, true, &text)].concat(),
        ),
        ("fragmented ping".into(), frame(PING, false, b"x")),
        ("fragmented close".into(), frame(CLOSE, false, &[0x03, 0xe8])),
        ("long ping".into(), frame(PING, true, &[b'x'; 126])),
        ("long close".into(), frame(CLOSE, true, &[b'x'; 126])),
        ("close of one byte".into(), frame(CLOSE, true, b"\x03")),
    ];
    for rsv in [0x40, 0x20, 0x10] {
        broken.push((format!("reserved bit {rsv:x}"), with_first(0x81 | rsv)));
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        broken.push((format!("opcode {opcode}"), with_first(0x80 | opcode)));
    }
    for code in [0_u16, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535] {
        broken.push((format!("close code {code}"), frame(CLOSE, true, &code.to_be_bytes())));
    }
    for (what, bytes) in broken {
        let mut client = server.client("[]").await;
        client.raw(&bytes).await;
        let (code, reason) = client.recv_close().await;
        assert_eq!(code, 1002, "{what} ({reason})");
        client.close(1002, "").await;
        assert_eq!(client.recv().await, Frame::End, "{what}");
    }
}

#[tokio::test]
async fn text_that_is_not_utf_8_is_closed_with_1007() {
    let server = Server::start().await;
    let whole = [
        &b"\xff"[..],
        b"\xc3",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"abc\xe2\x82",
    ];
    for bytes in whole {
        let mut client = server.client("[]").await;
        client.raw(&frame(TEXT, true, bytes)).await;
        assert_eq!(client.recv_close().await.0, 1007, "{bytes:x?}");
    }
    // As soon as it is certain, even if the message is not complete.
    let mut client = server.client("[]").await;
    client.raw(&frame(TEXT, false, b"\xe2\x28")).await;
    assert_eq!(client.recv_close().await.0, 1007);
    // The reason of a Close frame is text as well.
    let mut client = server.client("[]").await;
    client.raw(&frame(CLOSE, true, b"\x03\xe8\xff")).await;
    assert_eq!(client.recv_close().await.0, 1007);
}

#[tokio::test]
async fn a_character_may_be_cut_by_a_fragment() {
    let server = Server::start().await;
    let (mut publisher, mut subscriber) = pair(&server).await;
    let text =
        "{\"topic\":\"/t\",\"@data-type\":\"string\",\"data\":\"\u{20ac}\u{1f980}\"}".as_bytes();
    for cut in 1..text.len() {
        let (first, rest) = text.split_at(cut);
        publisher.raw(&[frame(TEXT, false, first), frame(0, true, rest)].concat()).await;
        let got = subscriber.recv_json().await;
        assert_eq!(got["data"], "\u{20ac}\u{1f980}", "cut at {cut}");
    }
}

#[tokio::test]
async fn binary_messages_need_not_be_utf_8_to_be_messages() {
    let server = Server::start().await;
    let mut client = server.client("[]").await;
    client.raw(&frame(BINARY, true, b"\xff")).await;
    assert_eq!(client.recv_json().await["code"], "deserialization_failed");
}

#[tokio::test]
async fn a_close_is_answered_with_the_same_code_and_reason() {
    let server = Server::start().await;
    for (payload, answer) in [
        (&b""[..], Frame::Close(1005, String::new())),
        (b"\x03\xe8", Frame::Close(1000, String::new())),
        (b"\x03\xe9bye", Frame::Close(1001, "bye".into())),
        (b"\x0b\xb8", Frame::Close(3000, String::new())),
        (b"\x13\x87", Frame::Close(4999, String::new())),
    ] {
        let mut client = server.client("[]").await;
        client.raw(&frame(CLOSE, true, payload)).await;
        assert_eq!(client.recv().await, answer);
        assert_eq!(client.recv().await, Frame::End);
    }
}

#[tokio::test]
async fn nothing_is_handled_after_a_close() {
    let server = Server::start().await;
    let (mut publisher, mut subscriber) = pair(&server).await;
    let bytes = [
        frame(TEXT, true, &message(1)),
        frame(CLOSE, true, b"\x03\xe8"),
        frame(TEXT, true, &message(2)),
    ];
    publisher.raw(&bytes.concat()).await;
    assert_eq!(publisher.recv().await, Frame::Close(1000, String::new()));
    let mut third = server.client("[]").await;
    third.text(&count("/t", 3)).await;
    assert_eq!(subscriber.recv_text().await, count("/t", 1));
    assert_eq!(subscriber.recv_text().await, count("/t", 3));
}

#[tokio::test]
async fn messages_above_the_limit_are_closed_with_1009() {
    let options = WsOptions { message: 1000, ..WsOptions::default() };
    let server = Server::with(options).await;
    let header = |length: &[u8]| [&[0x81][..], length, &MASK].concat();
    for bytes in [
        frame(TEXT, true, &[b' '; 1001]),
        header(&[0x80 | 126, 0xff, 0xff]),
        header(&[0x80 | 127, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff]),
        header(&[0x80 | 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        [frame(TEXT, false, &[b' '; 600]), frame(0, true, &[b' '; 600])].concat(),
    ] {
        let mut client = server.client("[]").await;
        client.raw(&bytes).await;
        assert_eq!(client.recv_close().await.0, 1009);
    }
    let (mut publisher, mut subscriber) = pair(&server).await;
    let mut longest = message(1);
    longest.resize(1000, b' ');
    publisher.raw(&frame(TEXT, true, &longest)).await;
    assert_eq!(subscriber.recv_text().await, count("/t", 1));
}

#[tokio::test]
async fn the_first_message_obeys_the_same_rules() {
    let server = Server::start().await;
    for (bytes, code) in [
        (frame(TEXT, true, b"\xff"), 1007),
        (frame(0, true, b"[]"), 1002),
        (vec![0x81, 2, b'[', b']'], 1002),
    ] {
        let mut client = server.open().await;
        client.raw(&bytes).await;
        assert_eq!(client.recv_close().await.0, code);
    }
    for bytes in [
        frame(BINARY, true, b"[]"),
        [frame(TEXT, false, b"["), frame(PONG, true, b""), frame(0, true, b"]")].concat(),
    ] {
        let mut client = server.open().await;
        client.raw(&bytes).await;
        assert!(client.recv_text().await.contains("ack"));
    }
}
