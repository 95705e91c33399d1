use super::is_internal;
use super::offences::{Offence, Offences};
use super::route::{Route, Way};
use super::router::Router;
use super::table::{Destinations, Peer, Sink};
use crate::EndpointId;
use crate::Failure;
use crate::OverflowPolicy;
use crate::Reason;
use crate::data::{DecodeLimits, validate};
use crate::limits::FilterLimits;
use crate::limits::{Limits, SHARED_FRAME_MIN};
use crate::overlay::Stream;
use crate::peering::ConnectionId;
use crate::queue::Push;
use crate::wire::DEFAULT_TTL;
use crate::wire::announcement::Announcement;
use crate::wire::command;
use crate::wire::drops;
use crate::wire::envelope::{
    self, Envelope, EnvelopeType, HEADER_LEN, PASSAGE_LEN, Passage, pass_on, pong_frame,
    put_with_passage, put_without_passage, readdress,
};
use crate::wire::frame::{self, PREFIX};
use crate::wire::routing_update;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// What the caller of [`Inbound::step`] has to do before the next step.
#[derive(Debug)]
pub enum Progress {
    /// The region is used up.
    Done,
    /// Wait until this local consumer has room.
    Wait(Arc<Sink>),
    /// Something that is not the data path's business.
    Notice(Notice),
}

/// What the data path passes on to those who decide.
#[allow(missing_docs, reason = "the fields are what their names say")]
#[derive(Debug)]
pub enum Notice {
    /// The peer has announced a new filter.
    RoutingUpdate(Vec<Bytes>),
    /// The peer tells what it knows of the overlay.
    Announcement(Announcement),
    /// A pong with this payload.
    Pong(Bytes),
    /// The peer causes answers and does not read them.
    ControlOverflow,
    /// The peer did, for the first time, something that a conforming peer does not.
    Misbehaved { reason: Reason, what: String },
    /// The peer went too far.
    Cut(Failure),
}

/// What a peer may send.
#[derive(Debug, Clone, Copy)]
pub struct InboundLimits {
    /// How large an announced filter may be.
    pub filter: FilterLimits,
    /// How many more bad messages than good ones are put up with.
    pub bad_messages: usize,
}

impl From<&Limits> for InboundLimits {
    fn from(limits: &Limits) -> Self {
        Self { filter: limits.filter(), bad_messages: limits.bad_messages }
    }
}

/// Takes the envelopes that one peer sends to where they belong.
///
/// Consecutive messages on one topic are handled together: one look-up, one copy for each
/// destination. No message is decoded; the payload is checked, because malformed payloads must not
/// leave this endpoint, and passed on byte for byte.
pub struct Inbound {
    peer: Arc<Peer>,
    filter: FilterLimits,
    offences: Offences,
    /// The last topic, the way of its messages, and where they go.
    route: Option<(Vec<u8>, Way, Route)>,
    /// The last stream of messages with a passage.
    stream: Option<(EndpointId, u32, Arc<Stream>)>,
    /// Whether it has been said that the peer sends what it may not send.
    told_rights: bool,
    /// Those whose messages have come back from the peer, as far as that has been said.
    circles: BTreeSet<EndpointId>,
    /// What is to be said before the next message.
    notice: Option<Notice>,
    /// Where frames are put into the form for peers that speak another version.
    converted: Vec<u8>,
    /// Peers whose queue overflowed for good.
    pub cut: Vec<ConnectionId>,
}

/// Neighbours in circles that are named for one peer.
const CIRCLES_TOLD: usize = 16;

/// Whole frames that have arrived.
pub trait Region: AsRef<[u8]> + AsMut<[u8]> {
    /// One of them to be shared by those who get it. It is not there any more afterwards, if it
    /// need not be copied.
    fn share(&mut self, frame: Range<usize>) -> Bytes;
}

impl Region for [u8] {
    fn share(&mut self, frame: Range<usize>) -> Bytes {
        Bytes::copy_from_slice(self.get(frame).unwrap_or_default())
    }
}

/// A single frame, whose memory is left to those who get it.
impl Region for Vec<u8> {
    fn share(&mut self, frame: Range<usize>) -> Bytes {
        match frame == (0..self.len()) {
            true => std::mem::take(self).into(),
            false => self.as_mut_slice().share(frame),
        }
    }
}

