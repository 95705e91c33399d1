use super::{Column, Context, Sample};
use crate::bench::Result;
use crate::bench::process::{Worker, measure};
use crate::bench::protocol::{Command, End, Publish, Role, Subscribe, Topics, Window};
use crate::bench::shape::{Reading, Shape};
use std::collections::BTreeMap;

/// Peers and prefixes of each, where many topics are of interest.
pub(super) const CROWD: usize = 100;
pub(super) const PREFIXES: usize = 1000;

/// Messages under way where nobody in the middle can wait: half of what a peer's queue holds.
pub(super) const IN_FLIGHT: u64 = 4096;

/// Messages from publishers to subscribers, as fast as they go without losing any.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flow {
    pub(super) shape: Shape,
    pub(super) reading: Reading,
    pub(super) publishers: usize,
    pub(super) subscribers: usize,
    /// Another endpoint between the two.
    pub(super) hub: bool,
    /// Flow control from end to end, instead of from hop to hop.
    pub(super) in_flight: Option<u64>,
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
            own_prefixes: None,
            published: None,
        }
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
            Column::Floor => Ok(vec![self.count(self.floor(context)?, context)?]),
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
        let task = Publish { node, shape: self.shape, topics, peers, in_flight };
        Worker::start(&context.task(Role::Publish(task)))
    }

    fn subscriber(&self, context: &Context, node: crate::bench::protocol::Node) -> Result<Worker> {
        let (shape, reading) = (self.shape, self.reading);
        let endpoints = self.subscribers;
        let topics = self.own_prefixes.map_or(Topics::One, |each| Topics::Own { endpoints, each });
        let acknowledge = self.in_flight.map(|limit| limit / 4);
        let task = Subscribe { node, shape, reading, topics, acknowledge };
        Worker::start(&context.task(Role::Subscribe(task)))
    }

    fn floor(&self, context: &Context) -> Result<Line> {
        let connections = self.publishers.max(self.subscribers);
        let start = |role| Worker::start(&context.task(role));
        let sender = start(Role::FloorSend { shape: self.shape, connections })?;
        let hub = match self.hub {
            true => Some(start(Role::FloorRelay { at: sender.url()? })?),
            false => None,
        };
        let at = hub.as_ref().unwrap_or(&sender).url()?;
        let receiver = start(Role::FloorSplit { at, connections })?;
        Ok(Line { sender, hub, receiver })
    }

    fn count(&self, mut line: Line, context: &Context) -> Result<Sample> {
        line.sender.tell(&Command::Start)?;
        let mut workers = vec![&mut line.receiver, &mut line.sender];
        workers.extend(&mut line.hub);
        let windows = measure(&mut workers, context.warm_up, context.seconds)?;
        let mut details = BTreeMap::new();
        let [received, sent, between @ ..] = windows.as_slice() else {
            return Err("two workers, two windows".into());
        };
        details.insert("receiver CPU s/M", cpu_per_million(received, received.count));
        details.insert("sender CPU s/M", cpu_per_million(sent, received.count));
        if let Some(hub) = between.first() {
            details.insert("hub CPU s/M", cpu_per_million(hub, received.count));
        }
        let cpu = windows.iter().map(|window| cpu_per_million(window, received.count)).sum();
        let ends = line.stop()?;
        let lost = ends.iter().map(|end| end.lost).sum();
        Ok(Sample {
            value: received.count as f64 / received.seconds,
            cpu_per_million: Some(cpu),
            peak_memory: ends.iter().map(|end| end.peak_memory).max(),
            lost,
            details,
        })
    }
}

fn cpu_per_million(window: &Window, count: u64) -> f64 {
    window.cpu_seconds / count.max(1) as f64 * 1e6
}

/// The processes of one run.
struct Line {
    sender: Worker,
    hub: Option<Worker>,
    receiver: Worker,
}

impl Line {
    /// Ends them, the sender first.
    fn stop(self) -> Result<Vec<End>> {
        let mut ends = vec![self.sender.stop()?, self.receiver.stop()?];
        ends.extend(self.hub.map(Worker::stop).transpose()?);
        Ok(ends)
    }
}
