//! Private keys protected the way PEM did it first (RFC 1421), which OpenSSL wrote until version 3.

use crate::key::WRONG_PASSPHRASE;
use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit};
use md5::{Digest, Md5};

/// Decrypts the contents of a section whose `DEK-Info` header has the value `cipher`.
pub(crate) fn decrypt(bytes: &[u8], cipher: &str, passphrase: &[u8]) -> Result<Vec<u8>, String> {
    let (name, iv) = cipher.split_once(',').ok_or("its DEK-Info header is not readable")?;
    let iv = hex(iv.trim()).ok_or("the IV in its DEK-Info header is not readable")?;
    let plain = match name.trim() {
        "DES-EDE3-CBC" => decrypt_with::<Decryptor<des::TdesEde3>>(bytes, &iv, passphrase),
        "AES-128-CBC" => decrypt_with::<Decryptor<aes::Aes128>>(bytes, &iv, passphrase),
        "AES-192-CBC" => decrypt_with::<Decryptor<aes::Aes192>>(bytes, &iv, passphrase),
        "AES-256-CBC" => decrypt_with::<Decryptor<aes::Aes256>>(bytes, &iv, passphrase),
        other => {
            return Err(format!(
                "it is protected with {other}, which is not supported; convert it with `openssl pkcs8 \
                 -topk8 -v2 aes256 -in OLD -out NEW`"
            ));
        }
    };
    // Both a key and the padding of the last block look right by chance once in some ten thousand
    // wrong passphrases; what is inside is then no key.
    plain.filter(|key| key.first() == Some(&0x30)).ok_or_else(|| WRONG_PASSPHRASE.to_owned())
}

fn decrypt_with<D: BlockModeDecrypt + KeyIvInit>(
    bytes: &[u8],
    iv: &[u8],
    passphrase: &[u8],
) -> Option<Vec<u8>> {
    let key = derive(passphrase, iv.get(..8)?, D::key_size());
    D::new_from_slices(&key, iv).ok()?.decrypt_padded_vec::<Pkcs7>(bytes).ok()
}

/// OpenSSL's `EVP_BytesToKey` with MD5 and one round; the salt is the start of the IV.
fn derive(passphrase: &[u8], salt: &[u8], length: usize) -> Vec<u8> {
    let mut key = Vec::new();
    let mut last = Vec::new();
    while key.len() < length {
        last = Md5::new()
            .chain_update(&last)
            .chain_update(passphrase)
            .chain_update(salt)
            .finalize()
            .to_vec();
        key.extend_from_slice(&last);
    }
    key.truncate(length);
    key
}

fn hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}