/// What to do with one envelope.
enum Verdict {
    /// Data or a command; part of a run with its neighbours on the same topic.
    Route,
    /// Handled, unless there is something for those who decide.
    Take(Option<Notice>),
    /// Neither good nor bad.
    Ignore,
    /// Not what this peer may send.
    NotPermitted(String),
    /// Not what a conforming peer sends.
    Bad(Offence, String),
}

impl Inbound {
    /// The receiving side of a new peering.
    pub fn new(peer: Arc<Peer>, limits: InboundLimits) -> Self {
        let offences = Offences::new(limits.bad_messages);
        Self {
            peer,
            filter: limits.filter,
            offences,
            route: None,
            stream: None,
            told_rights: false,
            circles: BTreeSet::new(),
            notice: None,
            converted: Vec::new(),
            cut: Vec::new(),
        }
    }

    /// Whose messages these are.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Handles whole frames from the start of `region`, and says how many bytes of it are done.
    ///
    /// Frames that are passed on are readdressed in place, so nobody may look at them again.
    pub fn step(
        &mut self,
        router: &Router,
        region: &mut (impl Region + ?Sized),
    ) -> (usize, Progress) {
        let mut at = 0;
        while let Some(length) = frame_length(region.as_ref(), at) {
            if let Some(notice) = self.notice.take() {
                return (at, Progress::Notice(notice));
            }
            let all = region.as_ref();
            let bytes = all.get(at + PREFIX..at + length).unwrap_or_default();
            if bytes.is_empty() {
                at += length;
                continue;
            }
            let envelope = match Envelope::decode(bytes) {
                Ok(envelope) => envelope,
                Err(error) => {
                    at += length;
                    if let Some(notice) = self.bad(Offence::Malformed, &error.to_string()) {
                        return (at, Progress::Notice(notice));
                    }
                    continue;
                }
            };
            let kind = envelope.kind;
            let passage = envelope::passage(bytes);
            let notice = match self.judge(router, &envelope, passage) {
                Verdict::Route => {
                    let mut run = self.run(router, at, length, &envelope, passage);
                    if let Some(sink) = run.full_sink() {
                        return (at, Progress::Wait(sink));
                    }
                    if passage.is_none() && self.has_come_back(router, &envelope) {
                        self.count(kind, 1, length);
                        at += length;
                        continue;
                    }
                    // The copy of the relay that passes it on comes from there.
                    let passed = !run.destinations.elsewhere
                        && self.extend(router, &mut run, all, at, &envelope, passage);
                    self.count(kind, run.frames, run.end - at);
                    if !passed {
                        self.peer.counters.duplicates.fetch_add(1, Relaxed);
                        at = run.end;
                        continue;
                    }
                    self.deliver(router, &run, region, at);
                    self.offences.make_up_for(run.frames);
                    at = run.end;
                    continue;
                }
                Verdict::Take(notice) => {
                    self.offences.make_up_for(1);
                    notice
                }
                Verdict::Ignore => None,
                Verdict::NotPermitted(what) => self.not_permitted(what),
                Verdict::Bad(offence, what) => self.bad(offence, &what),
            };
            self.count(kind, 1, length);
            at += length;
            if let Some(notice) = notice {
                return (at, Progress::Notice(notice));
            }
        }
        (at, self.notice.take().map_or(Progress::Done, Progress::Notice))
    }

    fn count(&self, kind: EnvelopeType, frames: usize, bytes: usize) {
        if let Some(counter) = self.peer.counters.messages_in.get(kind as usize - 1) {
            counter.fetch_add(frames as u64, Relaxed);
        }
        self.peer.counters.bytes_in.fetch_add(bytes as u64, Relaxed);
    }

