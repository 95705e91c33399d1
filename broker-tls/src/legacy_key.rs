//! Private keys protected the way PEM did it first (RFC 1421, the header `DEK-Info`).
//!
//! Who needs it: sites whose keys were made with `openssl genrsa -aes256`, `openssl ec -aes256` and
//! the like before OpenSSL 3, whose endpoints of the C++ Broker go on reading them.
//!
//! What it risks: the passphrase becomes a key by one round of MD5, so whoever gets the file tries
//! passphrases at billions a second, and nothing shows that the file has been changed. It is no
//! danger to anybody who does not get the file.

use crate::errors::WRONG_PASSPHRASE;
use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit};
use data_encoding::HEXLOWER_PERMISSIVE;
use md5::{Digest, Md5};

/// What the log says of such a key, behind its file.
pub(crate) const USED: &str = "is protected by the legacy encryption of PEM, which passphrases are \
    quickly guessed from, and is accepted; convert it with `openssl pkcs8 -topk8 -v2 aes256 -in \
    OLD -out NEW` (strict refuses it)";

/// Why such a key is refused.
pub(crate) const REFUSED: &str = "it is protected by the legacy encryption of PEM, which the \
    option strict refuses because passphrases are quickly guessed from it; convert it with \
    `openssl pkcs8 -topk8 -v2 aes256 -in OLD -out NEW`";

/// Decrypts the contents of a section whose `DEK-Info` header has the value `cipher`.
pub(crate) fn decrypt(bytes: &[u8], cipher: &str, passphrase: &[u8]) -> Result<Vec<u8>, String> {
    let (name, iv) = cipher.split_once(',').ok_or("its DEK-Info header is not readable")?;
    let iv = HEXLOWER_PERMISSIVE.decode(iv.trim().as_bytes());
    let iv = iv.map_err(|_| "the IV in its DEK-Info header is not readable")?;
    let plain = match name.trim() {
        "DES-EDE3-CBC" => decrypt_with::<Decryptor<des::TdesEde3>>(bytes, &iv, passphrase),
        "AES-128-CBC" => decrypt_with::<Decryptor<aes::Aes128>>(bytes, &iv, passphrase),
        "AES-192-CBC" => decrypt_with::<Decryptor<aes::Aes192>>(bytes, &iv, passphrase),
        "AES-256-CBC" => decrypt_with::<Decryptor<aes::Aes256>>(bytes, &iv, passphrase),
        other => {
            return Err(format!(
                "it is protected with {other}, which is not supported; convert it with `openssl \
                 pkcs8 -topk8 -v2 aes256 -in OLD -out NEW`"
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
