//! Records (RFC 5246, section 6) protected by AES-256-CBC, then HMAC-SHA1 over what came of it (RFC
//! 7366).
//!
//! Both happen in the buffer that the record is in.

use super::keys::{DirectionKeys, padded};
use super::{AnonymousError, VERSION, refused};
use aes::Aes256;
use cbc::cipher::array::Array;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit, SetIvState};
use cbc::{Decryptor, Encryptor};
use hmac::{Hmac, KeyInit, Mac};
use rustls::AlertDescription as Alert;
use sha1::Sha1;
use std::ops::Range;

/// The bytes of type, version and length.
pub(super) const HEADER: usize = 5;

/// The most plaintext that a record may have.
pub(super) const PLAIN_MAX: usize = 1 << 14;

/// The longest body that a protected record may have.
pub(super) const SEALED_MAX: usize = PLAIN_MAX + 2048;

const IV: usize = 16;
const BLOCK: usize = 16;
const TAG: usize = 20;

/// What a record carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    ChangeCipherSpec = 20,
    Alert = 21,
    Handshake = 22,
    Data = 23,
}

impl Kind {
    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        [Self::ChangeCipherSpec, Self::Alert, Self::Handshake, Self::Data]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

fn header(kind: Kind, version: [u8; 2], length: usize) -> [u8; HEADER] {
    // No record is longer than `SEALED_MAX`.
    let [high, low] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    [kind as u8, version[0], version[1], high, low]
}

/// Appends a record without protection.
pub(super) fn write_plain(kind: Kind, version: [u8; 2], body: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&header(kind, version, body.len()));
    out.extend_from_slice(body);
}

/// The MAC of one direction, which counts the records.
struct Authenticator {
    keyed: Hmac<Sha1>,
    sequence: u64,
}

impl Authenticator {
    fn new(key: &[u8; TAG]) -> Self {
        let keyed = <Hmac<Sha1> as KeyInit>::new(Array::cast_from_core(&padded(key)));
        Self { keyed, sequence: 0 }
    }

    /// The MAC over the next record, whose body without the MAC is `sealed`.
    fn next(&mut self, kind: Kind, sealed: &[u8]) -> Result<Hmac<Sha1>, AnonymousError> {
        let sequence = self.sequence;
        let Some(next) = sequence.checked_add(1) else {
            return refused(Alert::InternalError, "no sequence numbers are left");
        };
        self.sequence = next;
        let mut mac = self.keyed.clone();
        mac.update(&sequence.to_be_bytes());
        mac.update(&header(kind, VERSION, sealed.len()));
        mac.update(sealed);
        Ok(mac)
    }
}

/// Protects the records of one direction.
pub(super) struct Sealer {
    cipher: Encryptor<Aes256>,
    authenticator: Authenticator,
}

impl Sealer {
    pub(super) fn new(keys: &DirectionKeys) -> Self {
        let cipher = Encryptor::new(Array::cast_from_core(&keys.cipher), &Array::from([0; IV]));
        Self { cipher, authenticator: Authenticator::new(&keys.mac) }
    }

    /// Begins a record at the end of `out`, behind which its plaintext is then appended. The IV has
    /// to be unpredictable for the other side.
    pub(super) fn begin(iv: [u8; IV], out: &mut Vec<u8>) -> usize {
        let start = out.len();
        out.extend_from_slice(&[0; HEADER]);
        out.extend_from_slice(&iv);
        start
    }

    /// Protects the record that was begun at `start`; at most [`PLAIN_MAX`] bytes have been
    /// appended since then.
    pub(super) fn finish(
        &mut self,
        kind: Kind,
        start: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), AnonymousError> {
        let plain = out.len() - start - HEADER - IV;
        let padding = BLOCK - plain % BLOCK;
        out.resize(out.len() + padding, (padding - 1) as u8);
        let Some((head, sealed)) =
            out.get_mut(start..).and_then(|record| record.split_first_chunk_mut::<HEADER>())
        else {
            return refused(Alert::InternalError, "a record was not begun");
        };
        *head = header(kind, VERSION, sealed.len() + TAG);
        if let Some((iv, blocks)) = sealed.split_first_chunk_mut::<IV>() {
            self.cipher.set_iv(&Array::from(*iv));
            self.cipher.encrypt_blocks(Array::slice_as_chunks_mut(blocks).0);
        }
        let tag = self.authenticator.next(kind, sealed)?.finalize().into_bytes();
        out.extend_from_slice(&tag);
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn set_sequence(&mut self, sequence: u64) {
        self.authenticator.sequence = sequence;
    }
}

/// Checks and decrypts the records of one direction.
pub(super) struct Opener {
    cipher: Decryptor<Aes256>,
    authenticator: Authenticator,
}

impl Opener {
    pub(super) fn new(keys: &DirectionKeys) -> Self {
        let cipher = Decryptor::new(Array::cast_from_core(&keys.cipher), &Array::from([0; IV]));
        Self { cipher, authenticator: Authenticator::new(&keys.mac) }
    }

