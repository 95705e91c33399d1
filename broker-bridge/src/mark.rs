use broker_core::EndpointId;
use broker_core::data::zeek::{ZeekEvent, ZeekEventView, ZeekMessage, ZeekMessageView};
use broker_core::data::{Encode, Value, View};
use std::collections::BTreeSet;

/// The id, among the metadata of an event, under which a bridge notes how many bridges have carried
/// the event, as a count. Receivers ignore metadata that they do not know.
///
/// Zeek's own server drops it as well, so nothing relies on it having gone through one.
pub const BRIDGES_CROSSED: u64 = 0x6272_6467;

/// The id, among the metadata of an event, under which bridges note which endpoints the event has
/// been in: their ids in a string, with blanks in between.
pub const ENDPOINTS_CROSSED: u64 = 0x6272_6468;

/// The most endpoints that are noted; what has been in more is left by its count.
const ENDPOINTS_MAX: usize = 16;

/// Whether a message has been in this endpoint before, as far as bridges know.
pub(crate) fn has_been_in(value: View<'_>, endpoint: EndpointId) -> bool {
    ZeekMessageView::parse(value).is_ok_and(|message| endpoints(message).contains(&endpoint))
}

fn endpoints(message: ZeekMessageView<'_>) -> BTreeSet<EndpointId> {
    match message {
        ZeekMessageView::Event(event) => noted_endpoints(event),
        ZeekMessageView::Batch(batch) => batch.messages().flat_map(endpoints).collect(),
        _ => BTreeSet::new(),
    }
}

fn noted_endpoints(event: ZeekEventView<'_>) -> BTreeSet<EndpointId> {
    let marks = event.metadata().filter(|&(id, _)| id == ENDPOINTS_CROSSED);
    let texts = marks.filter_map(|(_, value)| value.as_str());
    let ids = texts.flat_map(|text| text.split(' ').take(ENDPOINTS_MAX));
    ids.filter_map(|id| id.parse().ok()).take(ENDPOINTS_MAX).collect()
}

/// How many bridges have carried a message before; in a batch, the one that has come furthest.
/// What is no event does not say.
pub(crate) fn crossed(value: View<'_>) -> u64 {
    ZeekMessageView::parse(value).map_or(0, crossed_by)
}

fn crossed_by(message: ZeekMessageView<'_>) -> u64 {
    match message {
        ZeekMessageView::Event(event) => noted(event),
        ZeekMessageView::Batch(batch) => batch.messages().map(crossed_by).max().unwrap_or(0),
        _ => 0,
    }
}

fn noted(event: ZeekEventView<'_>) -> u64 {
    let marks = event.metadata().filter(|&(id, _)| id == BRIDGES_CROSSED);
    marks.filter_map(|(_, value)| value.as_count()).max().unwrap_or(0)
}

/// The message, encoded, with one more bridge noted, and the endpoint that it leaves; `None` if it
/// has no place for that.
pub(crate) fn marked(value: View<'_>, leaves: Option<EndpointId>) -> Option<Vec<u8>> {
    let message = ZeekMessageView::parse(value).ok()?;
    let has_place = matches!(message, ZeekMessageView::Event(_) | ZeekMessageView::Batch(_));
    has_place.then(|| {
        let mut payload = Vec::with_capacity(value.raw().len() + 64);
        mark(message, leaves).encode_into(&mut payload);
        payload
    })
}

fn mark(message: ZeekMessageView<'_>, leaves: Option<EndpointId>) -> ZeekMessage {
    match message {
        ZeekMessageView::Event(view) => {
            let crossed = noted(view).saturating_add(1);
            let been_in = noted_endpoints(view).into_iter().chain(leaves);
            let been_in: BTreeSet<String> = been_in.map(|id| id.to_string()).collect();
            let been_in: Vec<String> = been_in.into_iter().collect();
            let mut event = ZeekEvent::from(view);
            let marks = [BRIDGES_CROSSED, ENDPOINTS_CROSSED];
            event.metadata.get_or_insert_default().retain(|(id, _)| !marks.contains(id));
            let event = event.metadata(BRIDGES_CROSSED, crossed);
            ZeekMessage::Event(match been_in.is_empty() {
                true => event,
                false => event.metadata(ENDPOINTS_CROSSED, Value::from(been_in.join(" ").as_str())),
            })
        }
        ZeekMessageView::Batch(batch) => {
            ZeekMessage::Batch(batch.messages().map(|message| mark(message, leaves)).collect())
        }
        other => other.to_message(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use broker_core::data::Timestamp;

    fn after(value: &Value) -> Option<Value> {
        let payload = marked(View::parse(&value.encode()).unwrap(), None)?;
        Some(Value::decode(&payload).unwrap())
    }

    fn count(value: &Value) -> u64 {
        crossed(View::parse(&value.encode()).unwrap())
    }

    #[test]
    fn each_bridge_adds_one_and_leaves_everything_else() {
        let event = ZeekEvent::new("ping").arg(1_u64).network_timestamp(Timestamp(5));
        let once = after(&Value::from(event.clone())).unwrap();
        assert_eq!(once, Value::from(event.clone().metadata(BRIDGES_CROSSED, 1_u64)));
        let twice = after(&once).unwrap();
        assert_eq!(twice, Value::from(event.metadata(BRIDGES_CROSSED, 2_u64)));
        assert_eq!((count(&once), count(&twice)), (1, 2));
    }

    #[test]
    fn a_batch_has_crossed_what_its_furthest_event_has() {
        let event = |crossed: u64| {
            ZeekMessage::Event(ZeekEvent::new("e").metadata(BRIDGES_CROSSED, crossed))
        };
        let inner = ZeekMessage::Batch(vec![event(3)]);
        let batch = Value::from(ZeekMessage::Batch(vec![event(1), inner]));
        assert_eq!(count(&batch), 3);
        assert_eq!(count(&after(&batch).unwrap()), 4);
    }

    #[test]
    fn what_is_no_event_has_no_place_for_a_mark() {
        for value in [Value::Count(1), Value::Vector(vec![])] {
            assert_eq!((count(&value), after(&value)), (0, None));
        }
    }

    #[test]
    fn an_event_knows_the_endpoints_that_it_has_been_in() {
        let (one, two) = (EndpointId::random(), EndpointId::random());
        let event = Value::from(ZeekEvent::new("e"));
        let payload = marked(View::parse(&event.encode()).unwrap(), Some(one)).unwrap();
        let payload = marked(View::parse(&payload).unwrap(), Some(two)).unwrap();
        let view = View::parse(&payload).unwrap();
        assert!(has_been_in(view, one) && has_been_in(view, two));
        assert!(!has_been_in(view, EndpointId::random()));
        let odd = Value::from(ZeekEvent::new("e").metadata(ENDPOINTS_CROSSED, Value::from("x  y")));
        assert!(!has_been_in(View::parse(&odd.encode()).unwrap(), one));
    }

    #[test]
    fn a_mark_that_is_no_number_is_none() {
        let event = ZeekEvent::new("e").metadata(BRIDGES_CROSSED, Value::from("many"));
        assert_eq!(count(&Value::from(event)), 0);
        let event = ZeekEvent::new("e").metadata(BRIDGES_CROSSED, u64::MAX);
        let again = after(&Value::from(event)).unwrap();
        assert_eq!(count(&again), u64::MAX);
    }
}
