use super::{Column, Context, Sample};
use crate::bench::Result;
use crate::bench::messages::{Command, End, Window};
use crate::bench::peers::Server;
use crate::bench::process::{Worker, measure};
use crate::bench::protocol::{Publish, Role, Subscribe, Topics};
use crate::bench::shape::{Reading, Shape};
use crate::bench::usage::{cpu_time_of, peak};
use std::collections::BTreeMap;

/// Peers and prefixes of each, where many topics are of interest.
pub(super) const CROWD: usize = 100;
pub(super) const PREFIXES: usize = 1000;

/// Messages under way where nobody in the middle can wait: half of what a peer's queue holds.
pub(super) const IN_FLIGHT: u64 = 4096;

/// And at most so many bytes of it.
const BYTES_IN_FLIGHT: usize = 8 << 20;

/// Messages from publishers to subscribers, as fast as they go without losing any.
#[derive(Debug, Clone, Copy)]
pub(in crate::bench) struct Flow {
    pub(super) shape: Shape,
    pub(super) reading: Reading,
    pub(super) publishers: usize,
    pub(in crate::bench) subscribers: usize,
    /// Another endpoint between the two.
    pub(in crate::bench) hub: bool,
    /// Flow control from end to end, instead of from hop to hop.
    pub(in crate::bench) in_flight: Option<u64>,
    /// Publish and receive in batches.
    pub(super) batches: bool,
    /// Every subscriber has so many prefixes of its own, instead of one that all share.
    pub(super) own_prefixes: Option<usize>,
    /// How many subscribers, and how many topics of each, are published to, of those.
    pub(super) published: Option<(usize, usize)>,
}

impl Flow {
    pub(super) fn pair(shape: Shape) -> Self {
        Self {
            shape,
            reading: Reading::View,
            publishers: 1,
            subscribers: 1,
            hub: false,
            in_flight: None,
            batches: false,
            own_prefixes: None,
            published: None,
        }
    }

    /// The same with a hub in the middle, and flow control from end to end.
    pub(super) fn through_hub(self) -> Self {
        let most = match self.shape {
            Shape::Raw(size) => (BYTES_IN_FLIGHT / size) as u64,
            _ => IN_FLIGHT,
        };
        Self { hub: true, in_flight: Some(most.clamp(8, IN_FLIGHT)), ..self }
    }

    /// How far a system without flow control of its own may be ahead.
    pub(in crate::bench) fn window(&self) -> u64 {
        self.in_flight.or(self.through_hub().in_flight).unwrap_or(IN_FLIGHT)
    }

    fn is_pair(&self) -> bool {
        let plain = !self.hub && self.in_flight.is_none() && self.own_prefixes.is_none();
        plain && self.reading == Reading::View && self.publishers == 1 && self.subscribers == 1
    }

    pub(super) fn run(&self, column: Column, context: &Context) -> Result<Vec<Sample>> {
        match column {
            Column::Ours => Ok(vec![self.count(self.ours(context)?, context)?]),
            Column::Floor if self.own_prefixes.is_some() || self.reading == Reading::Decode => {
                Ok(Vec::new())
            }
            Column::Floor => Ok(vec![self.count(self.floor(false, context)?, context)?]),
            Column::Codec if !self.is_pair() => Ok(Vec::new()),
            Column::Codec => Ok(vec![self.count(self.floor(true, context)?, context)?]),
            Column::Nats | Column::Zenoh => self.peers(column, context),
            Column::Reference => match &context.reference {
                Some(reference) if self.is_pair() => reference.throughput(self.shape, context),
                Some(reference) if self.is_fan_out() && !context.quick => {
                    reference.fan_out(self.subscribers)
                }
                _ => Ok(Vec::new()),
            },
        }
    }

    fn is_fan_out(&self) -> bool {
        self.subscribers > 1 && self.own_prefixes.is_none()
    }

    /// Whoever there is one of listens; a hub always does.
    fn ours(&self, context: &Context) -> Result<Line> {
        if self.publishers > 1 {
            let receiver = self.subscriber(context, context.listening())?;
            let sender =
                self.publisher(context, context.dialling(self.publishers, receiver.url()?))?;
            return Ok(Line { sender, hub: None, receiver });
        }
        if self.hub {
            let hub = Worker::start(&context.task(Role::Hub(context.listening())))?;
            let url = hub.url()?;
            let sender = self.publisher(context, context.dialling(1, url.clone()))?;
            let receiver = self.subscriber(context, context.dialling(1, url))?;
            return Ok(Line { sender, hub: Some(hub), receiver });
        }
        let sender = self.publisher(context, context.listening())?;
        let receiver =
            self.subscriber(context, context.dialling(self.subscribers, sender.url()?))?;
        Ok(Line { sender, hub: None, receiver })
    }

