//! Certificates that are replaced while they are in use.
//!
//! Files are looked at by a timer, and when [`Tls::reload`] says so; never by a connection, which
//! takes what has been read last.

use super::Shared;
use crate::material::Material;
use crate::x509::Usage;
use crate::{Tls, TlsError, TlsOptions, files};
use parking_lot::Mutex;
use rustls::pki_types::UnixTime;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(2);

/// What has been read last, and what became of it.
pub(crate) struct Reload {
    stamps: Stamps,
    error: Option<TlsError>,
    /// When certificates that were not valid yet become so, to be looked at again.
    valid_from: Option<UnixTime>,
}

impl Reload {
    /// The state after the first reading, before which `stamps` were taken.
    pub(crate) fn new(stamps: Stamps) -> Self {
        Self { stamps, error: None, valid_from: None }
    }
}

impl Tls {
    /// Has the files looked at every two seconds, and read again if they have changed, until the
    /// last clone of this is dropped or the runtime ends. Transports call this when they listen and
    /// dial; a call while the timer runs costs next to nothing.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with its clock.
    pub fn watch_files(&self) {
        if !self.0.options.is_anonymous() {
            self.0.watch.start(&self.0);
        }
    }

    /// Reads the files again. Connections made from now on use what they hold; those that exist are
    /// not touched. Blocks while it reads.
    ///
    /// # Errors
    ///
    /// As for [`Self::new`]; or the own certificate is not valid now, or not meant for what it has
    /// been needed for so far. What has been read before stays in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.read_again(&mut self.0.reload.lock())
    }

    /// Reads the files again if one of them has changed since they were last read, successfully or
    /// not. Blocks while it looks.
    ///
    /// # Errors
    ///
    /// As for [`Self::reload`], once for each change.
    pub fn reload_if_changed(&self) -> Result<(), TlsError> {
        let mut reload = self.0.reload.lock();
        let waits = reload.valid_from.is_none_or(|from| UnixTime::now() < from);
        if waits && Stamps::of(&self.0.options) == reload.stamps {
            return Ok(());
        }
        self.read_again(&mut reload)
    }

    /// Why the files could not be read the last time, if they could not: what is in use is older.
    /// Blocks while files are being read.
    #[must_use]
    pub fn reload_error(&self) -> Option<TlsError> {
        self.0.reload.lock().error.clone()
    }

    /// Lets somebody know what became of it whenever the files have been read again: a failure
    /// would go unnoticed until the certificates in use expire. A success comes with what
    /// [`Self::warnings`] gives from then on. The first observer counts; it must not call back.
    pub fn on_reload(
        &self,
        observer: impl Fn(Result<&[String], &TlsError>) + Send + Sync + 'static,
    ) {
        // A second one has been told that it does not count.
        let _ = self.0.observer.set(Box::new(observer));
    }

    fn read_again(&self, reload: &mut Reload) -> Result<(), TlsError> {
        if self.0.options.is_anonymous() {
            return Ok(());
        }
        reload.stamps = Stamps::of(&self.0.options);
        reload.valid_from = None;
        let read = Material::load(&self.0.options, &self.0.provider).and_then(|material| {
            if let Err(error) = self.check_new(&material) {
                reload.valid_from = material.valid_from(UnixTime::now());
                return Err(error);
            }
            self.0.material.store(Arc::new(material));
            Ok(())
        });
        if let Some(observer) = self.0.observer.get() {
            let warnings = self.warnings();
            observer(read.as_ref().map(|()| warnings.as_slice()));
        }
        reload.error = read.as_ref().err().cloned();
        read
    }

    /// Whether certificates can take the place of those in use.
    fn check_new(&self, material: &Material) -> Result<(), TlsError> {
        let needed = |usage: &Usage| self.0.roles.of(*usage).load(Relaxed);
        let usages = [Usage::Server, Usage::Client];
        usages.into_iter().filter(needed).try_for_each(|usage| material.check(usage))
    }
}

/// The task that looks at the files; dropping this ends it.
#[derive(Default)]
pub(crate) struct Watch(Mutex<Option<JoinHandle<()>>>);

impl Watch {
    /// Starts the task if it does not run, as after the end of the runtime that it was part of.
    fn start(&self, shared: &Arc<Shared>) {
        let mut task = self.0.lock();
        if task.as_ref().is_none_or(JoinHandle::is_finished) {
            *task = Some(tokio::spawn(look_at_intervals(Arc::downgrade(shared))));
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(task) = self.0.get_mut() {
            task.abort();
        }
    }
}

async fn look_at_intervals(shared: Weak<Shared>) {
    let mut looks = interval_at(Instant::now() + INTERVAL, INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let Some(shared) = shared.upgrade() else { return };
        // What has been read before stays in use after a failure, which the observer hears of.
        let look = move || drop(Tls(shared).reload_if_changed());
        let _ = tokio::task::spawn_blocking(look).await;
    }
}

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
