//! What the fuzzer of anonymous TLS runs.

use super::keys::{Entropy, Recorded};
use super::{AnonymousConnection, AnonymousStatus, Error, Hello, inspect};
use broker_proto::fuzzing::Input;
use rustls::CipherSuite;
use std::io::IoSlice;

/// Strangers are understood the same in whatever pieces their bytes come, or refused with an alert;
/// so is a peer that has the keys; data arrives as it was sent; a listener makes up its mind once.
///
/// # Panics
///
/// The input breaks one of these rules.
pub fn anonymous_tls(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.below(5) {
        0 => stranger(true, input),
        1 => stranger(false, input),
        2 => peer(input),
        3 => exchange(input),
        _ => listener(input.rest()),
    }
}

/// What a connection made of what it was fed with.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    plain: Vec<u8>,
    output: Vec<u8>,
    status: Option<Result<AnonymousStatus, Error>>,
}

impl Outcome {
    fn feed(&mut self, connection: &mut AnonymousConnection, mut bytes: &[u8]) {
        loop {
            let room = connection.room();
            assert!(room.len() <= 1 << 16, "more room than anybody needs");
            let piece = bytes.split_off(..room.len().min(bytes.len())).unwrap_or_default();
            room.iter_mut().zip(piece).for_each(|(to, from)| *to = *from);
            connection.arrived(piece.len());
            let mut status = connection.process();
            while status == Ok(AnonymousStatus::Data) {
                self.plain.extend_from_slice(connection.plaintext());
                connection.consume(connection.plaintext().len());
                status = connection.process();
            }
            self.status = Some(status);
            if bytes.is_empty() || self.status != Some(Ok(AnonymousStatus::Input)) {
                break;
            }
        }
        self.output.extend_from_slice(connection.output());
        connection.sent(connection.output().len());
    }
}

/// A side with the choices of a recorded handshake, and what a stranger sends to it.
fn stranger(is_client: bool, mut input: Input<'_>) {
    let [random, public, premaster, sizes] = [(); 4].map(|()| input.string().to_vec());
    let stream = input.rest();
    let side = || {
        let (public, premaster) = (public.clone(), premaster.clone());
        // No key exchange makes more than the 48 bytes of P-384.
        let premaster = premaster.into_iter().take(48).collect();
        let entropy =
            Entropy::Recorded(Recorded { bytes: random.clone().into(), public, premaster });
        if is_client {
            AnonymousConnection::client_with(entropy).ok()
        } else {
            Some(AnonymousConnection::server_with(entropy))
        }
    };
    let (Some(mut whole), Some(mut cut)) = (side(), side()) else { return };
    let (mut expected, mut outcome) = (Outcome::default(), Outcome::default());
    expected.feed(&mut whole, stream);
    let mut rest = stream;
    let mut sizes = sizes.iter().cycle().map(|size| 1 + usize::from(*size));
    while !rest.is_empty() {
        let size = sizes.next().unwrap_or(1).min(rest.len());
        outcome.feed(&mut cut, rest.split_off(..size).unwrap_or_default());
        cut.release();
    }
    outcome.feed(&mut cut, &[]);
    assert_eq!(outcome, expected);
    if let Some(Err(Error::Refused { alert, .. })) = &outcome.status {
        let sealed = cut.is_sealing();
        let last = outcome.output.len().saturating_sub(2);
        assert!(sealed || outcome.output.get(last..) == Some(&[2, u8::from(*alert)]));
    }
}

/// Two sides that have met.
fn pair() -> Option<(AnonymousConnection, AnonymousConnection)> {
    let side = || {
        let (public, premaster) = (vec![9; 32], vec![7; 32]);
        Entropy::Recorded(Recorded { bytes: (0..=255).collect(), public, premaster })
    };
    let mut client = AnonymousConnection::client_with(side()).ok()?;
    let mut server = AnonymousConnection::server_with(side());
    let (mut of_client, mut of_server) = (Outcome::default(), Outcome::default());
    while !client.is_established() || !server.is_established() {
        of_client.feed(&mut client, &std::mem::take(&mut of_server.output));
        of_server.feed(&mut server, &std::mem::take(&mut of_client.output));
        assert_eq!(of_server.status, Some(Ok(AnonymousStatus::Input)));
    }
    Some((client, server))
}

/// A peer that has the keys and sends records of any kind.
fn peer(mut input: Input<'_>) {
    let Some((mut client, mut server)) = pair() else { return };
    if input.below(2) == 0 {
        std::mem::swap(&mut client, &mut server);
    }
    let mut outcome = Outcome::default();
    let mut sent = Vec::new();
    while !input.is_empty() && outcome.status.as_ref().is_none_or(Result::is_ok) {
        let (kind, body) = (20 + input.below(4) as u8, input.string());
        let sealed = client.sealed(kind, body);
        let before = outcome.plain.len();
        outcome.feed(&mut server, &sealed);
        if kind == 23 && outcome.plain.len() > before {
            sent.extend_from_slice(body);
        }
    }
    assert_eq!(outcome.plain, sent);
    // Whatever has happened, what was sent back is understood.
    let mut back = Outcome::default();
    back.feed(&mut client, &outcome.output);
    let broken = matches!(back.status, Some(Err(Error::Refused { .. })));
    let flooded = outcome.output.len() > 32 * 57;
    assert!(!broken || flooded, "{back:?}");
}

/// Data both ways, and an end.
fn exchange(mut input: Input<'_>) {
    let Some((client, server)) = pair() else { return };
    let mut sides =
        [(client, Outcome::default(), Vec::new()), (server, Outcome::default(), Vec::new())];
    let mut total = 0;
    while !input.is_empty() && total < 200_000 {
        let from = input.below(2);
        let (length, fill) = (usize::from(input.u16()), input.u8());
        let data = vec![fill; length];
        total += length;
        let [one, other] = &mut sides;
        let (from, to) = if from == 0 { (one, other) } else { (other, one) };
        let halves = data.split_at(length / 3);
        assert_eq!(from.0.send(&[IoSlice::new(halves.0), IoSlice::new(halves.1)]), Ok(length));
        from.2.extend_from_slice(&data);
        let mut output = std::mem::take(&mut from.1.output);
        output.extend_from_slice(from.0.output());
        from.0.sent(from.0.output().len());
        to.1.feed(&mut to.0, &output);
    }
    let [one, other] = &mut sides;
    assert!(one.1.plain == other.2 && other.1.plain == one.2, "data that is not what was sent");
    one.0.close();
    let end = one.0.output().to_vec();
    one.0.sent(end.len());
    other.1.feed(&mut other.0, &end);
    assert_eq!(other.1.status, Some(Ok(AnonymousStatus::Closed)));
    other.0.close();
    other.1.feed(&mut other.0, &[]);
    one.1.feed(&mut one.0, &std::mem::take(&mut other.1.output));
    assert_eq!(one.1.status, Some(Ok(AnonymousStatus::Closed)));
}

/// More bytes do not change what a client was taken for.
fn listener(bytes: &[u8]) {
    let others = [CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384];
    let mut before = Hello::Incomplete;
    let step = 1 + bytes.len() / 256;
    for end in (0..bytes.len()).step_by(step).chain([bytes.len()]) {
        let now = inspect(bytes.get(..end).unwrap_or_default(), &others);
        assert!(before == Hello::Incomplete || now == before, "{before:?}, then {now:?}");
        before = now;
    }
}
