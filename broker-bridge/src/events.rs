use crate::{BridgeKind, Directions};
use broker_core::data::zeek::{ZeekMessage, ZeekMessageView};
use broker_core::data::{Value, View};

/// Which events may cross a bridge, by their names.
pub(crate) struct EventRules {
    /// Only these, if there are any.
    allowed: Vec<String>,
    forbidden: &'static [&'static str],
}

/// What of a message may cross.
#[derive(Debug, PartialEq)]
pub(crate) enum Allowed {
    All,
    /// This payload instead, a batch without so many of its messages.
    Part(Vec<u8>, u64),
    /// Nothing: so many messages stay here.
    Nothing(u64),
}

impl EventRules {
    pub(crate) fn new(kind: &BridgeKind, directions: &Directions) -> Self {
        Self { allowed: directions.events.clone(), forbidden: kind.forbidden }
    }

    /// What is no event of Zeek has no name: it crosses unless the address lists names. Log
    /// messages cross in any case; they have rules of their own where they may go at all.
    ///
    /// `ends_here` is whether a message gets to nobody but the endpoint itself. Forbidden events do
    /// no harm then.
    pub(crate) fn judge(&self, value: View<'_>, ends_here: bool) -> Allowed {
        let forbidden = if ends_here { &[] } else { self.forbidden };
        Rules { allowed: &self.allowed, forbidden }.judge(value)
    }
}

/// The rules that hold for one message.
struct Rules<'a> {
    allowed: &'a [String],
    forbidden: &'static [&'static str],
}

impl Rules<'_> {
    fn judge(&self, value: View<'_>) -> Allowed {
        if self.allowed.is_empty() && self.forbidden.is_empty() {
            return Allowed::All;
        }
        let Ok(message) = ZeekMessageView::parse(value) else {
            return if self.allowed.is_empty() { Allowed::All } else { Allowed::Nothing(1) };
        };
        match (self.refused(message), message) {
            (0, _) => Allowed::All,
            (_, ZeekMessageView::Batch(_)) => {
                let (rest, refused) = self.without_refused(message);
                match rest {
                    Some(rest) => Allowed::Part(Value::from(rest).encode().to_vec(), refused),
                    None => Allowed::Nothing(refused),
                }
            }
            (refused, _) => Allowed::Nothing(refused),
        }
    }

    fn refused(&self, message: ZeekMessageView<'_>) -> u64 {
        match message {
            ZeekMessageView::Event(event) => u64::from(!self.allows(event.name())),
            ZeekMessageView::Batch(batch) => {
                batch.messages().map(|inner| self.refused(inner)).sum()
            }
            ZeekMessageView::IdentifierUpdate(_) => u64::from(!self.allowed.is_empty()),
            ZeekMessageView::LogCreate(_) | ZeekMessageView::LogWrite(_) => 0,
        }
    }

    /// What is left of a message, and how many messages are not.
    fn without_refused(&self, message: ZeekMessageView<'_>) -> (Option<ZeekMessage>, u64) {
        let ZeekMessageView::Batch(batch) = message else {
            let refused = self.refused(message);
            return ((refused == 0).then(|| message.to_message()), refused);
        };
        let mut refused = 0;
        let inner = batch.messages().filter_map(|inner| {
            let (rest, count) = self.without_refused(inner);
            refused += count;
            rest
        });
        let inner: Vec<ZeekMessage> = inner.collect();
        ((!inner.is_empty()).then_some(ZeekMessage::Batch(inner)), refused)
    }

    fn allows(&self, name: &[u8]) -> bool {
        let is_listed = self.allowed.iter().any(|pattern| matches(pattern, name));
        (self.allowed.is_empty() || is_listed)
            && !self.forbidden.iter().any(|pattern| matches(pattern, name))
    }
}

/// Whether a name is the one of a pattern, or begins like it in front of a `*` at the end.
fn matches(pattern: &str, name: &[u8]) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning.as_bytes()),
        None => pattern.as_bytes() == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use broker_core::data::zeek::{LogWrite, ZeekEvent};

    fn rules(allowed: &[&str]) -> EventRules {
        let allowed = allowed.iter().map(|name| (*name).to_owned()).collect();
        EventRules { allowed, forbidden: &["Cluster::*", "stop"] }
    }

    fn event(name: &str) -> ZeekMessage {
        ZeekMessage::Event(ZeekEvent::new(name))
    }

    fn judge(rules: &EventRules, value: &Value) -> Allowed {
        rules.judge(View::parse(&value.encode()).unwrap(), false)
    }

    #[test]
    fn a_forbidden_event_may_be_looked_at_where_it_ends() {
        let payload = Value::from(event("stop")).encode();
        let view = View::parse(&payload).unwrap();
        assert_eq!(rules(&[]).judge(view, true), Allowed::All);
        assert_eq!(rules(&["ping"]).judge(view, true), Allowed::Nothing(1));
    }

    #[test]
    fn a_forbidden_event_stays_even_if_it_is_listed() {
        let (all, some) = (rules(&[]), rules(&["ping", "my_*", "stop"]));
        for (name, in_all, in_some) in [
            ("ping", true, true),
            ("my_event", true, true),
            ("other", true, false),
            ("pings", true, false),
            ("stop", false, false),
            ("Cluster::hello", false, false),
        ] {
            let value = Value::from(event(name));
            assert_eq!(judge(&all, &value) == Allowed::All, in_all, "{name}");
            assert_eq!(judge(&some, &value) == Allowed::All, in_some, "{name}");
        }
    }

    #[test]
    fn a_batch_crosses_without_what_is_refused_in_it() {
        let batch = |messages: &[ZeekMessage]| Value::from(ZeekMessage::Batch(messages.to_vec()));
        let inner = ZeekMessage::Batch(vec![event("stop"), event("b")]);
        let value = batch(&[event("a"), event("stop"), inner]);
        let rest = batch(&[event("a"), ZeekMessage::Batch(vec![event("b")])]);
        assert_eq!(judge(&rules(&[]), &value), Allowed::Part(rest.encode().to_vec(), 2));
        let refused = batch(&[event("stop"), event("stop")]);
        assert_eq!(judge(&rules(&[]), &refused), Allowed::Nothing(2));
        assert_eq!(judge(&rules(&[]), &batch(&[event("a")])), Allowed::All);
    }

    #[test]
    fn what_has_no_name_crosses_unless_names_are_listed() {
        let number = Value::Count(1);
        assert_eq!(judge(&rules(&[]), &number), Allowed::All);
        assert_eq!(judge(&rules(&["ping"]), &number), Allowed::Nothing(1));
        let log = Value::from(ZeekMessage::LogWrite(LogWrite::default()));
        assert_eq!(judge(&rules(&["ping"]), &log), Allowed::All);
    }
}
