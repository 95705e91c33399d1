//! A network between two endpoints that can change or die.

use broker_core::Address;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::net::UdpSocket;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

/// Forwards datagrams to one address, as a translator of addresses does.
pub struct Proxy {
    pub url: Address,
    /// The number of the mapping, or none for a dead network.
    mapping: watch::Sender<Option<usize>>,
    clients: Arc<AtomicUsize>,
    forwarded: Arc<Notify>,
    answers: Arc<Answers>,
    _tasks: JoinSet<()>,
}

/// What comes back.
#[derive(Default)]
struct Answers {
    lost: AtomicBool,
    first: Mutex<Option<u8>>,
}

impl Proxy {
    pub async fn to(url: &Address) -> Self {
        let inside = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let target = SocketAddr::from(([127, 0, 0, 1], url.port()));
        let (mapping, current) = watch::channel(Some(0));
        let clients = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        let url = url.clone().with_port(inside.local_addr().unwrap().port());
        let forwarded = Arc::new(Notify::new());
        let answers = Arc::new(Answers::default());
        let context = (clients.clone(), forwarded.clone(), answers.clone());
        tasks.spawn(forward(inside, target, current, context));
        Self { url, mapping, clients, forwarded, answers, _tasks: tasks }
    }

    /// Gives every client another address to the outside.
    pub fn remap(&self) {
        self.mapping.send_modify(|mapping| *mapping = mapping.map(|number| number + 1));
    }

    /// Lets nothing through any more.
    pub fn die(&self) {
        self.mapping.send_replace(None);
    }

    /// Loses everything that comes back.
    pub fn lose_answers(&self) {
        self.answers.lost.store(true, Ordering::SeqCst);
    }

    /// The first byte of all that came back.
    pub fn first_answer(&self) -> Option<u8> {
        *self.answers.first.lock().unwrap()
    }

    /// Waits for the next datagram from inside.
    pub async fn datagram(&self) {
        self.forwarded.notified().await;
    }

    /// How many addresses have been seen inside.
    pub fn clients(&self) -> usize {
        self.clients.load(Ordering::SeqCst)
    }
}

async fn forward(
    inside: Arc<UdpSocket>,
    target: SocketAddr,
    mapping: watch::Receiver<Option<usize>>,
    (clients, forwarded, answers): (Arc<AtomicUsize>, Arc<Notify>, Arc<Answers>),
) {
    let mut outside: HashMap<(SocketAddr, usize), Arc<UdpSocket>> = HashMap::new();
    let mut tasks = JoinSet::new();
    let mut datagram = vec![0; 65_536];
    loop {
        let Ok((length, client)) = inside.recv_from(&mut datagram).await else { continue };
        let Some(number) = *mapping.borrow() else { continue };
        if !outside.contains_key(&(client, number)) {
            if outside.keys().all(|(known, _)| *known != client) {
                clients.fetch_add(1, Ordering::SeqCst);
            }
            let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
            socket.connect(target).await.unwrap();
            outside.insert((client, number), socket.clone());
            let way = (socket, inside.clone(), client);
            tasks.spawn(answer(way, number, mapping.clone(), answers.clone()));
        }
        let _ = outside[&(client, number)].send(&datagram[..length]).await;
        forwarded.notify_one();
    }
}

/// Carries what comes back, as long as the mapping is in force.
async fn answer(
    (outside, inside, client): (Arc<UdpSocket>, Arc<UdpSocket>, SocketAddr),
    number: usize,
    mapping: watch::Receiver<Option<usize>>,
    answers: Arc<Answers>,
) {
    let mut datagram = vec![0; 65_536];
    loop {
        let Ok(length) = outside.recv(&mut datagram).await else { continue };
        answers.first.lock().unwrap().get_or_insert(datagram[0]);
        if *mapping.borrow() == Some(number) && !answers.lost.load(Ordering::SeqCst) {
            let _ = inside.send_to(&datagram[..length], client).await;
        }
    }
}
