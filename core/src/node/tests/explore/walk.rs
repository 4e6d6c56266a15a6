//! Random walks where there are too many states to see all.

use alloc::vec::Vec;

use super::search::{Search, tell_path};
use super::state::{Budget, State};
use super::verdict::Verdict;
use super::views::{PROCS, Said, of};
use super::world::{Move, World};
use super::{Rules, Setting};

/// Two liars, two crashes or cuts, and a process that joins; members leave, too.
pub(super) const SEVEN: Setting = Setting {
    founders: 7,
    spares: 1,
    liars: 0b10010,
    pledge: None,
    leaves: true,
    budget: Budget { decisions: 6, cuts: 4, crashes: 2, no_shows: 1 },
};

const STEPS: usize = 40;

/// Numbers from a seed (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound.max(1) as u64).unwrap()
    }

    /// A subset: often none, seldom many.
    fn some_of(&mut self, set: u8) -> u8 {
        let odds = [1, 3, 8][self.below(3)];
        of(set).filter(|_| self.below(odds) == 0).fold(0, |some, element| some | 1 << element)
    }
}

/// A decision every other time, if there can be one.
fn step(
    world: &mut World,
    setting: &Setting,
    state: &State,
    random: &mut Random,
) -> Option<(Move, State)> {
    let sayable = world.sayable(setting, state);
    if let Some((sayable, present)) = sayable.filter(|_| random.below(2) == 0) {
        let members = world.book.shape(sayable.shape).members();
        let asking = (0..PROCS).filter(|process| sayable.joining[*process] > 0);
        let again = random.some_of(sayable.again);
        let said = Said {
            suspected: random.some_of(members),
            joining: random.some_of(asking.fold(0, |set, process| set | 1 << process)),
            again,
            heard: again | random.some_of(sayable.again),
            proven: random.some_of(sayable.provable),
            leaving: random.some_of(sayable.leaving),
            is_vouched: false,
        };
        let said = said.by_sponsors(&sayable).nth(random.below(2)).unwrap_or(said);
        let next = world.book.next(&sayable, said);
        return Some(world.decided(state, (next, random.below(2) == 0), present));
    }
    let events = world.events(setting, state);
    events.get(random.below(events.len())).copied()
}

/// Every state on the way is judged.
pub(super) fn walks(setting: Setting, rules: Rules, seeds: core::ops::Range<u64>) {
    let (mut search, start) = Search::new(&setting, rules);
    let (mut states, mut decisions) = (0, 0);
    for seed in seeds.clone() {
        let mut random = Random(seed);
        let mut path: Vec<(Option<Move>, State)> = [(None, start)].to_vec();
        for _ in 0..STEPS {
            let state = path[path.len() - 1].1.trimmed();
            let Some((taken, after)) = step(&mut search.world, &setting, &state, &mut random)
            else {
                break;
            };
            states += 1;
            decisions += u64::from(matches!(taken, Move::Decide(..)));
            path.push((Some(taken), after));
            let verdict = search.judge(&after);
            if !matches!(verdict, Verdict::Live | Verdict::Lost) {
                for (step, words) in tell_path(&mut search, &path, verdict).iter().enumerate() {
                    std::println!("  {step:2} {words}");
                }
                panic!("the group stands still: seed {seed}: {verdict:?}");
            }
        }
    }
    std::println!("{setting:?}: seeds {seeds:?}: {states} states, {decisions} decisions");
}
