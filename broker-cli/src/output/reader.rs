//! Notices that the reader of standard output has closed it, before there is something to write.

/// The reader of standard output.
pub(crate) struct Reader {
    #[cfg(unix)]
    stdout: Option<tokio::net::unix::pipe::Sender>,
}

impl Reader {
    /// Starts to watch. Files cannot be watched, and need not be.
    #[cfg(unix)]
    pub(crate) fn watch() -> Self {
        use std::os::fd::AsFd;
        use tokio::net::unix::pipe::Sender;
        let copy = std::io::stdout().as_fd().try_clone_to_owned();
        // Nothing is written here, so it does not matter whether writing would block.
        let stdout = copy.and_then(Sender::from_owned_fd_unchecked);
        Self { stdout: stdout.ok() }
    }

    #[cfg(not(unix))]
    pub(crate) fn watch() -> Self {
        Self {}
    }

    /// Waits until the other end of a pipe is closed; forever if that cannot be seen. Cancel safe.
    pub(crate) async fn gone(&self) {
        #[cfg(unix)]
        if let Some(stdout) = &self.stdout
            && stdout.ready(tokio::io::Interest::ERROR).await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }
}
