//! X.509 version 1, which no library writes any more: version 3 without the parts it added.

use rcgen::{KeyPair, SigningKey};

/// The certificate in `der` as one of version 1, signed again by `key`.
pub fn downgrade(der: &[u8], key: &KeyPair) -> Vec<u8> {
    let (_, certificate, _) = element(der);
    let (_, body, rest) = element(certificate);
    let (_, _, after_algorithm) = element(rest);
    let algorithm = &rest[..rest.len() - after_algorithm.len()];

    let mut kept = Vec::new();
    let mut fields = body;
    while !fields.is_empty() {
        let (tag, _, others) = element(fields);
        // The context tags are those of the version and of the extensions.
        if tag & 0xc0 != 0x80 {
            kept.extend_from_slice(&fields[..fields.len() - others.len()]);
        }
        fields = others;
    }
    let body = wrap(0x30, &kept);
    let mut signature = vec![0];
    signature.extend(key.sign(&body).unwrap());
    wrap(0x30, &[&body, algorithm, &wrap(0x03, &signature)].concat())
}

/// Tag and contents of the first element, and what follows it.
fn element(der: &[u8]) -> (u8, &[u8], &[u8]) {
    let (header, length) = match der[1] {
        short @ ..0x80 => (2, usize::from(short)),
        long => {
            let count = usize::from(long & 0x7f);
            let bytes = &der[2..2 + count];
            (2 + count, bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
        }
    };
    (der[0], &der[header..header + length], &der[header + length..])
}

fn wrap(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = u16::try_from(contents.len()).unwrap();
    let mut der = vec![tag, 0x82];
    der.extend_from_slice(&length.to_be_bytes());
    // The short forms are the only ones allowed for short contents.
    match contents.len() {
        short @ ..0x80 => {
            der.truncate(1);
            der.push(short as u8);
        }
        short @ 0x80..0x100 => {
            der.truncate(1);
            der.extend([0x81, short as u8]);
        }
        _ => {}
    }
    der.extend_from_slice(contents);
    der
}
