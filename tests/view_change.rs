//! What a view change takes, counted in message delays: the network's delay is constant and work
//! takes no time, so virtual time is a count.

use phalanx_sim::Verdict;
use phalanx_sim::oracle::quorums;
use phalanx_sim::run::run;
use phalanx_sim::scenario::{Crash, Membership, Network, Scenario};

const DELAY_US: u64 = 1_000;

/// Flush, New-View, Ack and Ready: protocol.md section 16.
#[test]
fn four_delays_lead_from_complete_evidence_to_the_next_view() {
    for n in 4..=13 {
        let mut scenario = Scenario::calm("four delays", n, 1);
        scenario.membership = Membership::Managed;
        scenario.network = Network { min_us: DELAY_US, max_us: DELAY_US, ..Network::default() };
        scenario.workload.casts = 20;
        scenario.crashes = vec![Crash { rank: n - 1, at_us: Some(150_000), ..Crash::default() }];
        scenario.expect.views = 2;
        let outcome = run(&scenario, None).expect("a good scenario");
        assert_eq!(outcome.verdict, Verdict::Held, "n = {n}");
        let history = &outcome.history;
        let quorum = quorums::quorum(n, false);
        let complete = history.evidence_us(quorum).expect("a quorum with evidence");
        let view = history.views.first().expect("a second view");
        assert_eq!(view.at_us.len(), usize::from(n) - 1, "n = {n}: all correct members install it");
        assert_eq!(view.last_us() - complete, 4 * DELAY_US, "n = {n}");
        assert_eq!(history.transitional(), 0, "n = {n}");
    }
}
