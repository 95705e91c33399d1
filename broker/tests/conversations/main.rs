//! Recorded conversations with the C++ Broker, replayed frame by frame against an endpoint of this
//! project over real sockets.

#![allow(clippy::unwrap_used, clippy::panic)]

mod recording;
mod replay;
mod stranger;
mod subject;
mod tables;
mod zeek;

use recording::Scenario;
use std::collections::BTreeSet;

/// A test for each scenario of a file, named after it.
macro_rules! scenarios {
    ($file:literal, $list:ident: $($name:ident)*) => {
        const $list: &[&str] = &[$(stringify!($name)),*];

        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let scenario = Scenario::find($file, &scenario_name($file, stringify!($name)));
                replay::replay(scenario).await;
            }
        )*
    };
}

mod conversations {
    use super::*;

    scenarios! {
        "conversations.json", ALL:
        accept_from_lower_id
        accept_from_higher_id
        connect_to_lower_id
        connect_to_higher_id
        forward
        ping
        routing_update
        wrong_magic
        unsupported_versions
        unknown_message
        redundant_lower
        redundant_higher
        shutdown
        unpeer_acknowledged
        unpeer_unanswered
    }

    #[test]
    fn every_scenario_is_replayed() {
        assert_complete("conversations.json", ALL);
    }
}

mod conversations_more {
    use super::*;

    scenarios! {
        "conversations-more.json", ALL:
        simultaneous_connect_to_higher_id_inbound_first
        simultaneous_connect_to_higher_id_outbound_first
        simultaneous_connect_to_lower_id_outbound_kept
        simultaneous_connect_to_lower_id_inbound_kept
        paused_connection_first_fails
        redundant_at_responder
        late_drop_conn_responder
        late_drop_conn_originator
        drop_conn_not_peered
        address_override
        equal_ids
        probes
        zero_length_in_handshake
        pipelined_originator
        zero_length_frames
        length_too_large
        unicast
        foreign_ping
        forged_sender
        routing_update_variants
        filter_growth
        subscription_during_handshake
        internal_topics
        disable_forwarding
        data_after_bye
        bye_unanswered
        remote_bye
        remote_bye_reconnect
        lost_and_re_established
        lost_accepted
        shutdown_events
        peer_again_during_bye_originator
        peer_again_during_bye_responder
        unavailable
        malformed_routing_update
        overflow_disconnect
        overflow_drop_newest
        overflow_drop_oldest
    }

    #[test]
    fn every_scenario_is_replayed() {
        assert_complete("conversations-more.json", ALL);
    }
}

fn identifier(scenario: &str) -> String {
    scenario.replace('-', "_")
}

fn scenario_names(file: &str) -> Vec<String> {
    let name = |scenario: &serde_json::Value| scenario["scenario"].as_str().unwrap().to_owned();
    recording::load(file).iter().map(name).collect()
}

fn scenario_name(file: &str, test: &str) -> String {
    scenario_names(file).into_iter().find(|name| identifier(name) == test).unwrap()
}

fn assert_complete(file: &str, tests: &[&str]) {
    let recorded: BTreeSet<String> =
        scenario_names(file).iter().map(|name| identifier(name)).collect();
    let tested: BTreeSet<String> = tests.iter().map(|test| (*test).to_owned()).collect();
    assert_eq!(recorded, tested);
}

#[test]
fn the_tables_speak_of_recorded_scenarios_and_give_reasons() {
    let mut known = scenario_names("conversations.json");
    known.extend(scenario_names("conversations-more.json"));
    for entry in tables::unrecorded().into_iter().chain(tables::differences()) {
        assert!(known.contains(&entry.scenario), "{}", entry.scenario);
        assert!(entry.why.len() > 20, "{}: {}", entry.scenario, entry.why);
    }
    for entry in tables::differences() {
        assert!(!entry.instead_of.is_empty(), "{}: instead of what?", entry.scenario);
    }
}
