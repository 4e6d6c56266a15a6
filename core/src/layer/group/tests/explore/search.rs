//! Breadth first through all states, so that a fork that is found is found by a shortest schedule.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use std::time::Instant;

use super::local::Facts;
use super::moves::{CORRECT, Move, Moves, State};
use super::table::{Map, Set, map};
use super::world::{On, Setting, World};

/// What came out.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) states: usize,
    /// States in which somebody can decide.
    pub(super) deciding: usize,
    /// The values that are decided somewhere.
    pub(super) decided: Vec<u8>,
    /// A shortest schedule to two decisions that differ, in words.
    pub(super) fork: Option<Vec<String>>,
    pub(super) words: String,
}

struct Search {
    moves: Moves,
    width: u32,
    seen: Set<u64>,
    parents: Option<Map<u64, u64>>,
    deciding: usize,
    decided: Vec<u8>,
}

/// Visits every state; stops at the first fork.
pub(super) fn search(setting: Setting, keeps_parents: bool) -> Report {
    let began = Instant::now();
    let moves = Moves::new(World::new(setting));
    let width = 64 / u32::try_from(moves.world.correct.len()).unwrap();
    let parents = keeps_parents.then(map);
    let seen = Set::default();
    let mut search = Search { moves, width, seen, parents, deciding: 0, decided: Vec::new() };
    let start = search.moves.start();
    let start = search.pack(&start);
    search.seen.insert(start);
    let (mut layer, mut next, mut buffer) = ([start].to_vec(), Vec::new(), Vec::new());
    let (mut depth, mut transitions) = (0, 0_u64);
    let mut fork = None;
    'search: while !layer.is_empty() {
        for packed in &layer {
            let state = search.unpack(*packed);
            search.moves.all(&state, &mut buffer);
            transitions += buffer.len() as u64;
            for (place, _, to) in &buffer {
                let mut after = state;
                after[*place] = *to;
                let after_packed = search.pack(&after);
                if !search.seen.insert(after_packed) {
                    continue;
                }
                if let Some(parents) = &mut search.parents {
                    parents.insert(after_packed, *packed);
                }
                if let Some(pair) = search.fork(&after) {
                    fork = Some(search.tell(start, after_packed, pair));
                    break 'search;
                }
                next.push(after_packed);
            }
        }
        core::mem::swap(&mut layer, &mut next);
        next.clear();
        depth += 1;
    }
    search.decided.sort_unstable();
    let states = search.seen.len();
    let words = format!(
        "n = {}, liar {}, attempts 0..={}: {} states, {} transitions, depth {}, {} states with a \
         decision, decided {:?} of {} values, machines {:?}, {} proposals, {} real steps, {:.1} s",
        setting.n,
        setting.liar,
        setting.last,
        states,
        transitions,
        depth,
        search.deciding,
        search.decided,
        search.moves.world.values.len(),
        search.moves.machines(),
        search.moves.world.messages.len(),
        search.moves.steps,
        began.elapsed().as_secs_f64(),
    );
    let Search { deciding, decided, .. } = search;
    Report { states, deciding, decided, fork, words }
}

impl Search {
    fn pack(&self, state: &State) -> u64 {
        let mut packed = 0;
        for number in state.iter().take(self.moves.world.correct.len()).rev() {
            assert!(u64::from(*number) < 1 << self.width, "more machines than fit");
            packed = packed << self.width | u64::from(*number);
        }
        packed
    }

    fn unpack(&self, packed: u64) -> State {
        let mut state = [0; CORRECT];
        for (place, number) in state.iter_mut().enumerate().take(self.moves.world.correct.len()) {
            let shift = self.width * u32::try_from(place).unwrap();
            *number = (packed >> shift & ((1 << self.width) - 1)) as u32;
        }
        state
    }

