//! Breadth first through all states, so that what is found is found by a shortest story.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::hash::{BuildHasher, BuildHasherDefault};
use std::collections::HashMap;
use std::collections::hash_map::{DefaultHasher, Entry};
use std::time::Instant;

use super::state::{Place, State};
use super::verdict::{Judge, Verdict};
use super::views::{PROCS, of};
use super::world::{Move, World, q};
use super::{Rules, Setting};

/// What came out.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) states: usize,
    /// States in which too many are down for any view to follow.
    pub(super) lost: usize,
    /// A shortest story to a state that must not be, and of what kind it is.
    pub(super) found: Option<(Verdict, Vec<String>)>,
    /// A shortest story to a state in which too many are down.
    pub(super) loss: Option<Vec<String>>,
    pub(super) words: String,
}

pub(super) struct Search<'a> {
    setting: &'a Setting,
    pub(super) world: World,
    judge: Judge,
    /// States by their fingerprints of 64 bits, with that of the state before.
    seen: HashMap<u64, u64, BuildHasherDefault<DefaultHasher>>,
}

/// Visits every state; stops at the first that must not be.
pub(super) fn search(setting: &Setting, rules: Rules) -> Report {
    let began = Instant::now();
    let (mut search, start) = Search::new(setting, rules);
    let first = search.stand_in(start);
    search.seen.insert(fingerprint(&first), fingerprint(&first));
    let (mut layer, mut next) = ([first].to_vec(), Vec::new());
    let (mut depth, mut moves, mut lost) = (0, 0_u64, 0);
    let (mut found, mut loss) = (None, None);
    'search: while !layer.is_empty() {
        for state in layer.drain(..) {
            let before = fingerprint(&state);
            for (_, after) in search.world.moves(setting, &state) {
                moves += 1;
                let after = search.stand_in(after);
                let Entry::Vacant(entry) = search.seen.entry(fingerprint(&after)) else {
                    continue;
                };
                entry.insert(before);
                match search.judge(&after) {
                    Verdict::Live => {}
                    Verdict::Lost => {
                        lost += 1;
                        if loss.is_none() {
                            loss = Some(search.tell(start, &after, Verdict::Lost));
                        }
                    }
                    verdict @ (Verdict::Dead | Verdict::Shut(_)) => {
                        found = Some((verdict, search.tell(start, &after, verdict)));
                        break 'search;
                    }
                }
                next.push(after);
            }
        }
        core::mem::swap(&mut layer, &mut next);
        depth += 1;
    }
    let words = format!(
        "{setting:?}: {} states, {moves} moves, depth {depth}, {lost} lost, {} views, {} plans, \
         {} questions to retention, {:.1} s",
        search.seen.len(),
        search.world.book.shapes(),
        search.world.book.plans,
        search.world.keeping.answers(),
        began.elapsed().as_secs_f64(),
    );
    Report { states: search.seen.len(), lost, found, loss, words }
}

/// The names before, by name.
fn inverse(names: &[usize; PROCS]) -> [usize; PROCS] {
    let mut before = [0; PROCS];
    names.iter().enumerate().for_each(|(process, name)| before[*name] = process);
    before
}

fn fingerprint(state: &State) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(state)
}

impl<'a> Search<'a> {
    pub(super) fn new(setting: &'a Setting, rules: Rules) -> (Self, State) {
        let (world, start) = World::new(setting, rules);
        (Self { setting, world, judge: Judge::default(), seen: HashMap::default() }, start)
    }

    pub(super) fn judge(&mut self, state: &State) -> Verdict {
        self.judge.judge(&mut self.world, self.setting.processes(), state)
    }

    fn stand_in(&mut self, state: State) -> State {
        self.named(state).0
    }

    fn named(&mut self, state: State) -> (State, [usize; PROCS]) {
        state.canonical(&mut self.world.book)
    }

