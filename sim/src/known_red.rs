//! What is known to end otherwise than it must: kept in one list, so that the rest can be green, and so
//! that nothing on it is forgotten. The swarm does not draw what is listed here, tests do not play it,
//! and `attack-book` says which of it ends well by now. An entry goes as soon as the core bears it.

use crate::adversary::{Strategy, Trickle};
use crate::swarm::Foe;

/// Strategies that stop, slow or shrink a group.
pub const STRATEGIES: &[Strategy] = &[
    Strategy::OrderStopper,
    Strategy::SplitRows,
    Strategy::TrickleRows(Trickle::Edge),
    Strategy::TrickleRows(Trickle::Half),
    Strategy::PaddedBadNewView,
];

/// Scenarios of the library that do not end as they say.
pub const SCENARIOS: &[&str] = &[
    "just_in_time_leader",
    "managed/cut_off_for_a_minute_then_crash_n4",
    "managed/newcomers_crash",
    "order_stopper",
    "order_stopper_fixed",
    "order_stopper_n7",
    "padded_bad_new_view",
    "padded_bad_new_view_n7",
    "padded_certificates_n13",
    "slow_slots",
    "split_rows",
    "split_rows_n5",
    "split_rows_n7",
    "trickle_rows",
    "trickle_rows_fixed",
    "trickle_rows_half_n7",
    "trickle_rows_tenth",
];

/// Classes of faults that the swarm does not draw yet.
pub const FOES: &[Foe] = &[Foe::LongPartition];

/// Whether a strategy is listed.
#[must_use]
pub fn is_strategy(strategy: Strategy) -> bool {
    STRATEGIES.contains(&strategy)
}

/// Whether a scenario is listed.
#[must_use]
pub fn is_scenario(name: &str) -> bool {
    SCENARIOS.contains(&name)
}

/// Whether a class of faults is listed.
#[must_use]
pub fn is_foe(foe: Foe) -> bool {
    FOES.contains(&foe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library;

    #[test]
    fn every_entry_names_something_that_exists() {
        for name in SCENARIOS {
            assert!(library::find(name).is_ok(), "{name}");
        }
        for strategy in STRATEGIES {
            assert!(Strategy::every().any(|known| known == *strategy), "{}", strategy.name());
        }
        assert!(FOES.iter().all(|foe| Foe::ALL.contains(foe)));
    }
}
