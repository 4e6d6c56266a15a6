//! No correct member signs two statements that conflict (protocol.md section 2): one head per body,
//! rising counters with haves that never fall. And every certificate that a correct member passes
//! on holds by itself.
//!
//! Looks at what correct members send, relayed statements of other correct members included.

use phalanx_core::Number;
use phalanx_core::crypto::{Certificate, Hash32, Heads, Roster, Signed, Stable};

/// Bodies beyond this number are not tracked; no run comes near it.
const NUMBERS_MAX: u64 = 1 << 20;

/// Everything that correct members were seen to sign.
#[derive(Debug)]
pub struct Conflict {
    /// By signer, sender and body number.
    heads: Vec<Vec<Vec<Option<Hash32>>>>,
    /// By signer, counters ascending.
    rows: Vec<Vec<(u64, Vec<Number>)>>,
    quorum: usize,
}

impl Conflict {
    /// For a group of `n` in which `quorum` make a certificate.
    #[must_use]
    pub fn new(n: usize, quorum: usize) -> Self {
        Self { heads: vec![vec![Vec::new(); n]; n], rows: vec![Vec::new(); n], quorum }
    }

    /// Takes in Heads of a correct signer.
    ///
    /// # Errors
    /// If it signed another head for one of the bodies before.
    pub fn heads(&mut self, signed: &Signed<Heads>) -> Result<(), String> {
        let signer = signed.signer;
        for head in signed.statement.entries.iter() {
            let number = head.number.value();
            if number > NUMBERS_MAX {
                return Err(format!("correct member {signer} vouches for body {number}"));
            }
            let seen = &mut self.heads[signer.index()][head.sender.index()];
            let at = usize::try_from(number).unwrap_or(usize::MAX);
            if seen.len() <= at {
                seen.resize(at + 1, None);
            }
            if *seen[at].get_or_insert(head.hash) != head.hash {
                return Err(format!(
                    "correct member {signer} signed two heads for body {number} of {}",
                    head.sender
                ));
            }
        }
        Ok(())
    }

    /// Takes in a row of a correct signer.
    ///
    /// # Errors
    /// If it contradicts an earlier one.
    pub fn row(&mut self, signed: &Signed<Stable>) -> Result<(), String> {
        let row = &signed.statement;
        let rows = &mut self.rows[signed.signer.index()];
        let at = rows.partition_point(|(counter, _)| *counter < row.counter);
        let falls = |low: &[Number], high: &[Number]| low.iter().zip(high).any(|(a, b)| b < a);
        let before = at.checked_sub(1).and_then(|before| rows.get(before));
        let is_bad = match rows.get(at) {
            Some((counter, have)) if *counter == row.counter => *have != *row.have,
            Some((_, have)) => falls(&row.have, have),
            None => false,
        } || before.is_some_and(|(_, have)| falls(have, &row.have));
        if is_bad {
            let signer = signed.signer;
            return Err(format!("correct member {signer} signed rows that contradict each other"));
        }
        if rows.get(at).is_none_or(|(counter, _)| *counter != row.counter) {
            rows.insert(at, (row.counter, row.have.to_vec()));
        }
        Ok(())
    }

    /// Checks a certificate that correct member `by` sends.
    ///
    /// # Errors
    /// If it is not signed by exactly a quorum.
    pub fn certificate(
        &self,
        by: usize,
        certificate: &Certificate,
        roster: &Roster,
    ) -> Result<(), String> {
        let mut signers: Vec<u16> =
            certificate.heads.iter().map(|heads| heads.signer.value()).collect();
        signers.sort_unstable();
        signers.dedup();
        let is_good = signers.len() == self.quorum
            && certificate.heads.len() == self.quorum
            && certificate.heads.iter().all(|heads| roster.verifies(heads));
        if is_good { Ok(()) } else { Err(format!("member {by} sends a certificate that is none")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use phalanx_core::Rank;
    use phalanx_core::crypto::{Head, Signature, sha256};

    fn heads(number: u64, content: &[u8]) -> Signed<Heads> {
        let head =
            Head { sender: Rank::new(1), number: Number::new(number), hash: sha256(content) };
        let statement = Heads { entries: vec![head].into() };
        Signed { signer: Rank::new(0), statement, signature: Signature([0; 64]) }
    }

    fn row(counter: u64, have: u64) -> Signed<Stable> {
        let have = vec![Number::new(have), Number::new(5)].into();
        let statement = Stable { counter, have };
        Signed { signer: Rank::new(0), statement, signature: Signature([0; 64]) }
    }

    #[test]
    fn two_heads_for_one_body_are_seen() {
        let mut oracle = Conflict::new(2, 2);
        assert!(oracle.heads(&heads(1, b"a")).is_ok() && oracle.heads(&heads(1, b"a")).is_ok());
        assert!(oracle.heads(&heads(2, b"b")).is_ok());
        assert!(oracle.heads(&heads(1, b"b")).is_err());
    }

    #[test]
    fn contradicting_rows_are_seen_in_any_order_of_sight() {
        let mut oracle = Conflict::new(2, 2);
        assert!(oracle.row(&row(1, 3)).is_ok() && oracle.row(&row(5, 7)).is_ok());
        assert!(oracle.row(&row(3, 5)).is_ok() && oracle.row(&row(3, 5)).is_ok());
        assert!(oracle.row(&row(3, 6)).is_err());
        assert!(oracle.row(&row(2, 6)).is_err());
        assert!(oracle.row(&row(6, 6)).is_err());
    }
}
