//! Certificates from PEM files.

use crate::TlsError;
use rustls::pki_types::CertificateDer;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Files larger than this are not what they are said to be. The bundles that systems come with have
/// a few hundred kilobytes.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// The bytes of a regular file; `what` says what it should hold, as in "the key".
pub(crate) fn read(what: &str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |reason: String| {
        TlsError::new(format!("{what} cannot be read from {}: {reason}", path.display()))
    };
    let mut bytes = Vec::new();
    let file = open(path).map_err(|error| failed(error.to_string()))?;
    if !file.metadata().is_ok_and(|about| about.is_file()) {
        return Err(failed("it is not a regular file".to_owned()));
    }
    // The file may grow meanwhile.
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| failed(error.to_string()))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(failed(format!("more than {MAX_FILE} bytes are too many for a PEM file")));
    }
    Ok(bytes)
}

/// Opens a file without waiting: a pipe would wait for somebody who writes to it.
fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        &mut options,
        rustix::fs::OFlags::NONBLOCK.bits().cast_signed(),
    );
    options.open(path)
}

/// The sections of a PEM file.
pub(crate) fn sections(what: &str, path: &Path) -> Result<Vec<pem::Pem>, TlsError> {
    parse(what, path, &read(what, path)?)
}

/// The sections in `text`, each of which has to be whole: a file that somebody is still writing
/// looks like one with fewer sections.
fn parse(what: &str, path: &Path, text: &[u8]) -> Result<Vec<pem::Pem>, TlsError> {
    let wrong = |reason: String| {
        Err(TlsError::new(format!("{what} in {} is not a PEM file: {reason}", path.display())))
    };
    let (begun, ended) = (count(text, b"-----BEGIN "), count(text, b"-----END "));
    if begun == 0 && text.first() == Some(&DER_SEQUENCE) {
        return wrong(format!(
            "it seems to be DER; convert it with `openssl {} -inform der -in {} -out FILE`",
            if what == "the key" { "pkey" } else { "x509" },
            path.display()
        ));
    }
    match pem::parse_many(text) {
        Ok(sections) if sections.len() == begun && begun == ended => Ok(sections),
        Ok(sections) => wrong(format!(
            "only {} of its {} sections are whole, as if it were cut off or half written",
            sections.len(),
            begun.max(ended)
        )),
        Err(error) => wrong(error.to_string()),
    }
}

/// The first byte of everything in DER that could be meant.
const DER_SEQUENCE: u8 = 0x30;

fn count(text: &[u8], mark: &[u8]) -> usize {
    text.windows(mark.len()).filter(|window| *window == mark).count()
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

/// The certificates in the files of a directory, each with the file it is in. Files that seem to be
/// meant for it and hold nothing readable are added to `warnings`.
pub(crate) fn certificates_in_directory(
    what: &str,
    path: &Path,
    warnings: &mut Vec<String>,
) -> Result<Vec<(PathBuf, CertificateDer<'static>)>, TlsError> {
    let mut found = Vec::new();
    for file in files_in(path).map_err(|error| {
        TlsError::new(format!("{what} cannot be read from {}: {error}", path.display()))
    })? {
        let text = read(what, &file)?;
        // Directories of CAs also hold revocation lists and notes for people.
        if count(&text, b"-----BEGIN CERTIFICATE-----") > 0 {
            let sections = parse(what, &file, &text)?;
            found.extend(only_certificates(sections).into_iter().map(|der| (file.clone(), der)));
        } else if is_called_certificate(&file) {
            match parse(what, &file, &text) {
                Ok(sections) if sections.is_empty() => warnings.push(format!(
                    "{what}: no certificate is in {}, which is passed over",
                    file.display()
                )),
                Ok(_) => {}
                Err(error) => warnings.push(format!("{error}; the file is passed over")),
            }
        }
    }
    if found.is_empty() {
        let mut detail = format!("{what}: no certificate is in any file of {}", path.display());
        for warning in warnings {
            detail = format!("{detail}; {warning}");
        }
        return Err(TlsError::new(detail));
    }
    Ok(found)
}

fn is_called_certificate(file: &Path) -> bool {
    let extension = file.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| {
        ["pem", "crt", "cer", "cert", "der"]
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known))
    })
}

/// The regular files of a directory (links to them included), in the order of their names.
pub(crate) fn files_in(path: &Path) -> io::Result<Vec<PathBuf>> {
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
