//! The pledge (protocol.md section 8): as long as no more members lie than the genesis record
//! pledges for, no view holds more liars than it bears, whatever the timing.

use phalanx_core::View;

use super::quorums;

/// Checks `view`, `liars` of whose members lie; `is_kept` tells whether the liars of the run are
/// within the pledge.
///
/// # Errors
/// If the view pledges more than it bears, or holds more liars.
pub fn check(view: &View, liars: usize, is_kept: bool) -> Result<(), String> {
    let bears = bears(view);
    let number = view.number;
    if usize::from(view.pledge) > bears {
        return Err(format!("view {number} pledges for {} liars and bears {bears}", view.pledge));
    }
    if is_kept && liars > bears {
        return Err(format!("view {number} holds {liars} liars and bears {bears}"));
    }
    Ok(())
}

/// How many liars a view bears.
#[must_use]
pub fn bears(view: &View) -> usize {
    quorums::faulty(u16::try_from(view.members.len()).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::super::views::tests::{genesis, next};
    use super::*;
    use phalanx_core::Departure;

    #[test]
    fn liars_that_gain_weight_are_seen() {
        let first = genesis(4);
        assert_eq!(check(&first, 1, true), Ok(()));
        let second = next(&first, &[(0, Departure::Opinion)], &[]);
        assert!(check(&second, 1, true).unwrap_err().contains("holds 1"));
        assert_eq!((check(&second, 1, false), check(&second, 0, true)), (Ok(()), Ok(())));
        let third = View { pledge: 1, ..second };
        assert!(check(&third, 0, true).unwrap_err().contains("pledges"));
    }
}
