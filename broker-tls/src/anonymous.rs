//! Encryption between endpoints without certificates.
//!
//! Whoever dials verifies nothing, so whoever accepts can present a certificate that it makes up.
//! With that TLS 1.3 does, which the C++ Broker speaks as well when it dials.

use crate::TlsError;
use crate::self_signed::SelfSigned;

/// Makes a certificate for this process alone, with the curve that dialling endpoints of the
/// C++ Broker are limited to.
pub(crate) fn throwaway() -> Result<SelfSigned, TlsError> {
    SelfSigned::generate("Broker endpoint without certificate", &rcgen::PKCS_ECDSA_P384_SHA384)
}
