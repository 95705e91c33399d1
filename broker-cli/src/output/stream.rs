//! A stream of output with a thread of its own: the program puts lines in a bounded queue and
//! continues, and only the thread waits for the reader.

use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// So many bytes may wait for the thread before lines are lost; the last line may go beyond it.
pub(super) const ROOM: usize = 1024 * 1024;

/// How long the thread waits after `WouldBlock`: another process can make a shared descriptor
/// non-blocking.
const BLOCKED: Duration = Duration::from_millis(10);

/// What happens when a stream cannot be written.
pub(super) enum OnFailure {
    /// Everything from there on is discarded; [`Stream::written`] returns the error.
    Stop,
    /// The lines are lost and counted, and the next ones are tried. The first error of a series is
    /// given to this function.
    GoOn(fn(&io::Error)),
}

/// Makes the line that reports how many lines are missing before it.
pub(super) type Notice = Box<dyn Fn(u64) -> String + Send>;

/// The writing end of a stream.
#[derive(Clone)]
pub(super) struct Stream(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Wakes the thread, and [`Stream::finish`].
    changed: Condvar,
    /// Wakes [`Stream::written`].
    rested: Notify,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Batch>,
    /// The length of all lines in the queue and of those that are being written.
    bytes: usize,
    /// Whether the thread writes something.
    busy: bool,
    /// Lines that were lost after the last ones in the queue.
    lost: u64,
    /// Whether the last attempt to write failed.
    failing: bool,
    /// Why nothing is written any more.
    stopped: Option<Arc<io::Error>>,
}

/// Whole lines, and how many are missing before them.
#[derive(Default)]
struct Batch {
    lost_before: u64,
    lines: Vec<u8>,
}

impl Stream {
    /// Starts the thread, which lives as long as the process.
    ///
    /// # Errors
    ///
    /// There is no room for another thread.
    pub(super) fn start(
        name: &str,
        sink: impl Write + Send + 'static,
        on_failure: OnFailure,
        notice: Notice,
    ) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let mut writer = Writer { sink, on_failure, notice, is_torn: false };
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name(name.to_owned());
        thread.spawn(move || writer.run(&of_thread))?;
        Ok(Self(shared))
    }

    /// Puts whole lines in the queue, or loses and counts them if it is full. Never waits.
    pub(super) fn push(&self, lines: &[u8]) {
        let mut state = self.0.state.lock();
        if state.stopped.is_some() || lines.is_empty() {
            return;
        }
        if state.bytes >= ROOM {
            state.lost += count(lines);
            return;
        }
        state.bytes += lines.len();
        let lost_before = std::mem::take(&mut state.lost);
        match state.queue.back_mut() {
            Some(last) if lost_before == 0 => last.lines.extend_from_slice(lines),
            _ => state.queue.push_back(Batch { lost_before, lines: lines.to_vec() }),
        }
        self.0.changed.notify_all();
    }

    /// How many bytes wait.
    pub(super) fn waiting(&self) -> usize {
        self.0.state.lock().bytes
    }

    /// Whether everything has been written or lost.
    pub(super) fn is_idle(&self) -> bool {
        self.0.state.lock().is_idle()
    }

    /// Waits until everything has been written or lost. Cancel safe.
    ///
    /// # Errors
    ///
    /// The stream has stopped for this reason.
    pub(super) async fn written(&self) -> Result<(), Arc<io::Error>> {
        loop {
            let mut rested = pin!(self.0.rested.notified());
            rested.as_mut().enable();
            {
                let state = self.0.state.lock();
                if let Some(error) = &state.stopped {
                    return Err(Arc::clone(error));
                }
                if state.is_idle() {
                    return Ok(());
                }
            }
            rested.await;
        }
    }

    /// Blocks until everything has been written or lost, but no longer than this.
    pub(super) fn finish(&self, limit: Duration) {
        let end = Instant::now() + limit;
        let mut state = self.0.state.lock();
        while !state.is_idle() && !self.0.changed.wait_until(&mut state, end).timed_out() {}
    }

    /// Discards the queue, and returns how many lines were in it. A write in progress continues.
    pub(super) fn give_up(&self) -> u64 {
        let mut state = self.0.state.lock();
        let State { queue, bytes, lost, .. } = &mut *state;
        let mut given_up = std::mem::take(lost);
        for batch in queue.drain(..) {
            *bytes -= batch.lines.len();
            given_up += batch.lost_before + count(&batch.lines);
        }
        given_up
    }
}