    fn judge(&self, router: &Router, envelope: &Envelope<'_>, passage: Option<Passage>) -> Verdict {
        let carries = !envelope.kind.is_control();
        if carries && passage.is_some() != self.peer.has_passages() {
            let what = "an envelope of another version of the protocol".to_owned();
            return Verdict::Bad(Offence::Malformed, what);
        }
        // Only relays bring messages of others.
        let may_be_others = passage.is_some() && self.peer.is_relay() && !envelope.sender.is_nil();
        if envelope.sender != self.peer.id && !may_be_others {
            let what = format!("sent an envelope in the name of {}", envelope.sender);
            return Verdict::Bad(Offence::Forged, what);
        }
        if is_internal(envelope.topic) {
            let what = "sent a message on a topic below <$>/local/".to_owned();
            return Verdict::Bad(Offence::Internal, what);
        }
        if carries && let Some(what) = self.forbidden(envelope, passage) {
            return Verdict::NotPermitted(what);
        }
        let for_us = envelope.receiver.is_nil() || envelope.receiver == router.id;
        match envelope.kind {
            // Publishers of the C++ Broker make these of nested variants.
            EnvelopeType::Data if envelope.payload.is_empty() => {
                self.peer.counters.malformed.fetch_add(1, Relaxed);
                Verdict::Ignore
            }
            EnvelopeType::Data | EnvelopeType::Command => match check_payload(router, envelope) {
                Ok(()) => Verdict::Route,
                Err(what) => Verdict::Bad(Offence::Malformed, what),
            },
            // What keeps a link working is between its two ends; the C++ Broker passes it on.
            _ if !for_us => Verdict::Take(None),
            EnvelopeType::RoutingUpdate => self.routing_update(envelope.payload),
            EnvelopeType::Announcement if self.peer.is_relay() => {
                match Announcement::decode(envelope.payload) {
                    Ok(announcement) => Verdict::Take(Some(Notice::Announcement(announcement))),
                    Err(error) => Verdict::Bad(Offence::Malformed, error.to_string()),
                }
            }
            EnvelopeType::Announcement => {
                let what = "an announcement of an endpoint that is no relay".to_owned();
                Verdict::Bad(Offence::Malformed, what)
            }
            EnvelopeType::Ping => {
                match drops::total(envelope.payload).filter(|_| self.peer.has_passages()) {
                    Some(total) => self.note_missed(router, total),
                    // In front of the pong, so that whoever says bye knows all.
                    None => self.peer.tell_drops(router.id),
                }
                self.answer(router, envelope.payload)
            }
            EnvelopeType::Pong => {
                let payload = Bytes::copy_from_slice(envelope.payload);
                Verdict::Take(Some(Notice::Pong(payload)))
            }
        }
    }

    fn routing_update(&self, payload: &[u8]) -> Verdict {
        match routing_update::decode(payload, self.filter) {
            Ok(filter) => Verdict::Take(Some(Notice::RoutingUpdate(filter))),
            // Without its filter nobody can serve the peer.
            Err(error) if error.is_too_large() => {
                let what = format!("the filter of the peer: {error}");
                Verdict::Take(Some(Notice::Cut(Failure::LimitReached(what))))
            }
            Err(error) => Verdict::Bad(Offence::Malformed, format!("routing update: {error}")),
        }
    }

    /// Takes note of how many messages for this endpoint the peer has dropped.
    fn note_missed(&self, router: &Router, total: u64) {
        let before = self.peer.counters.missed.fetch_max(total, Relaxed);
        router.missed.fetch_add(total.saturating_sub(before), Relaxed);
    }

    fn answer(&self, router: &Router, payload: &[u8]) -> Verdict {
        let pong = pong_frame(router.id, self.peer.id, payload);
        let overflow = self.peer.queue.push_control(&pong) == Push::Overflow;
        Verdict::Take(overflow.then_some(Notice::ControlOverflow))
    }

    /// What of a message its peer may not do.
    fn forbidden(&self, envelope: &Envelope<'_>, passage: Option<Passage>) -> Option<String> {
        let rights = &self.peer.rights;
        if !rights.may_publish(envelope.topic) {
            let topic = String::from_utf8_lossy(envelope.topic);
            return Some(format!("sent a message on {topic:?}, where it may not publish"));
        }
        if rights.may_bring_others() {
            return None;
        }
        // Only a relay sends messages with less than all hops.
        let is_others = match passage {
            Some(_) => envelope.sender != self.peer.id,
            None => envelope.ttl < DEFAULT_TTL,
        };
        is_others
            .then(|| "sent a message of another endpoint, which it may not bring in".to_owned())
    }

    /// Takes note of a message that the peer may not send, which goes no further. The peer need not
    /// know what it may do, so that is no reason to cut it.
    fn not_permitted(&mut self, what: String) -> Option<Notice> {
        self.peer.counters.not_permitted.fetch_add(1, Relaxed);
        let first = !std::mem::replace(&mut self.told_rights, true);
        first.then_some(Notice::Misbehaved { reason: Reason::NotPermitted, what })
    }