    /// Opens a record in place and returns where in `body` its plaintext is.
    pub(super) fn open(
        &mut self,
        kind: Kind,
        body: &mut [u8],
    ) -> Result<Range<usize>, AnonymousError> {
        const MAC: &str = "what arrived was not sealed by the other side of this connection";
        let split = body.len().saturating_sub(TAG);
        let (sealed, tag) = body.split_at_mut(split);
        if sealed.len() < IV + BLOCK || !sealed.len().is_multiple_of(BLOCK) {
            return refused(Alert::BadRecordMac, MAC);
        }
        // Compares in constant time.
        if self.authenticator.next(kind, sealed)?.verify_slice(tag).is_err() {
            return refused(Alert::BadRecordMac, MAC);
        }
        let Some((iv, blocks)) = sealed.split_first_chunk_mut::<IV>() else {
            return refused(Alert::BadRecordMac, MAC);
        };
        self.cipher.set_iv(&Array::from(*iv));
        self.cipher.decrypt_blocks(Array::slice_as_chunks_mut(blocks).0);
        // The other side itself has written the padding, so this tells nobody anything.
        let last = blocks.last().copied().unwrap_or_default();
        let Some(length) = blocks.len().checked_sub(usize::from(last) + 1) else {
            return refused(Alert::BadRecordMac, "the padding is longer than its record");
        };
        if blocks.get(length..).unwrap_or_default().iter().any(|byte| *byte != last) {
            return refused(Alert::BadRecordMac, "the padding of a record is wrong");
        }
        if length > PLAIN_MAX {
            return refused(Alert::RecordOverflow, "a record has more plaintext than it may");
        }
        Ok(IV..IV + length)
    }

    #[cfg(test)]
    pub(super) fn set_sequence(&mut self, sequence: u64) {
        self.authenticator.sequence = sequence;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> DirectionKeys {
        let mut keys = DirectionKeys::default();
        keys.mac.fill(1);
        keys.cipher.fill(2);
        keys
    }

    /// The body of a record whose plaintext with its padding is `padded`.
    fn body(padded: &[u8]) -> Vec<u8> {
        let Sealer { mut cipher, mut authenticator } = Sealer::new(&keys());
        let mut body = vec![0; IV];
        body.extend_from_slice(padded);
        cipher.encrypt_blocks(Array::slice_as_chunks_mut(&mut body[IV..]).0);
        let tag = authenticator.next(Kind::Data, &body).unwrap().finalize().into_bytes();
        body.extend_from_slice(&tag);
        body
    }

    fn opened(padded: &[u8]) -> Result<Vec<u8>, Alert> {
        let mut body = body(padded);
        match Opener::new(&keys()).open(Kind::Data, &mut body) {
            Ok(range) => Ok(body[range].to_vec()),
            Err(AnonymousError::Refused { alert, .. }) => Err(alert),
            Err(other) => unreachable!("{other}"),
        }
    }

    #[test]
    fn padding_of_every_length_is_understood_and_none_that_is_wrong() {
        for padding in 0..=255_u8 {
            let length = (16 - (usize::from(padding) + 1) % 16) % 16;
            let mut plain = vec![b'x'; length];
            plain.resize(length + usize::from(padding) + 1, padding);
            assert_eq!(opened(&plain), Ok(vec![b'x'; length]), "{padding}");
            for at in length..plain.len() - 1 {
                let mut wrong = plain.clone();
                wrong[at] ^= 1;
                assert_eq!(opened(&wrong), Err(Alert::BadRecordMac), "{padding} at {at}");
            }
        }
        assert_eq!(opened(&[16; 16]), Err(Alert::BadRecordMac), "longer than the record");
    }

    #[test]
    fn plaintext_above_the_limit_is_refused_even_in_a_record_that_is_not_too_long() {
        let padded = |length: usize| {
            let padding = 16 - length % 16;
            let mut plain = vec![b'x'; length];
            plain.resize(length + padding, padding as u8 - 1);
            plain
        };
        assert_eq!(opened(&padded(PLAIN_MAX)).map(|plain| plain.len()), Ok(PLAIN_MAX));
        assert_eq!(opened(&padded(PLAIN_MAX + 1)), Err(Alert::RecordOverflow));
    }

    #[test]
    fn a_body_of_any_other_length_than_blocks_and_a_mac_is_refused() {
        let body = body(&[15; 16]);
        for length in 0..body.len() {
            let mut short = body[..length].to_vec();
            let outcome = Opener::new(&keys()).open(Kind::Data, &mut short);
            assert!(
                matches!(outcome, Err(AnonymousError::Refused { alert: Alert::BadRecordMac, .. })),
                "{length}"
            );
        }
    }
}