impl State {
    fn is_idle(&self) -> bool {
        let owes_notice = self.lost > 0 && !self.failing;
        self.stopped.is_some() || !self.busy && self.queue.is_empty() && !owes_notice
    }

    /// What to write next. Lines lost last are reported when the queue is empty.
    fn next(&mut self) -> Option<Batch> {
        if self.is_idle() {
            return None;
        }
        Some(self.queue.pop_front().unwrap_or_else(|| Batch {
            lost_before: std::mem::take(&mut self.lost),
            lines: Vec::new(),
        }))
    }
}

/// The state of the thread.
struct Writer<W> {
    sink: W,
    on_failure: OnFailure,
    notice: Notice,
    /// Whether the last line that was written has no end.
    is_torn: bool,
}

impl<W: Write> Writer<W> {
    fn run(&mut self, shared: &Shared) {
        let mut state = shared.state.lock();
        loop {
            let Some(batch) = state.next() else {
                shared.changed.notify_all();
                shared.rested.notify_waiters();
                shared.changed.wait(&mut state);
                continue;
            };
            state.busy = true;
            let outcome = MutexGuard::unlocked(&mut state, || self.write(&batch));
            state.busy = false;
            state.bytes -= batch.lines.len();
            match outcome {
                Ok(()) => state.failing = false,
                Err((lost, error)) => self.fail(&mut state, lost, error),
            }
        }
    }

    /// Writes a batch; if that fails, this returns how many lines are lost.
    fn write(&mut self, batch: &Batch) -> Result<(), (u64, io::Error)> {
        if batch.lost_before > 0 {
            let end = if self.is_torn { "\n" } else { "" };
            let notice = format!("{end}{}\n", (self.notice)(batch.lost_before));
            let lost = batch.lost_before + count(&batch.lines);
            self.write_all(notice.as_bytes()).map_err(|(_, error)| (lost, error))?;
        }
        self.write_all(&batch.lines).map_err(|(written, error)| {
            (count(batch.lines.get(written..).unwrap_or_default()), error)
        })
    }

    /// Like the method of [`Write`]; an error comes with the number of bytes before it.
    fn write_all(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match self.sink.write(rest) {
                Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    written += count;
                    self.is_torn = bytes.get(written - 1) != Some(&b'\n');
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::thread::sleep(BLOCKED);
                }
                Err(error) => return Err((written, error)),
            }
        }
        self.sink.flush().map_err(|error| (written, error))
    }

    fn fail(&self, state: &mut MutexGuard<'_, State>, lost: u64, error: io::Error) {
        match self.on_failure {
            OnFailure::Stop => {
                state.queue.clear();
                (state.bytes, state.lost) = (0, 0);
                state.stopped = Some(Arc::new(error));
            }
            OnFailure::GoOn(complain) => {
                // `lost` counts lines after the queue, and this batch was before it.
                match state.queue.front_mut() {
                    Some(next) => next.lost_before += lost,
                    None => state.lost += lost,
                }
                if !std::mem::replace(&mut state.failing, true) {
                    MutexGuard::unlocked(state, || complain(&error));
                }
            }
        }
    }
}