    /// Looks for the sign of a circle through peers of version 1. Returns whether the message goes
    /// no further because of it.
    fn has_come_back(&mut self, router: &Router, message: &Envelope<'_>) -> bool {
        let (peer, now) = (&self.peer, self.peer.heard.last());
        let Some(first) = router.loops.came_back(message, peer.id, now) else { return false };
        peer.counters.looped.fetch_add(1, Relaxed);
        *peer.counters.looped_from.lock() = Some(first);
        if self.circles.len() < CIRCLES_TOLD && self.circles.insert(first) {
            let topic = String::from_utf8_lossy(message.topic);
            let what = format!(
                "brought back a message on {topic:?} that has come from {first} before, with {} \
                 hops left: endpoints of version 1 are connected in a circle",
                message.ttl
            );
            self.notice = Some(Notice::Misbehaved { reason: Reason::LoopDetected, what });
        }
        router.loops.drops()
    }

    /// Takes note of a bad message, which goes no further.
    fn bad(&mut self, offence: Offence, what: &str) -> Option<Notice> {
        let what = match offence {
            Offence::Malformed => format!("sent a malformed message, which was dropped: {what}"),
            Offence::Forged | Offence::Internal => what.to_owned(),
        };
        offence.counter(&self.peer.counters).fetch_add(1, Relaxed);
        self.offences.add(offence, what)
    }

    /// What becomes of a message, and of those that go the same way.
    fn run(
        &mut self,
        router: &Router,
        at: usize,
        length: usize,
        first: &Envelope<'_>,
        passage: Option<Passage>,
    ) -> Run {
        let entry = passage.map(|passage| passage.entry).filter(|entry| !entry.is_nil());
        let (hop, publisher) = (self.peer.id, first.sender);
        // What has not been in the hands of a relay enters here.
        let way = Way { entry: entry.unwrap_or(router.id), publisher, hop };
        let destinations = self.destinations(router, first.topic, way);
        let unicast = (!first.receiver.is_nil()).then_some(first.receiver);
        let ways = match unicast {
            Some(receiver) if receiver != router.id && router.forwarding => {
                let table = router.table();
                let scope = table.scope(way.entry, publisher, hop);
                table.ways_to(receiver, first.topic, scope, true)
            }
            _ => Vec::new(),
        };
        Run {
            end: at + length,
            frames: 1,
            data: first.kind == EnvelopeType::Data,
            local: unicast.is_none_or(|receiver| receiver == router.id),
            ways,
            multicast: unicast.is_none(),
            ttl: first.ttl,
            entry: way.entry,
            has_passage: passage.is_some(),
            destinations,
        }
    }

    /// Adds the frames behind the first one that go the same way. Returns whether the first one
    /// may pass; if it has been here before there are no others.
    fn extend(
        &mut self,
        router: &Router,
        run: &mut Run,
        region: &[u8],
        at: usize,
        first: &Envelope<'_>,
        passage: Option<Passage>,
    ) -> bool {
        let most = run.vacancy();
        // A large frame is a run of its own, so that it can be shared.
        let is_small = run.end - at < SHARED_FRAME_MIN;
        let head = HEADER_LEN + passage.map_or(0, |_| PASSAGE_LEN) + first.topic.len();
        let head = region.get(at + PREFIX..at + PREFIX + head).unwrap_or_default();
        let fits = |run: &Run, limit: usize| {
            let length =
                frame_length(region, run.end).filter(|_| is_small && run.frames < limit)?;
            let bytes = region.get(run.end + PREFIX..run.end + length).unwrap_or_default();
            let (number, payload) = behind_head(head, bytes, passage.is_some())?;
            let next = Envelope { payload, ..*first };
            let goes = length < SHARED_FRAME_MIN && check_payload(router, &next).is_ok();
            goes.then_some((length, number))
        };
        let Some(passage) = passage else {
            // Each is looked at by itself if it may be one that comes back.
            while !router.loops.is_watching()
                && let Some((length, _)) = fits(run, most)
            {
                run.end += length;
                run.frames += 1;
            }
            return true;
        };
        // What this endpoint has sent comes back.
        if first.sender == router.id || passage.entry == router.id {
            return false;
        }
        let stream = self.stream(router, first.sender, passage.stream);
        // One frame is looked at before it is known whether it may pass.
        let mut ahead = None;
        let passed = stream.pass(passage.number, || {
            if let Some(length) = ahead.take() {
                run.end += length;
                run.frames += 1;
            }
            let (length, number) = fits(run, most)?;
            ahead = Some(length);
            Some(number)
        });
        passed > 0
    }

