use crate::{Directions, Kind};
use broker_core::data::zeek::{Message, MessageView};
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
    pub(crate) fn new(kind: &Kind, directions: &Directions) -> Self {
        Self { allowed: directions.events.clone(), forbidden: kind.forbidden }
    }

    /// What is no event of Zeek has no name: it crosses unless the address lists names. Log
    /// messages cross in any case; they have rules of their own where they may go at all.
    pub(crate) fn judge(&self, value: View<'_>) -> Allowed {
        if self.allowed.is_empty() && self.forbidden.is_empty() {
            return Allowed::All;
        }
        let Ok(message) = MessageView::parse(value) else {
            return if self.allowed.is_empty() { Allowed::All } else { Allowed::Nothing(1) };
        };
        match (self.refused(message), message) {
            (0, _) => Allowed::All,
            (_, MessageView::Batch(_)) => {
                let (rest, refused) = self.without_refused(message);
                match rest {
                    Some(rest) => Allowed::Part(Value::from(rest).encode().to_vec(), refused),
                    None => Allowed::Nothing(refused),
                }
            }
            (refused, _) => Allowed::Nothing(refused),
        }
    }

    fn refused(&self, message: MessageView<'_>) -> u64 {
        match message {
            MessageView::Event(event) => u64::from(!self.allows(event.name())),
            MessageView::Batch(batch) => batch.messages().map(|inner| self.refused(inner)).sum(),
            MessageView::IdentifierUpdate(_) => u64::from(!self.allowed.is_empty()),
            MessageView::LogCreate(_) | MessageView::LogWrite(_) => 0,
        }
    }

    /// What is left of a message, and how many messages are not.
    fn without_refused(&self, message: MessageView<'_>) -> (Option<Message>, u64) {
        let MessageView::Batch(batch) = message else {
            let refused = self.refused(message);
            return ((refused == 0).then(|| message.to_message()), refused);
        };
        let mut refused = 0;
        let inner = batch.messages().filter_map(|inner| {
            let (rest, count) = self.without_refused(inner);
            refused += count;
            rest
        });
        let inner: Vec<Message> = inner.collect();
        ((!inner.is_empty()).then_some(Message::Batch(inner)), refused)
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
    use broker_core::data::zeek::{Event, LogWrite};

    fn rules(allowed: &[&str]) -> EventRules {
        let allowed = allowed.iter().map(|name| (*name).to_owned()).collect();
        EventRules { allowed, forbidden: &["Cluster::*", "stop"] }
    }

    fn event(name: &str) -> Message {
        Message::Event(Event::new(name))
    }

    fn judge(rules: &EventRules, value: &Value) -> Allowed {
        rules.judge(View::parse(&value.encode()).unwrap())
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
        let batch = |messages: &[Message]| Value::from(Message::Batch(messages.to_vec()));
        let inner = Message::Batch(vec![event("stop"), event("b")]);
        let value = batch(&[event("a"), event("stop"), inner]);
        let rest = batch(&[event("a"), Message::Batch(vec![event("b")])]);
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
        let log = Value::from(Message::LogWrite(LogWrite::default()));
        assert_eq!(judge(&rules(&["ping"]), &log), Allowed::All);
    }
}