fn count(lines: &[u8]) -> u64 {
    lines.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Takes what is written to it as the script says, one answer for each write.
    struct Sink {
        script: mpsc::Receiver<io::Result<usize>>,
        took: mpsc::Sender<String>,
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = self.script.recv().unwrap_or(Ok(usize::MAX))?.min(bytes.len());
            let _ = self.took.send(String::from_utf8_lossy(&bytes[..count]).into_owned());
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A stream, what its sink answers, and what that has taken.
    fn stream(on_failure: OnFailure) -> (Stream, Answers, mpsc::Receiver<String>) {
        let (answers, script) = mpsc::channel();
        let (took, taken) = mpsc::channel();
        let notice: Notice = Box::new(|lost| format!("{lost} missing"));
        let stream = Stream::start("test", Sink { script, took }, on_failure, notice).unwrap();
        (stream, Answers(answers), taken)
    }

    struct Answers(mpsc::Sender<io::Result<usize>>);

    impl Answers {
        fn take(&self, count: usize) {
            self.0.send(Ok(count)).unwrap();
        }

        fn fail(&self) {
            self.0.send(Err(io::ErrorKind::StorageFull.into())).unwrap();
        }
    }

    const ALL: usize = usize::MAX;

    #[tokio::test]
    async fn a_reader_that_is_stuck_costs_lines_that_are_counted_and_nobody_time() {
        let (stream, answers, taken) = stream(OnFailure::Stop);
        let line = [vec![b'x'; ROOM / 4 - 1], vec![b'\n']].concat();
        (0..4).for_each(|_| stream.push(&line));
        assert_eq!(stream.waiting(), ROOM);
        (0..3).for_each(|_| stream.push(b"lost\n"));
        assert_eq!(stream.waiting(), ROOM);
        assert!(!stream.is_idle());
        drop(answers);
        stream.written().await.unwrap();
        let taken: String = taken.try_iter().collect();
        assert_eq!(taken.len(), ROOM + "3 missing\n".len());
        assert!(taken.ends_with("x\n3 missing\n"), "in the place where they are missing");
        assert_eq!(stream.waiting(), 0);
    }

    #[tokio::test]
    async fn a_full_disk_costs_lines_that_are_counted_until_there_is_room() {
        let (stream, answers, taken) = stream(OnFailure::GoOn(|_| {}));
        answers.take(2);
        answers.fail();
        stream.push(b"one\n");
        stream.written().await.unwrap();
        answers.fail();
        stream.push(b"two\nthree\n");
        stream.written().await.unwrap();
        drop(answers);
        stream.push(b"four\n");
        stream.written().await.unwrap();
        let taken: String = taken.try_iter().collect();
        assert_eq!(taken, "on\n3 missing\nfour\n");
    }

    #[tokio::test]
    async fn a_stream_that_may_stop_does_so_with_the_error() {
        let (stream, answers, taken) = stream(OnFailure::Stop);
        answers.take(ALL);
        stream.push(b"one\n");
        stream.written().await.unwrap();
        answers.fail();
        stream.push(b"two\n");
        let error = stream.written().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        stream.push(b"three\n");
        assert!(stream.is_idle());
        assert_eq!(taken.try_iter().collect::<String>(), "one\n");
    }

    #[test]
    fn lines_that_nobody_takes_can_be_given_up() {
        let (stream, answers, taken) = stream(OnFailure::Stop);
        stream.push(b"one\n");
        // The thread has it as soon as it asks for an answer.
        answers.take(ALL);
        assert_eq!(taken.recv().unwrap(), "one\n");
        stream.finish(Duration::from_secs(60));
        stream.push(b"two\n");
        while !stream.0.state.lock().queue.is_empty() {
            std::thread::yield_now();
        }
        stream.push(b"three\nfour\n");
        assert_eq!(stream.give_up(), 2);
        assert!(!stream.is_idle(), "two is being written");
        drop(answers);
        stream.finish(Duration::from_secs(60));
        assert_eq!(taken.try_iter().collect::<String>(), "two\n");
    }
}