    fn publisher(&self, context: &Context, node: crate::bench::protocol::Node) -> Result<Worker> {
        let topics =
            self.published.map_or(Topics::One, |(endpoints, each)| Topics::Own { endpoints, each });
        let peers = if self.hub { 1 } else { self.subscribers };
        let in_flight = self.in_flight;
        let batches = self.batches;
        let task = Publish { node, shape: self.shape, topics, peers, in_flight, batches };
        Worker::start(&context.task(Role::Publish(task)))
    }

    fn subscriber(&self, context: &Context, node: crate::bench::protocol::Node) -> Result<Worker> {
        let (shape, reading) = (self.shape, self.reading);
        let endpoints = self.subscribers;
        let topics = self.own_prefixes.map_or(Topics::One, |each| Topics::Own { endpoints, each });
        let acknowledge = self.in_flight.map(|limit| limit / 4);
        let batches = self.batches;
        let task = Subscribe { node, shape, reading, topics, acknowledge, batches };
        Worker::start(&context.task(Role::Subscribe(task)))
    }

    fn floor(&self, codec: bool, context: &Context) -> Result<Line> {
        let connections = self.publishers.max(self.subscribers);
        let start = |role| Worker::start(&context.task(role));
        let sender = start(Role::FloorSend { shape: self.shape, connections, encode: codec })?;
        let hub = match self.hub {
            true => Some(start(Role::FloorRelay { at: sender.url()? })?),
            false => None,
        };
        let at = hub.as_ref().unwrap_or(&sender).url()?;
        let receiver = start(Role::FloorSplit { at, connections, check: codec })?;
        Ok(Line { sender, hub, receiver })
    }

    /// The same payloads by other systems; NATS always has a server between the two.
    fn peers(&self, column: Column, context: &Context) -> Result<Vec<Sample>> {
        let (Some(peers), Shape::Raw(size)) = (&context.peers, self.shape) else {
            return Ok(Vec::new());
        };
        let through = self.hub || self.subscribers > 1;
        if self.publishers > 1 || (column == Column::Nats && !through) {
            return Ok(Vec::new());
        }
        let (line, server) = match column {
            Column::Nats => {
                let server = peers.nats_server()?;
                (peers.line("nats", server.at(), size, self, context.threads)?, Some(server))
            }
            _ => (peers.line("zenoh", "", size, self, context.threads)?, None),
        };
        let server = server.as_ref().map(Server::id);
        Ok(vec![self.count_with(line, server, context)?])
    }

    fn count(&self, line: Line, context: &Context) -> Result<Sample> {
        self.count_with(line, None, context)
    }

    /// `server` is a process that takes part and is none of ours.
    fn count_with(&self, mut line: Line, server: Option<u32>, context: &Context) -> Result<Sample> {
        line.sender.tell(&Command::Start)?;
        let mut workers = vec![&mut line.receiver, &mut line.sender];
        workers.extend(&mut line.hub);
        let time = |pid: Option<u32>| pid.map(cpu_time_of).transpose();
        let before = time(server)?;
        let windows = measure(&mut workers, context.warm_up, context.seconds)?;
        // It has no way to leave the warm-up out.
        let share = context.seconds / (context.warm_up + context.seconds);
        let served =
            time(server)?.zip(before).map(|(after, before)| (after - before).mul_f64(share));
        let mut details = BTreeMap::new();
        let [received, sent, between @ ..] = windows.as_slice() else {
            return Err("two workers, two windows".into());
        };
        details.insert("receiver CPU s/M", cpu_per_million(received, received.count));
        details.insert("sender CPU s/M", cpu_per_million(sent, received.count));
        let hub = between.first().map(|hub| hub.cpu_seconds);
        let hub = hub.or(served.map(|time| time.as_secs_f64()));
        if let Some(seconds) = hub {
            details.insert("hub CPU s/M", seconds / received.count.max(1) as f64 * 1e6);
        }
        let cpu = details.values().sum();
        let of_server = server.map(peak).transpose()?;
        let ends = line.stop()?;
        let lost = ends.iter().map(|end| end.lost).sum();
        Ok(Sample {
            value: received.count as f64 / received.seconds,
            cpu_per_million: Some(cpu),
            peak_memory: ends.iter().map(|end| end.peak_memory).chain(of_server).max(),
            lost,
            details,
        })
    }
}

fn cpu_per_million(window: &Window, count: u64) -> f64 {
    window.cpu_seconds / count.max(1) as f64 * 1e6
}

/// The processes of one run.
pub(in crate::bench) struct Line {
    pub(in crate::bench) sender: Worker,
    pub(in crate::bench) hub: Option<Worker>,
    pub(in crate::bench) receiver: Worker,
}

impl Line {
    /// Ends them, the sender first.
    fn stop(self) -> Result<Vec<End>> {
        let mut ends = vec![self.sender.stop()?, self.receiver.stop()?];
        ends.extend(self.hub.map(Worker::stop).transpose()?);
        Ok(ends)
    }
}