    /// The way there, with the names that the processes have at the start.
    fn tell(&mut self, start: State, end: &State, verdict: Verdict) -> Vec<String> {
        let mut path = [fingerprint(end)].to_vec();
        while let Some(before) = path.last().map(|last| self.seen[last])
            && path.last() != Some(&before)
        {
            path.push(before);
        }
        path.reverse();
        let (mut state, names) = self.named(start);
        let mut first = inverse(&names);
        let mut told = [(None, start)].to_vec();
        for next in &path[1..] {
            let moves = self.world.moves(self.setting, &state).into_iter();
            let mut named = moves.map(|(taken, after)| (taken, after, self.named(after)));
            let (taken, after, (stand_in, names)) = named
                .find(|(_, _, (stand_in, _))| fingerprint(stand_in) == *next)
                .expect("a state leads to the next");
            drop(named);
            told.push((Some(taken.renamed(&first)), after.renamed(&mut self.world.book, &first)));
            let back = inverse(&names);
            first = back.map(|process| first[process]);
            state = stand_in;
        }
        tell_path(self, &told, verdict)
    }

    fn step(&self, before: &State, after: &State, taken: Move) -> String {
        let book = &self.world.book;
        let mut words = match taken {
            Move::Cut(process) => format!("{process} is cut off"),
            Move::Heal => String::from("everybody is connected again"),
            Move::Crash(process) => format!("{process} crashes; its next life asks to join"),
            Move::Wait => String::from("the time to keep views for a few passes"),
            Move::Flood => String::from("more is cast than is kept of views before the last"),
            Move::DoWithout(process) => {
                format!("{process} can get the cut of its view from nobody")
            }
            Move::Decide(_, is_full) => {
                let present = before.up_to_date() & !before.cut;
                let liars = before.liars(book);
                let deciders: Vec<usize> = of(present | liars).collect();
                let cut = if is_full { "; the others miss what is in its cut" } else { "" };
                format!("{deciders:?} decide {}{cut}", after.words(book))
            }
        };
        for process in after.correct() {
            let (was, is) = (before.processes[process], after.processes[process]);
            match (was.place, is.place) {
                (Place::Listed(_) | Place::Out, Place::In(_)) => {
                    words += &format!("; {process} joins");
                }
                (Place::In(_) | Place::Listed(_), Place::Out) => {
                    if matches!(taken, Move::DoWithout(_)) {
                        words += &format!("; {process} LEAVES and asks to join as another life");
                    } else if is.has_quit {
                        words += &format!("; {process} is out and asks to join as another life");
                    }
                }
                _ => {}
            }
            if let (Place::In(was), Place::In(is)) = (was.place, is.place)
                && is > was
                && !matches!(taken, Move::Decide(..))
            {
                words += &format!("; {process} goes on");
            }
            let keeps = |state: &State| state.processes[process].lefts.iter().flatten().count();
            if keeps(after) < keeps(before) {
                words += &format!("; {process} forgets bodies of a view before");
            }
        }
        words
    }

    fn end(&mut self, state: &State, verdict: Verdict) -> String {
        let settled = self.world.in_the_long_run(state);
        let n = self.world.book.shape(state.newest()).seats.len();
        let voters: Vec<usize> = of(settled.up_to_date()).collect();
        let down: Vec<usize> = of(self.world.down(state)).collect();
        let what = match verdict {
            Verdict::Live => String::from("LIVE"),
            Verdict::Dead | Verdict::Lost => String::from("DEAD"),
            Verdict::Shut(process) => format!("{process} NEVER COMES TO BE AN ACTIVE MEMBER"),
        };
        format!(
            "{what}: with everybody connected for good {voters:?} can vote of {}; down are \
             {down:?}; it takes {} of {n}",
            state.words(&self.world.book),
            q(n),
        )
    }
}

/// States with the moves that led to them, in words.
pub(super) fn tell_path(
    search: &mut Search<'_>,
    path: &[(Option<Move>, State)],
    verdict: Verdict,
) -> Vec<String> {
    let (start, end) = (path[0].1, path[path.len() - 1].1);
    let mut words = [format!("the group is {}", start.words(&search.world.book))].to_vec();
    for pair in path.windows(2) {
        if let (before, (Some(taken), after)) = (pair[0].1.trimmed(), pair[1]) {
            words.push(search.step(&before, &after, taken));
        }
    }
    words.push(search.end(&end, verdict));
    words
}
