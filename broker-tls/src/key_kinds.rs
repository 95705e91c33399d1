//! Which kinds of keys can be used, and what the others are called.

use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521,
    OID_PKCS1_RSAENCRYPTION, OID_PKCS1_RSASSAPSS, OID_SIG_ED448, OID_SIG_ED25519,
};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// The kinds of keys whose signatures can be checked, for messages.
pub(crate) const USABLE: &str =
    "RSA from 2048 to 8192 bits, ECDSA with P-256 or P-384, and Ed25519";

/// The kinds of keys that can sign, for messages.
pub(crate) const USABLE_AS_OWN: &str =
    "RSA from 2048 to 4096 bits, ECDSA with P-256 or P-384, and Ed25519";

/// What the key is, if its signatures cannot be checked here.
pub(crate) fn unusable(key: &SubjectPublicKeyInfo<'_>) -> Option<String> {
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