    fn stream(&mut self, router: &Router, publisher: EndpointId, name: u32) -> Arc<Stream> {
        match &self.stream {
            Some((of, known, stream)) if *of == publisher && *known == name => Arc::clone(stream),
            _ => {
                let stream = router.streams.get(publisher, name);
                self.stream = Some((publisher, name, Arc::clone(&stream)));
                stream
            }
        }
    }

    fn destinations(&mut self, router: &Router, topic: &[u8], way: Way) -> Arc<Destinations> {
        if let Some((last, of, route)) = &self.route
            && last == topic
            && *of == way
            && let Some(destinations) = route.destinations(router)
        {
            return destinations;
        }
        let (route, destinations) = Route::find(router, topic, way);
        let mut last = self.route.take().map(|(last, ..)| last).unwrap_or_default();
        last.clear();
        last.extend_from_slice(topic);
        self.route = Some((last, way, route));
        destinations
    }

    /// Hands the frames of a run over, which begins at `at`.
    fn deliver(
        &mut self,
        router: &Router,
        run: &Run,
        region: &mut (impl Region + ?Sized),
        at: usize,
    ) {
        let frames = at..run.end;
        let source = self.peer.id;
        let is_large = run.frames == 1 && frames.len() >= SHARED_FRAME_MIN;
        let peers = || run.peers().filter(move |peer| peer.id != source);
        let forwards = router.forwarding && peers().next().is_some();
        if run.data && run.local && !run.destinations.sinks.is_empty() {
            // Those behind this endpoint get another sender.
            let shared = match (is_large, forwards) {
                (true, false) => Some(region.share(frames.clone())),
                (true, true) => {
                    region.as_mut().get_mut(frames.clone()).map(|f| f.share(0..f.len()))
                }
                (false, _) => None,
            };
            let small = region.as_ref().get(frames.clone()).unwrap_or_default();
            for sink in &run.destinations.sinks {
                match &shared {
                    Some(frame) => sink.queue.push_shared(frame, true),
                    None => sink.queue.push(small, run.frames, true),
                };
            }
        }
        // The hop that brings it here has used one up; the next peer gets what is left. In a circle
        // a message goes round until it has none, so nobody gets more than this endpoint gives.
        let ttl = run.ttl.min(DEFAULT_TTL).checked_sub(1).filter(|ttl| *ttl > 0);
        if !run.destinations.tallies.is_empty() {
            let copies = if forwards && ttl.is_some() { peers().count() } else { 0 };
            run.destinations.count(run.frames, frames.len(), copies);
        }
        if !forwards {
            return;
        }
        let Some(ttl) = ttl else {
            self.peer.counters.expired.fetch_add(run.frames as u64, Relaxed);
            return;
        };
        let (own, same) = (router.id, |peer: &&Arc<Peer>| peer.has_passages() == run.has_passage);
        if !peers().all(|peer| same(&peer)) {
            self.converted.clear();
            for frame in whole_frames(region.as_ref().get(frames.clone()).unwrap_or_default()) {
                match run.has_passage {
                    true => put_without_passage(&mut self.converted, frame, own, ttl),
                    false => {
                        let passage = router.own_passage(router.next_numbers(1));
                        put_with_passage(&mut self.converted, frame, passage, ttl);
                    }
                }
            }
            if run.has_passage && router.loops.is_watching() {
                let now = self.peer.heard.last();
                let region = region.as_ref().get(frames.clone()).unwrap_or_default();
                for message in whole_frames(region).filter_map(|frame| frame.get(PREFIX..)) {
                    if let Ok(message) = Envelope::decode(message) {
                        router.loops.note(&message, source, now);
                    }
                }
            }
            // Without a passage it may be no large one any more.
            let is_large = run.frames == 1 && self.converted.len() >= SHARED_FRAME_MIN;
            let shared = is_large.then(|| Bytes::copy_from_slice(&self.converted));
            let others = peers().filter(|peer| !same(peer));
            push_to(others, shared.as_ref(), &self.converted, run.frames, &mut self.cut);
        }
        let mut rest = region.as_mut().get_mut(frames.clone()).unwrap_or_default();
        while let Some(length) = frame_length(rest, 0) {
            let Some((frame, behind)) = rest.split_at_mut_checked(length) else { break };
            match run.has_passage {
                true => pass_on(frame, run.entry, ttl),
                false => readdress(frame, own, ttl),
            }
            rest = behind;
        }
        let shared =
            (is_large && peers().any(|peer| same(&peer))).then(|| region.share(frames.clone()));
        let small = region.as_ref().get(frames).unwrap_or_default();
        push_to(peers().filter(same), shared.as_ref(), small, run.frames, &mut self.cut);
    }
}

