use crate::{TlsOptions, files};
use std::path::PathBuf;
use std::time::SystemTime;

/// What tells whether the files of the options have changed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stamps(Vec<(PathBuf, Option<(SystemTime, u64)>)>);

impl Stamps {
    pub(crate) fn of(options: &TlsOptions) -> Self {
        let named = [&options.certificate, &options.key, &options.ca_file, &options.self_signed];
        let mut files: Vec<PathBuf> = named.into_iter().flatten().cloned().collect();
        if let Some(directory) = &options.ca_dir {
            files.extend(files::files_in(directory).unwrap_or_default());
        }
        let stamp = |file: &PathBuf| {
            let about = file.metadata().ok()?;
            Some((about.modified().ok()?, about.len()))
        };
        Self(files.into_iter().map(|file| (file.clone(), stamp(&file))).collect())
    }
}