    /// Every quorum of Readys there is, at every member: two that decide differently.
    fn fork(&mut self, state: &State) -> Option<(On, On)> {
        let agreed = self.moves.agreed(state, |facts| &facts.readys);
        let mut first: Option<On> = None;
        for (attempt, agreed) in agreed.iter().enumerate() {
            let Some((value, signers)) = agreed else { continue };
            let on = (u8::try_from(attempt).unwrap(), *value);
            let correct = self.moves.world.correct.len();
            for (place, number) in state.iter().enumerate().take(correct) {
                let decided = self.moves.decides(place, *number, on, *signers);
                assert_eq!(decided, *value, "it decides what a quorum is ready for");
            }
            if !self.decided.contains(value) {
                self.decided.push(*value);
            }
            match first {
                None => {
                    self.deciding += 1;
                    first = Some(on);
                }
                Some(first) if first.1 != *value => return Some((first, on)),
                Some(_) => {}
            }
        }
        None
    }

    fn tell(&mut self, start: u64, end: u64, (a, b): (On, On)) -> Vec<String> {
        let mut path = [end].to_vec();
        if let Some(parents) = &self.parents {
            while let Some(parent) = path.last().filter(|last| **last != start) {
                path.push(parents[parent]);
            }
        }
        path.reverse();
        let mut words = Vec::new();
        let mut buffer = Vec::new();
        for pair in path.windows(2) {
            let (state, after) = (self.unpack(pair[0]), self.unpack(pair[1]));
            self.moves.all(&state, &mut buffer);
            let mut taken = buffer.iter().filter(|(place, _, to)| {
                let mut there = state;
                there[*place] = *to;
                there == after
            });
            let (place, what, _) = *taken.next().expect("a parent leads to its child");
            let (before, now) = (self.moves.facts(place, &state), self.moves.facts(place, &after));
            words.push(self.step(place, what, before, now));
        }
        for (place, (attempt, value)) in [(0, a), (1, b)] {
            let member = self.moves.world.correct[place];
            let value = self.moves.world.words(value);
            words.push(format!(
                "member {member} hears a quorum of Readys of attempt {attempt} and DECIDES {value}"
            ));
        }
        words
    }

    fn step(&self, place: usize, what: Move, before: &Facts, now: &Facts) -> String {
        let world = &self.moves.world;
        let letter = |value: u8| char::from(b'A' + value);
        let heard = match what {
            Move::GiveUp(_) => String::from("gives up its attempt"),
            Move::Evidence => String::from("hears the suspicions"),
            Move::Acks((attempt, value), ..) => {
                format!("hears a quorum of Acks of {} in attempt {attempt}", letter(value))
            }
            Move::NewView(message) | Move::Propose(message) => {
                let message = &world.messages[usize::from(message)];
                let kind = if message.is_fresh { "Fresh" } else { "Relock" };
                let does = if matches!(what, Move::Propose(_)) { "makes" } else { "hears" };
                let value = world.words(message.value);
                format!("{does} the {kind} NewView of attempt {}: {value}", message.attempt)
            }
            Move::Readys(..) => String::from("hears Readys"),
        };
        let mut words = format!("member {} {heard}", world.correct[place]);
        for attempt in 0..now.acks.len() {
            if let (None, Some(lock)) = (before.more[attempt], now.more[attempt]) {
                let lock = lock.map_or(String::from("no lock"), |(at, value)| {
                    format!("its lock on {} of attempt {at}", letter(value))
                });
                words += &format!("; says NeedMoreChange({attempt}) with {lock}");
            }
            if let (None, Some(value)) = (before.acks[attempt], now.acks[attempt]) {
                words += &format!("; signs Ack({attempt}, {})", letter(value));
            }
            if let (None, Some(value)) = (before.readys[attempt], now.readys[attempt]) {
                words += &format!("; signs Ready({attempt}, {})", letter(value));
            }
        }
        if let (true, Some((attempt, value))) = (before.lock != now.lock, now.lock) {
            words += &format!("; is locked on {} of attempt {attempt}", letter(value));
        }
        words
    }
}
