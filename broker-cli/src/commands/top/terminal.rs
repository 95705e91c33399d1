//! The terminal: taken over and given back, and the keys that are pressed.

use super::model::Order;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, poll, read};
use ratatui::{DefaultTerminal, Frame};
use std::io;
use std::time::Duration;
use tokio::sync::mpsc;

/// How often the thread that reads keys looks whether anybody wants them.
const LOOK: Duration = Duration::from_millis(100);

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Quit,
    /// To be stopped, as by the shell.
    Stop,
    Sort(Order),
    Pause,
    /// So many rows down, or up.
    Scroll(isize),
    /// The terminal has another size.
    Redraw,
}

impl Key {
    fn of(key: KeyEvent) -> Option<Self> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Some(Self::Quit),
                KeyCode::Char('z') => Some(Self::Stop),
                KeyCode::Char('l') => Some(Self::Redraw),
                _ => None,
            };
        }
        Some(match key.code {
            KeyCode::Char('q') | KeyCode::Esc => Self::Quit,
            KeyCode::Char('r') => Self::Sort(Order::Rate),
            KeyCode::Char('d') => Self::Sort(Order::Drops),
            KeyCode::Char('a') => Self::Sort(Order::Age),
            KeyCode::Char('n') => Self::Sort(Order::Name),
            KeyCode::Char('p' | ' ') => Self::Pause,
            KeyCode::Up | KeyCode::Char('k') => Self::Scroll(-1),
            KeyCode::Down | KeyCode::Char('j') => Self::Scroll(1),
            KeyCode::PageUp => Self::Scroll(-10),
            KeyCode::PageDown => Self::Scroll(10),
            KeyCode::Home => Self::Scroll(isize::MIN),
            _ => return None,
        })
    }
}

/// The keys that are pressed, read by a thread until nobody wants them any more.
pub(super) fn keys() -> mpsc::Receiver<Key> {
    let (sender, keys) = mpsc::channel(8);
    std::thread::spawn(move || {
        while !sender.is_closed() {
            let event = match poll(LOOK) {
                Ok(false) => continue,
                Ok(true) => read(),
                Err(error) => Err(error),
            };
            let key = match event {
                Ok(Event::Key(key)) => Key::of(key),
                Ok(Event::Resize(..)) => Some(Key::Redraw),
                Ok(_) => None,
                // The terminal has gone: the channel closes, and that ends the command.
                Err(_) => return,
            };
            if key.is_some_and(|key| sender.blocking_send(key).is_err()) {
                return;
            }
        }
    });
    keys
}

/// A terminal in full screen and without echo. It is given back when this is dropped, and when the
/// program panics.
pub(super) struct Terminal {
    inner: DefaultTerminal,
    is_left: bool,
}

impl Terminal {
    /// # Errors
    ///
    /// It is no terminal that can do this.
    pub(super) fn enter() -> io::Result<Self> {
        Ok(Self { inner: ratatui::try_init()?, is_left: false })
    }

    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.inner.draw(draw).map(drop)
    }

    /// Gives the terminal back.
    pub(super) fn leave(&mut self) {
        if !std::mem::replace(&mut self.is_left, true) {
            // If it has gone there is nothing to give back.
            let _ = ratatui::try_restore();
        }
    }

    /// Gives the terminal to the shell, stops the process until it is continued, and takes the
    /// terminal again.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        #[cfg(unix)]
        {
            use rustix::process::{Signal, getpid, kill_process};
            self.leave();
            kill_process(getpid(), Signal::STOP)?;
            // A new one, which knows nothing of what was on the screen and draws all of it.
            *self = Self::enter()?;
        }
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The signal by which a shell or another program stops this one.
#[cfg(unix)]
pub(super) struct Stops(tokio::signal::unix::Signal);

#[cfg(unix)]
impl Stops {
    pub(super) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        signal(SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw())).map(Self)
    }

    /// Waits for the next one. Cancel safe.
    pub(super) async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending().await
        }
    }
}

/// There is no such signal.
#[cfg(not(unix))]
pub(super) struct Stops;

#[cfg(not(unix))]
impl Stops {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self)
    }

    pub(super) async fn next(&mut self) {
        std::future::pending().await
    }
}
