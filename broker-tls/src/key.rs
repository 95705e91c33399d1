//! Keys: which kinds can be used, and the private one of an endpoint from all the forms in which
//! OpenSSL writes it.

use crate::errors::WRONG_PASSPHRASE;
use crate::{Passphrase, TlsError, files, legacy_key};
use pkcs8::EncryptedPrivateKeyInfoRef;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};
use std::path::Path;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521,
    OID_PKCS1_RSAENCRYPTION, OID_PKCS1_RSASSAPSS, OID_SIG_ED448, OID_SIG_ED25519,
};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// A key from a file.
pub(crate) struct Loaded {
    pub(crate) key: PrivateKeyDer<'static>,
    /// What is odd about the file.
    pub(crate) warning: Option<String>,
}

/// Reads the only private key of a PEM file. One in the legacy encryption of PEM comes with a
/// warning, or is refused if that is to be `strict`.
pub(crate) fn load(
    path: &Path,
    passphrase: Option<&Passphrase>,
    strict: bool,
) -> Result<Loaded, TlsError> {
    let sections = files::sections("the key", path)?;
    let mut keys = sections.iter().filter(|section| section.tag().ends_with("PRIVATE KEY"));
    let Some(key) = keys.next() else {
        let detail = format!("the key: no private key is in {}", path.display());
        return Err(TlsError::new(detail));
    };
    if keys.next().is_some() {
        let detail = format!("the key: more than one private key is in {}", path.display());
        return Err(TlsError::new(detail));
    }
    let unusable = |reason: String| {
        TlsError::new(format!("the key in {} cannot be used: {reason}", path.display()))
    };
    let legacy = key.headers().get("DEK-Info").is_some();
    if legacy && strict {
        return Err(unusable(legacy_key::REFUSED.to_owned()));
    }
    let warning = legacy.then(|| format!("the key in {} {}", path.display(), legacy_key::USED));
    Ok(Loaded { key: decode(key, passphrase).map_err(unusable)?, warning })
}

fn decode(
    section: &pem::Pem,
    passphrase: Option<&Passphrase>,
) -> Result<PrivateKeyDer<'static>, String> {
    let protected =
        section.tag() == "ENCRYPTED PRIVATE KEY" || section.headers().get("DEK-Info").is_some();
    let bytes = match (protected, passphrase) {
        (false, _) => section.contents().to_vec(),
        (true, None) => {
            return Err("it is protected, and no passphrase is set (option passphrase, or \
                        BROKER_TLS_PASSPHRASE for broker-cli)"
                .to_owned());
        }
        (true, Some(passphrase)) => match section.headers().get("DEK-Info") {
            Some(cipher) => legacy_key::decrypt(section.contents(), cipher, passphrase.as_bytes())?,
            None => decrypt_pkcs8(section.contents(), passphrase)?,
        },
    };
    match section.tag() {
        "PRIVATE KEY" | "ENCRYPTED PRIVATE KEY" => Ok(PrivatePkcs8KeyDer::from(bytes).into()),
        "RSA PRIVATE KEY" => Ok(PrivatePkcs1KeyDer::from(bytes).into()),
        "EC PRIVATE KEY" => Ok(PrivateSec1KeyDer::from(bytes).into()),
        other => Err(format!("{other:?} is not a supported kind, only RSA, ECDSA and Ed25519 are")),
    }
}

fn decrypt_pkcs8(bytes: &[u8], passphrase: &Passphrase) -> Result<Vec<u8>, String> {
    use pkcs8::pkcs5::Error as Cause;
    let key = EncryptedPrivateKeyInfoRef::try_from(bytes)
        .map_err(|error| format!("its protection is not readable ({error})"))?;
    match key.decrypt(passphrase.as_bytes()) {
        Ok(plain) => Ok(plain.as_bytes().to_vec()),
        Err(pkcs8::Error::EncryptedPrivateKey(
            error @ (Cause::UnsupportedAlgorithm { .. } | Cause::NoPbes1CryptSupport),
        )) => Err(format!(
            "it is protected in an unsupported way ({error}); convert it with `openssl pkcs8 \
             -topk8 -v2 aes256 -in OLD -out NEW`"
        )),
        Err(_) => Err(WRONG_PASSPHRASE.to_owned()),
    }
}

/// What the key is, if its signatures cannot be checked here.
pub(crate) fn unusable_kind(key: &SubjectPublicKeyInfo<'_>) -> Option<String> {
    let kind = &key.algorithm.algorithm;
    if *kind == OID_KEY_TYPE_EC_PUBLIC_KEY {
        let curve = key.algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok());
        return match curve {
            Some(curve) if curve == OID_EC_P256 || curve == OID_NIST_EC_P384 => None,
            Some(curve) if curve == OID_NIST_EC_P521 => Some("ECDSA with P-521".to_owned()),
            Some(curve) if curve.to_id_string() == SECP256K1 => {
                Some("ECDSA with secp256k1".to_owned())
            }
            Some(curve) => Some(format!("ECDSA with the curve {curve}")),
            None => Some("ECDSA with a curve without a name".to_owned()),
        };
    }
    if *kind == OID_PKCS1_RSAENCRYPTION {
        let Ok(PublicKey::RSA(key)) = key.parsed() else { return Some("RSA".to_owned()) };
        let bits = key.key_size();
        return (!(2048..=8192).contains(&bits)).then(|| format!("RSA with {bits} bits"));
    }
    if *kind == OID_SIG_ED25519 {
        return None;
    }
    Some(if *kind == OID_SIG_ED448 {
        "Ed448".to_owned()
    } else if *kind == OID_PKCS1_RSASSAPSS {
        "RSA for PSS alone".to_owned()
    } else {
        format!("of the kind {kind}")
    })
}

const SECP256K1: &str = "1.3.132.0.10";
