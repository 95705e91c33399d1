//! Certificates from PEM files.

use crate::TlsError;
use rustls::pki_types::CertificateDer;
use std::fs;
use std::path::{Path, PathBuf};

/// Files larger than this are not what they are said to be. The bundles that systems come with have
/// a few hundred kilobytes.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// The octets of a file; `what` says what it should hold, as in "the key".
pub(crate) fn read(what: &str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |reason: String| {
        TlsError::new(format!("{what} cannot be read from {}: {reason}", path.display()))
    };
    let length = fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if length > MAX_FILE {
        return Err(failed(format!("{length} octets are too many for a PEM file")));
    }
    fs::read(path).map_err(|error| failed(error.to_string()))
}

/// The sections of a PEM file.
pub(crate) fn sections(what: &str, path: &Path) -> Result<Vec<pem::Pem>, TlsError> {
    pem::parse_many(read(what, path)?).map_err(|error| not_pem(what, path, &error))
}

fn not_pem(what: &str, path: &Path, error: &pem::PemError) -> TlsError {
    TlsError::new(format!("{what} in {} is not a PEM file: {error}", path.display()))
}

/// The certificates in a PEM file, of which there is at least one.
pub(crate) fn certificates(
    what: &str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = only_certificates(sections(what, path)?);
    if found.is_empty() {
        let detail = format!("{what}: no certificate is in {}", path.display());
        return Err(TlsError::new(detail));
    }
    Ok(found)
}

fn only_certificates(sections: Vec<pem::Pem>) -> Vec<CertificateDer<'static>> {
    sections
        .into_iter()
        .filter(|section| matches!(section.tag(), "CERTIFICATE" | "X509 CERTIFICATE"))
        .map(|section| CertificateDer::from(section.into_contents()))
        .collect()
}

/// The certificates in the files of a directory, each with the file it is in.
pub(crate) fn certificates_in_directory(
    what: &str,
    path: &Path,
) -> Result<Vec<(PathBuf, CertificateDer<'static>)>, TlsError> {
    let mut found = Vec::new();
    for file in files_in(path).map_err(|error| {
        TlsError::new(format!("{what} cannot be read from {}: {error}", path.display()))
    })? {
        let text = read(what, &file)?;
        // Directories of CAs also hold revocation lists and notes for people.
        if !text.windows(MARK.len()).any(|window| window == MARK) {
            continue;
        }
        let sections = pem::parse_many(text).map_err(|error| not_pem(what, &file, &error))?;
        found.extend(only_certificates(sections).into_iter().map(|der| (file.clone(), der)));
    }
    if found.is_empty() {
        let detail = format!("{what}: no certificate is in any file of {}", path.display());
        return Err(TlsError::new(detail));
    }
    Ok(found)
}

const MARK: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// The regular files of a directory (links to them included), in the order of their names.
pub(crate) fn files_in(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let file = entry?.path();
        if file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}
