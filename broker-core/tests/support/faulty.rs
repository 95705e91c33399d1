use async_trait::async_trait;
use broker_core::transport::{
    Connection, Established, FrameReader, FrameWriter, Incoming, Listener, ListenerProtection,
    MemTransport, ReadBuffer, Transport, TransportError, WriteBatch,
};
use broker_core::{Address, Reason};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use tokio::sync::watch;

/// What goes wrong; to be changed at any time.
#[derive(Debug)]
pub(crate) struct Faults {
    /// Everything waits for some turns before it does something.
    pub(crate) hesitate: AtomicUsize,
    /// Bytes come one by one.
    pub(crate) trickle: AtomicBool,
    /// Dialling never ends.
    pub(crate) hang_connect: AtomicBool,
    /// The transport's own handshake of an accepted connection never ends.
    pub(crate) hang_establish: AtomicBool,
    /// Nothing is written any more.
    pub(crate) stall_writes: AtomicBool,
    /// So many accepts fail.
    pub(crate) failing_accepts: AtomicUsize,
    /// Connections that were opened or accepted, and those of them that are gone.
    pub(crate) opened: AtomicUsize,
    pub(crate) gone: AtomicUsize,
    cut: watch::Sender<usize>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            hesitate: AtomicUsize::new(0),
            trickle: AtomicBool::new(false),
            hang_connect: AtomicBool::new(false),
            hang_establish: AtomicBool::new(false),
            stall_writes: AtomicBool::new(false),
            failing_accepts: AtomicUsize::new(0),
            opened: AtomicUsize::new(0),
            gone: AtomicUsize::new(0),
            cut: watch::Sender::new(0),
        }
    }
}

impl Faults {
    /// Breaks every connection that exists now.
    pub(crate) fn cut(&self) {
        self.cut.send_modify(|count| *count += 1);
    }

    async fn pause(&self) {
        super::turns(self.hesitate.load(SeqCst)).await;
    }

    async fn hang_if(&self, flag: &AtomicBool) {
        if flag.load(SeqCst) {
            std::future::pending::<()>().await;
        }
    }
}

/// `mem://` with [`Faults`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Faulty {
    inner: MemTransport,
    pub(crate) faults: Arc<Faults>,
}

impl Faulty {
    /// With faults of its own on a network that others use as well.
    pub(crate) fn on(network: &MemTransport) -> Self {
        Self { inner: network.clone(), faults: Arc::default() }
    }

    fn wrap(faults: &Arc<Faults>, connection: Connection) -> Connection {
        let Connection { reader, writer, link } = connection;
        faults.opened.fetch_add(1, SeqCst);
        let token = Arc::new(Token(Arc::clone(faults)));
        let cut = faults.cut.subscribe();
        let reader = Reader { inner: reader, token: Arc::clone(&token), cut: cut.clone() };
        let writer = Writer { inner: writer, token, cut };
        Connection { reader: Box::new(reader), writer: Box::new(writer), link }
    }
}

/// Counts a connection as gone when both its halves are.
struct Token(Arc<Faults>);

impl Drop for Token {
    fn drop(&mut self) {
        self.0.gone.fetch_add(1, SeqCst);
    }
}

fn broken() -> TransportError {
    TransportError::new(Reason::Reset, "the connection was cut")
}

#[async_trait]
impl Transport for Faulty {
    fn schemes(&self) -> &'static [&'static str] {
        self.inner.schemes()
    }

    async fn listen(&self, at: &Address) -> Result<Box<dyn Listener>, TransportError> {
        self.faults.pause().await;
        let inner = self.inner.listen(at).await?;
        self.faults.pause().await;
        Ok(Box::new(FaultyListener { inner, faults: Arc::clone(&self.faults) }))
    }

    async fn connect(&self, to: &Address) -> Result<Connection, TransportError> {
        self.faults.pause().await;
        self.faults.hang_if(&self.faults.hang_connect).await;
        let connection = self.inner.connect(to).await?;
        self.faults.pause().await;
        Ok(Self::wrap(&self.faults, connection))
    }
}

struct FaultyListener {
    inner: Box<dyn Listener>,
    faults: Arc<Faults>,
}

#[async_trait]
impl Listener for FaultyListener {
    fn url(&self) -> &Address {
        self.inner.url()
    }

    fn protection(&self) -> ListenerProtection {
        self.inner.protection()
    }

    async fn accept(&mut self) -> Result<Incoming, TransportError> {
        let fails = |left: usize| left.checked_sub(1);
        if self.faults.failing_accepts.fetch_update(SeqCst, SeqCst, fails).is_ok() {
            let kind = Reason::OutOfResources;
            return Err(TransportError::new(kind, "no descriptor is left"));
        }
        let Incoming { remote, establish, .. } = self.inner.accept().await?;
        let faults = Arc::clone(&self.faults);
        Ok(Incoming::new(remote, async move {
            faults.pause().await;
            faults.hang_if(&faults.hang_establish).await;
            match establish.await? {
                Established::Peer(connection) => {
                    Ok(Established::Peer(Faulty::wrap(&faults, connection)))
                }
                other => Ok(other),
            }
        }))
    }
}

struct Reader {
    inner: Box<dyn FrameReader>,
    token: Arc<Token>,
    cut: watch::Receiver<usize>,
}

#[async_trait]
impl FrameReader for Reader {
    async fn recv(&mut self, buffer: &mut ReadBuffer) -> Result<(), TransportError> {
        if self.cut.has_changed().unwrap_or(true) {
            return Err(broken());
        }
        self.token.0.pause().await;
        tokio::select! {
            _ = self.cut.changed() => Err(broken()),
            received = self.inner.recv(buffer) => received,
        }
    }
}

struct Writer {
    inner: Box<dyn FrameWriter>,
    token: Arc<Token>,
    cut: watch::Receiver<usize>,
}

impl Writer {
    /// Writes one byte, and takes it from the batch when it is on its way.
    async fn trickle(&mut self, batch: &mut WriteBatch) -> Result<(), TransportError> {
        while !batch.is_empty() {
            let byte = batch.first().first().copied().unwrap_or_default();
            let mut single = WriteBatch::new();
            single.append(broken_off(byte));
            batch.advance(1);
            self.inner.send(&mut single).await?;
            self.token.0.pause().await;
        }
        Ok(())
    }
}

fn broken_off(byte: u8) -> broker_core::transport::Chunk {
    broker_core::transport::Chunk::Segment(vec![byte])
}

#[async_trait]
impl FrameWriter for Writer {
    async fn send(&mut self, batch: &mut WriteBatch) -> Result<(), TransportError> {
        if self.cut.has_changed().unwrap_or(true) {
            return Err(broken());
        }
        self.token.0.hang_if(&self.token.0.stall_writes).await;
        if self.token.0.trickle.load(SeqCst) {
            return self.trickle(batch).await;
        }
        self.token.0.pause().await;
        self.inner.send(batch).await
    }

    async fn shutdown(&mut self) {
        self.inner.shutdown().await;
    }
}
