use crate::delivery::Outbox;
use crate::events::{Allowed, EventRules};
use crate::guard::{Guard, Verdict, Way, explain};
use crate::mark::Raw;
use crate::other_side::{Incoming, OtherSide, Parcels};
use crate::overlay::Overlay;
use crate::status::Counters;
use crate::{Carried, Directions};
use broker_core::data::View;
use broker_core::endpoint::{Hub, Message};
use bytes::Bytes;
use std::sync::Arc;

/// What may pass a bridge, and the account of it: every message that arrives at a bridge is carried
/// or counted by the cause for which it is not.
pub(crate) struct Passage {
    pub(crate) overlay: Arc<Overlay>,
    pub(crate) directions: Directions,
    pub(crate) events: EventRules,
    pub(crate) guard: Guard,
    pub(crate) counters: Arc<Counters>,
}

impl Passage {
    /// Puts a message of the overlay into the outbox, as far as it may go to the other side.
    pub(crate) fn outward<S: OtherSide>(
        &mut self,
        message: &Message,
        side: &mut S,
        outbox: &mut Outbox<S::Parcel>,
    ) {
        let (topic, view) = (message.topic(), message.view());
        let mut parcels = Parcels::new();
        match self.judge(Way::Outward, topic, view) {
            Verdict::Carry => side.encode(topic, view, &mut parcels),
            Verdict::CarryInstead(payload) => {
                side.encode(topic, View::parse(&payload).unwrap_or(view), &mut parcels);
            }
            Verdict::Leave(left) => return self.leave(left, Way::Outward, topic),
        }
        let largest = self.directions.largest as usize;
        for (parcel, length) in parcels.ready {
            if largest > 0 && length > largest {
                let count = self.counters.count(Carried::TooLarge);
                self.lose(&format!(
                    "a message of {length} bytes on the topic {topic:?} is larger than the server \
                     takes, {largest} bytes; largest=N in the address sets that ({count} so far)"
                ));
                continue;
            }
            outbox.push(parcel);
        }
        outbox.ping();
        for left in parcels.left {
            let count = self.counters.count(left);
            let why = explain(left, Way::Outward, topic);
            self.lose(&format!("{why} ({count} so far)"));
        }
    }

    /// What of a message may cross, by its events and by where it has been.
    fn judge(&mut self, way: Way, topic: &[u8], value: View<'_>) -> Verdict {
        let ends_here = way == Way::Inward && !self.guard.around().others;
        match self.events.judge(value, ends_here) {
            Allowed::All => self.guard.judge(way, topic, value),
            Allowed::Nothing(count) => {
                // One of them is counted by whoever leaves the message.
                self.counters.add(Carried::NotAllowed, count.saturating_sub(1));
                Verdict::Leave(Carried::NotAllowed)
            }
            Allowed::Part(payload, count) => {
                self.counters.add(Carried::NotAllowed, count);
                let verdict = View::parse(&payload).map(|rest| self.guard.judge(way, topic, rest));
                match verdict {
                    Ok(Verdict::Carry) => Verdict::CarryInstead(payload),
                    Ok(verdict) => verdict,
                    Err(_) => Verdict::Leave(Carried::NotAllowed),
                }
            }
        }
    }

    /// Takes what the other side sends. Returns whether it is still there.
    pub(crate) async fn inward<T>(
        &mut self,
        incoming: Incoming,
        hub: &Hub,
        outbox: &mut Outbox<T>,
    ) -> bool {
        match incoming {
            Incoming::Sent => {}
            Incoming::Message { topic, payload } => self.publish(hub, &topic, &payload).await,
            Incoming::Dropped(count) => {
                let count = self.counters.add(Carried::Overflow, count);
                self.lose(&format!(
                    "messages come faster than they are taken here, and some were dropped \
                     ({count} so far)"
                ));
            }
            Incoming::Left { why, count, text } => {
                // What has crossed other bridges comes from there; the rest was to go there.
                if why != Carried::Crossed {
                    outbox.leave(count);
                }
                let count = self.counters.add(why, count);
                self.lose(&format!("{text} ({count} so far)"));
            }
            Incoming::Member { id, name, is_there } => self.note_member(id, name, is_there),
            Incoming::Noted(text) => self.overlay.inform(&self.counters, &text),
            Incoming::Confirmed(number) => {
                self.counters.add(Carried::ToServer, outbox.confirm(number));
                outbox.ping();
            }
            Incoming::Refused(reason) => {
                let count = self.counters.count(Carried::Refused);
                self.counters.note_refusal(&reason);
                self.lose(&format!("the server refuses: {reason} ({count} so far)"));
            }
            Incoming::Unexpected(reason) => {
                let count = self.counters.count(Carried::Unexpected);
                let what = "the server sent something that is no message";
                self.complain(&format!("{what}: {reason} ({count} so far)"));
            }
            Incoming::Lost(error) => {
                self.complain(&error.to_string());
                return false;
            }
        }
        true
    }

    async fn publish(&mut self, hub: &Hub, topic: &[u8], payload: &[u8]) {
        let verdict = View::parse(payload).map(|view| (view, self.judge(Way::Inward, topic, view)));
        let published = match verdict {
            Ok((view, Verdict::Carry)) => hub.publish(topic, &Raw(view)).await,
            Ok((view, Verdict::CarryInstead(payload))) => {
                hub.publish(topic, &Raw(View::parse(&payload).unwrap_or(view))).await
            }
            Ok((_, Verdict::Leave(left))) => return self.leave(left, Way::Inward, topic),
            Err(error) => return self.cannot_publish(topic, &error),
        };
        match published {
            Ok(_) => _ = self.counters.count(Carried::FromServer),
            Err(error) => self.cannot_publish(topic, &error),
        }
    }

    fn cannot_publish(&self, topic: &[u8], error: &dyn std::error::Error) {
        self.counters.count(Carried::Unexpected);
        let topic = String::from_utf8_lossy(topic);
        self.complain(&format!("a message on the topic {topic:?}: {error}"));
    }

    fn leave(&self, left: Carried, way: Way, topic: &[u8]) {
        self.counters.count(left);
        self.complain(&explain(left, way, topic));
    }

    /// Counts what is not confirmed, now that it cannot be any more.
    pub(crate) fn report_lost<T>(&self, outbox: &mut Outbox<T>) {
        let lost = outbox.lose();
        if lost > 0 {
            self.counters.add(Carried::Lost, lost);
            self.lose(&format!(
                "the connection ended before the server had confirmed {lost} messages: they are \
                 lost"
            ));
        }
    }

    /// Reports what the endpoint wants and does not get, because it goes the other way.
    pub(crate) fn report_left_out(&self, wanted: &[Bytes]) {
        let left_out = self.directions.left_out(wanted);
        if !left_out.is_empty() {
            self.complain(&format!(
                "{left_out:?} is wanted here and not asked for, because these topics go to the \
                 server"
            ));
        }
    }

    fn note_member(&self, id: String, name: Option<String>, is_there: bool) {
        let what = if is_there { "is there" } else { "has gone" };
        let text = match &name {
            Some(name) => format!("{name} {what} ({id})"),
            None => format!("{id} {what}"),
        };
        if self.counters.note_member(id, name, is_there) {
            self.overlay.inform(&self.counters, &text);
        }
    }

    pub(crate) fn complain(&self, what: &str) {
        self.overlay.complain(&self.counters, what);
    }

    fn lose(&self, what: &str) {
        self.overlay.lose(&self.counters, what);
    }
}
