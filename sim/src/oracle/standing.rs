//! No innocent pays for good: correct members that are up end Active, and none is silenced or removed
//! more often than each liar, the network and the applications give reason for.

use std::collections::BTreeMap;

use super::views::{Record, Views};

/// How often one liar may bring it about that one correct member is silenced or removed: a member that
/// looks late must be Active again and cannot be made to look so by the same liar, which is known then.
const HURTS_PER_LIAR: usize = 2;

/// How often a network that was bad may: what was seen then may still be told after it is well.
const HURTS_PER_NETWORK: usize = 2;

/// How often slow links may, at a member that has them to so many others that these can silence it:
/// they stay slow, and the pauses between its returns grow four times each, from 2 s to 300 s, which is
/// as long as a run.
const HURTS_PER_SLOW_HOST: usize = 5;

/// How often each correct process was silenced, or removed for an opinion, since the network is well.
#[derive(Debug)]
pub struct Standing {
    /// Reasons that hold for everybody.
    common: usize,
    /// By host: reasons that hold for it alone.
    own: BTreeMap<u16, usize>,
    hurt: BTreeMap<usize, usize>,
}

impl Standing {
    /// For so many liars; `told` are the hosts that applications suspect, each as often as they do, and
    /// `slow` those whose links are.
    #[must_use]
    pub fn new(
        liars: usize,
        is_calm: bool,
        told: impl Iterator<Item = u16>,
        slow: impl Iterator<Item = u16>,
    ) -> Self {
        let network = if is_calm { 0 } else { HURTS_PER_NETWORK };
        let common = HURTS_PER_LIAR * liars + network;
        let mut own = BTreeMap::new();
        told.for_each(|host| *own.entry(host).or_default() += 1);
        slow.for_each(|host| *own.entry(host).or_default() += HURTS_PER_SLOW_HOST);
        Self { common, own, hurt: BTreeMap::new() }
    }

    /// Correct `process` on a host, which is there and did not ask to leave, is silenced or put out.
    ///
    /// # Errors
    /// If that happened too often.
    pub fn hurt(&mut self, process: usize, host: u16) -> Result<(), String> {
        let times = self.hurt.entry(process).or_default();
        *times += 1;
        let most = self.common + self.own.get(&host).copied().unwrap_or(0);
        if *times <= most {
            return Ok(());
        }
        Err(format!(
            "correct member {process} was silenced or removed {times} times, for {most} there are \
             reasons"
        ))
    }
}

/// Who was Active in `before`, and is not in `after`, by process.
pub fn fell<'a>(before: &'a Record, after: &'a Record) -> impl Iterator<Item = usize> + 'a {
    let was = before.processes.iter().flatten().copied();
    was.filter(|process| before.is_active(*process) && !after.is_active(*process))
}

/// Which of the correct members `here`, all listed in the newest view, is not Active there, if any;
/// `can` tells which of them have a way back.
#[must_use]
pub fn missing(views: &Views, here: &[usize], can: impl Fn(usize) -> bool) -> Option<String> {
    let (_, newest) = views.newest();
    let silent = here.iter().copied().find(|by| !newest.is_active(*by) && can(*by))?;
    Some(format!("correct member {silent} is not Active in view {}", newest.view.number))
}

#[cfg(test)]
mod tests {
    use super::super::views::tests::{all_correct, genesis, next};
    use super::*;
    use phalanx_core::Departure;

    #[test]
    fn a_correct_member_that_stays_silenced_is_missing() {
        let first = genesis(4);
        let mut views = all_correct(&first);
        assert_eq!(missing(&views, &[0, 1, 2], |_| true), None);
        let (at, _) = views.installed(0, &next(&first, &[], &[2]));
        assert!(missing(&views, &[0, 1, 2], |_| true).unwrap().contains("member 2"));
        assert_eq!(missing(&views, &[0, 1, 2], |by| by != 2), None, "it has no state");
        let fallen: Vec<usize> = fell(views.at(0), views.at(at)).collect();
        assert_eq!(fallen, [2]);
        let (out, _) = views.installed(0, &next(&first, &[(1, Departure::Opinion)], &[]));
        assert_eq!(fell(views.at(0), views.at(out)).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn who_is_hurt_again_and_again_is_seen() {
        let mut calm = Standing::new(0, true, [3, 3].into_iter(), [].into_iter());
        assert!(calm.hurt(1, 1).is_err(), "there is no reason at all");
        assert!(calm.hurt(3, 3).is_ok() && calm.hurt(3, 3).is_ok() && calm.hurt(3, 3).is_err());
        let mut bad = Standing::new(1, false, [].into_iter(), [1].into_iter());
        assert!((0..4).all(|_| bad.hurt(2, 2).is_ok()));
        assert!(bad.hurt(2, 2).unwrap_err().contains("5 times"));
        assert!((0..9).all(|_| bad.hurt(1, 1).is_ok()), "its links are slow");
        assert!(bad.hurt(1, 1).unwrap_err().contains("10 times"));
    }
}
