//! Who suspects whom: in a timely network no correct member suspects another that is there, and no
//! Proof is claimed against one in any network. Culprits that must be found are.

use std::collections::BTreeMap;

use phalanx_core::Reason;

/// Every suspicion that a correct member learned of.
#[derive(Debug, Default)]
pub struct Suspicion {
    /// (observer, by, subject) and when first.
    seen: BTreeMap<(usize, usize, usize), u64>,
}

/// What an observer learned.
#[derive(Clone, Copy, Debug)]
pub struct Sighting {
    /// The correct member that learned it.
    pub observer: usize,
    /// Who suspects.
    pub by: usize,
    /// Who is suspected.
    pub subject: usize,
    /// Why.
    pub reason: Reason,
}

impl Suspicion {
    /// Takes in a suspicion of a correct member `by`; `is_innocent` tells that the subject is
    /// there and correct, or a liar that gives no reason, `is_calm` that nobody had a reason.
    ///
    /// # Errors
    /// If it should not have suspected.
    pub fn seen(
        &mut self,
        now_us: u64,
        sighting: Sighting,
        is_innocent: bool,
        is_calm: bool,
    ) -> Result<(), String> {
        let Sighting { observer, by, subject, reason } = sighting;
        self.seen.entry((observer, by, subject)).or_insert(now_us);
        if is_innocent && (is_calm || reason == Reason::Proof) {
            return Err(format!(
                "correct member {by} suspects member {subject} without a reason: {reason:?}"
            ));
        }
        Ok(())
    }

    /// Which observer does not know which of `members` to suspect `subject`, if any.
    #[must_use]
    pub fn missing(&self, members: &[usize], subject: usize) -> Option<String> {
        for observer in members {
            for by in members {
                if !self.seen.contains_key(&(*observer, *by, subject)) {
                    return Some(format!(
                        "member {observer} does not know member {by} to suspect {subject}"
                    ));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suspecting_the_innocent_is_seen() {
        let mut oracle = Suspicion::default();
        let sighting = Sighting { observer: 0, by: 1, subject: 2, reason: Reason::Mute };
        assert!(oracle.seen(5, sighting, false, true).is_ok());
        assert!(oracle.seen(5, sighting, true, false).is_ok());
        assert!(oracle.seen(5, sighting, true, true).is_err());
        let proof = Sighting { reason: Reason::Proof, ..sighting };
        assert!(oracle.seen(5, proof, true, false).is_err());
    }

    #[test]
    fn culprits_that_are_not_found_are_missing() {
        let mut oracle = Suspicion::default();
        for (observer, by) in [(0, 0), (0, 1), (1, 1)] {
            let sighting = Sighting { observer, by, subject: 2, reason: Reason::Mute };
            oracle.seen(5, sighting, false, true).unwrap();
        }
        assert_eq!(
            oracle.missing(&[0, 1], 2).as_deref(),
            Some("member 1 does not know member 0 to suspect 2")
        );
        assert_eq!(oracle.missing(&[0], 2), None);
    }
}