/// What stands behind a head that is the same but for the number in it, and that number.
fn behind_head<'a>(head: &[u8], bytes: &'a [u8], has_passage: bool) -> Option<(u64, &'a [u8])> {
    if !has_passage {
        return Some((0, bytes.strip_prefix(head)?));
    }
    const NUMBER: std::ops::Range<usize> = HEADER_LEN + 4..HEADER_LEN + 12;
    let (other, payload) = bytes.split_at_checked(head.len())?;
    let same = other.get(..NUMBER.start) == head.get(..NUMBER.start)
        && other.get(NUMBER.end..) == head.get(NUMBER.end..);
    let number = other.get(NUMBER)?.first_chunk().filter(|_| same)?;
    Some((u64::from_be_bytes(*number), payload))
}

/// Hands frames to peers, and notes those that this was too much for.
fn push_to<'a>(
    peers: impl Iterator<Item = &'a Arc<Peer>>,
    shared: Option<&Bytes>,
    small: &[u8],
    count: usize,
    cut: &mut Vec<ConnectionId>,
) {
    for peer in peers {
        let pushed = match shared {
            Some(frame) => peer.queue.push_shared(frame, false),
            None => peer.queue.push(small, count, false),
        };
        if pushed == Push::Overflow {
            cut.push(peer.conn);
        }
    }
}

/// Consecutive frames that go the same way.
struct Run {
    end: usize,
    frames: usize,
    data: bool,
    local: bool,
    /// The peers that lead to the addressed endpoint.
    ways: Vec<Arc<Peer>>,
    multicast: bool,
    ttl: u16,
    /// Where the messages have entered the overlay.
    entry: EndpointId,
    has_passage: bool,
    destinations: Arc<Destinations>,
}

impl Run {
    fn peers(&self) -> impl Iterator<Item = &Arc<Peer>> {
        let multicast = self.multicast.then_some(&self.destinations.peers);
        multicast.into_iter().flatten().chain(&self.ways)
    }

    /// The local consumers that the input has to wait for.
    fn waiting_sinks(&self) -> impl Iterator<Item = &Arc<Sink>> {
        let waits = |sink: &&Arc<Sink>| sink.queue.policy() == OverflowPolicy::Wait;
        let sinks = (self.data && self.local).then_some(&self.destinations.sinks);
        sinks.into_iter().flatten().filter(waits)
    }

    fn full_sink(&self) -> Option<Arc<Sink>> {
        self.waiting_sinks().find(|sink| sink.queue.is_full()).cloned()
    }

    /// How many frames they have room for.
    fn vacancy(&self) -> usize {
        self.waiting_sinks().map(|sink| sink.queue.vacancy()).min().unwrap_or(usize::MAX)
    }
}

fn whole_frames(mut frames: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (frame, rest) = frames.split_at_checked(frame_length(frames, 0)?)?;
        frames = rest;
        Some(frame)
    })
}

fn frame_length(region: &[u8], at: usize) -> Option<usize> {
    let rest = region.get(at..)?;
    frame::frame_length(rest).filter(|length| *length <= rest.len())
}

fn check_payload(router: &Router, envelope: &Envelope<'_>) -> Result<(), String> {
    let limits = DecodeLimits { max_depth: router.data_depth };
    if envelope.kind == EnvelopeType::Data {
        validate(envelope.payload, limits).map_err(|error| format!("data: {error}"))
    } else {
        command::validate(envelope.payload, limits).map_err(|error| format!("command: {error}"))
    }
}
