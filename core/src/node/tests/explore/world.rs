//! What may happen in a group, step by step. Between two steps all that are connected do what they
//! can at once: who is slower is one that is cut off.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::kept::{Keeping, Kept};
use super::state::{Budget, Place, Process, State, VIEWS};
use super::views::{Book, Next, PROCS, Sayable, Seat, Shape, of, size};
use super::{Rules, Setting};
use crate::member::Status;

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// A process is cut off from all.
    Cut(usize),
    /// Everybody is connected again.
    Heal,
    /// A process crashes; its next life asks to join.
    Crash(usize),
    /// The time passes for which views are kept for a few.
    Wait,
    /// So much is cast that of the views that were left only the last is kept.
    Flood,
    /// A member that gets no body of the cut any more does without.
    DoWithout(usize),
    /// The newest view is over: its members that are connected, and all liars, decided.
    Decide(Next, bool),
}

impl Move {
    pub(super) fn renamed(self, names: &[usize; PROCS]) -> Self {
        match self {
            Self::Cut(process) => Self::Cut(names[process]),
            Self::Crash(process) => Self::Crash(names[process]),
            Self::DoWithout(process) => Self::DoWithout(names[process]),
            Self::Heal | Self::Wait | Self::Flood | Self::Decide(..) => self,
        }
    }
}

pub(super) struct World {
    pub(super) book: Book,
    pub(super) keeping: Keeping,
}

impl World {
    pub(super) fn new(setting: &Setting, rules: Rules) -> (Self, State) {
        let (book, first) = Book::new(setting.founders, setting.pledge, rules);
        let process = |process: usize| Process {
            place: if process < setting.founders.into() { Place::In(0) } else { Place::Out },
            life: 1,
            lies: setting.liars >> process & 1 == 1,
            is_founder: process < setting.founders.into(),
            has_quit: false,
            lefts: [None; VIEWS - 1],
        };
        let start = State {
            processes: core::array::from_fn(process),
            views: [first, 0, 0, 0],
            top: 0,
            full: 0,
            known: 0,
            seen: 0,
            newcomers: 0,
            cut: 0,
            budget: setting.budget,
        };
        (Self { book, keeping: Keeping::default() }, start)
    }

    fn lists(&self, state: &State, view: u8, process: usize) -> bool {
        let shape = self.book.shape(state.views[usize::from(view)]);
        shape.lists(process, state.processes[process].life)
    }

    /// All states that one step leads to, with the step.
    pub(super) fn moves(&mut self, setting: &Setting, state: &State) -> Vec<(Move, State)> {
        let mut found = self.events(setting, state);
        if let Some((sayable, present)) = self.sayable(setting, state) {
            let behind = |process: usize| {
                state.processes[process].place != Place::Out && present >> process & 1 == 0
            };
            let is_anybody_behind = state.correct().any(behind);
            for next in self.book.nexts(sayable).iter() {
                found.push(self.decided(state, (*next, false), present));
                if is_anybody_behind {
                    found.push(self.decided(state, (*next, true), present));
                }
            }
        }
        found
    }

    /// All but decisions.
    pub(super) fn events(&mut self, setting: &Setting, state: &State) -> Vec<(Move, State)> {
        let mut found = Vec::new();
        let take = |budget: u8| budget.checked_sub(1);
        for process in state.correct().filter(|process| *process < setting.processes()) {
            if let (Some(cuts), false) = (take(state.budget.cuts), state.is_cut(process)) {
                let budget = Budget { cuts, ..state.budget };
                let cut = state.cut | 1 << process;
                found.push((Move::Cut(process), State { cut, budget, ..*state }));
            }
            if state.processes[process].place != Place::Out
                && let Some(budget) = crashed(state, process)
            {
                let mut after = State { budget, ..*state };
                leave(&mut after.processes[process], false);
                found.push((Move::Crash(process), after));
            }
            if self.is_stuck(state, process) {
                let mut after = *state;
                self.do_without(&mut after, process);
                found.push((Move::DoWithout(process), after));
            }
        }
        if state.cut != 0 {
            found.push((Move::Heal, State { cut: 0, ..*state }));
        }
        let mut later = *state;
        let lefts = later.processes.iter_mut().flat_map(|process| process.lefts.iter_mut());
        lefts.flatten().for_each(|kept| kept.is_over = true);
        let mut flooded = *state;
        flooded.processes.iter_mut().for_each(|process| keep_last(&mut process.lefts));
        for (taken, after) in [(Move::Wait, later), (Move::Flood, flooded)] {
            if after != *state {
                found.push((taken, after));
            }
        }
        found.iter_mut().for_each(|(_, state)| self.settle(state));
        found
    }

    /// What can be said in the newest view if it can be decided now, and the correct members that
    /// decide.
    pub(super) fn sayable(&self, setting: &Setting, state: &State) -> Option<(Sayable, u8)> {
        let present = state.up_to_date() & !state.cut;
        let liars = state.liars(&self.book);
        let voters = size(present | liars);
        let has_room = usize::from(state.top) + 1 < VIEWS && state.budget.decisions > 0;
        if voters < self.book.view(state.newest()).quorum().q() || !has_room {
            return None;
        }
        let asks = |process: usize| {
            let at = &state.processes[process];
            let can_ask = process < setting.processes() && !state.is_cut(process);
            if can_ask && at.place == Place::Out { at.life } else { 0 }
        };
        let shape = self.book.shape(state.newest());
        let silenced = shape.seats.iter().filter(|seat| seat.is_silenced);
        let silenced = silenced.fold(0, |set, seat| set | 1 << seat.process);
        let sayable = Sayable {
            shape: state.newest(),
            joining: core::array::from_fn(asks),
            again: silenced & (present | liars),
            unheard: silenced & !state.seen,
            provable: liars,
            leaving: if setting.leaves { present } else { 0 },
        };
        Some((sayable, present))
    }

    /// After a decision, and all that follows from it.
    pub(super) fn decided(
        &mut self,
        state: &State,
        (next, is_full): (Next, bool),
        present: u8,
    ) -> (Move, State) {
        let mut after = *state;
        after.budget.decisions -= 1;
        self.decide(&mut after, (next, is_full), present);
        self.settle(&mut after);
        (Move::Decide(next, is_full), after)
    }

    /// All of `present` hold the cut and install the next view.
    fn decide(&mut self, state: &mut State, (next, is_full): (Next, bool), present: u8) {
        self.check(state, next.shape, present);
        let (top, down) = (state.top, self.down(state));
        let (now, after) = (self.book.shape(state.newest()), self.book.shape(next.shape));
        let new = after.seats.iter().filter(|seat| !now.lists(seat.process.into(), seat.life));
        state.newcomers = new.fold(0, |set, seat| set | 1 << seat.process);
        state.top += 1;
        state.views[usize::from(state.top)] = next.shape;
        state.full |= u8::from(is_full) << top;
        state.known = if size(down) <= f(now.seats.len()) { next.known & down } else { 0 };
        for process in of(present) {
            self.go_on(state, process, true);
        }
        for process in 0..PROCS {
            let is_new = state.processes[process].place == Place::Out;
            if is_new && self.lists(state, state.top, process) {
                let new = &mut state.processes[process];
                new.has_quit = false;
                new.place = if new.lies { Place::In(state.top) } else { Place::Listed(state.top) };
            }
        }
        state.seen = Self::up(state, &after);
        self.place_liars(state);
    }

    /// Silenced members of a view that are up, as a set; a liar may be heard whenever it likes.
    fn up(state: &State, shape: &Shape) -> u8 {
        let is_up = |seat: &&Seat| {
            let at = &state.processes[usize::from(seat.process)];
            seat.is_silenced && (at.lies || at.life == seat.life)
        };
        shape.seats.iter().filter(is_up).fold(0, |set, seat| set | 1 << seat.process)
    }

    /// A liar is wherever it is a member.
    fn place_liars(&self, state: &mut State) {
        for process in 0..PROCS {
            if !state.processes[process].lies {
                continue;
            }
            if self.lists(state, state.top, process) {
                state.processes[process].place = Place::In(state.top);
            } else if state.processes[process].place != Place::Out {
                leave(&mut state.processes[process], true);
            }
        }
    }

    /// From its view into the next one, if that lists it; out of the group otherwise.
    fn go_on(&self, state: &mut State, process: usize, has_cut: bool) {
        let Place::In(view) = state.processes[process].place else { return };
        if !self.lists(state, view + 1, process) {
            return leave(&mut state.processes[process], true);
        }
        let member = &mut state.processes[process];
        member.place = Place::In(view + 1);
        let kept = Kept { heard: 0, is_over: false };
        member.lefts[usize::from(view)] = has_cut.then_some(kept);
    }

    /// Whether a process that is behind gets all that it needs to go on.
    fn can_go_on(&self, state: &State, process: usize) -> bool {
        let Place::In(view) = state.processes[process].place else { return false };
        if view == state.top {
            return false;
        }
        let holds = |other: usize| {
            other != process
                && !state.is_cut(other)
                && state.processes[other].lefts[usize::from(view)].is_some()
        };
        !state.is_full(view) || !self.lists(state, view + 1, process) || state.correct().any(holds)
    }

    fn is_stuck(&self, state: &State, process: usize) -> bool {
        let place = state.processes[process].place;
        let is_behind = matches!(place, Place::In(view) if view < state.top);
        is_behind && !state.is_cut(process) && !self.can_go_on(state, process)
    }

    /// The real rule for a member that cannot get the cut.
    fn do_without(&self, state: &mut State, process: usize) {
        let Place::In(view) = state.processes[process].place else { return };
        let shape = self.book.shape(state.views[usize::from(view)]);
        let is_silenced = shape.seat(process).is_some_and(|seat| seat.is_silenced);
        let status = if is_silenced { Status::Silenced } else { Status::Active };
        if (self.book.rules.goes_on)(status) {
            self.go_on(state, process, false);
        } else {
            leave(&mut state.processes[process], true);
        }
    }

    /// Everybody that is connected does what it can.
    pub(super) fn settle(&mut self, state: &mut State) {
        let connected: Vec<usize> =
            state.correct().filter(|process| !state.is_cut(*process)).collect();
        let mut is_moving = true;
        while core::mem::take(&mut is_moving) {
            for process in &connected {
                if let Place::Listed(view) = state.processes[*process].place {
                    state.processes[*process].place = Place::In(view);
                    is_moving = true;
                }
                if self.can_go_on(state, *process) {
                    self.go_on(state, *process, true);
                    is_moving = true;
                }
            }
        }
        self.hear(state, &connected);
        self.drop_kept(state);
        for process in state.correct() {
            if let Place::In(view) | Place::Listed(view) = state.processes[process].place {
                assert!(self.lists(state, view, process), "P7");
            }
        }
    }

    /// All that are in one view tell each other so.
    fn hear(&self, state: &mut State, connected: &[usize]) {
        let before = *state;
        for process in connected {
            let place = before.processes[*process].place;
            let Place::In(at) = place else { continue };
            let words =
                connected.iter().copied().filter(|other| before.processes[*other].place == place);
            let liars = (0..PROCS).filter(|other| before.processes[*other].lies);
            let words: Vec<usize> = words.chain(liars).collect();
            for view in 0..at {
                let Some(kept) = &mut state.processes[*process].lefts[usize::from(view)] else {
                    continue;
                };
                for other in &words {
                    // The word of this very life.
                    let is_said =
                        self.lists(&before, view, *other) && self.lists(&before, at, *other);
                    kept.heard |= u8::from(is_said) << other;
                }
            }
        }
    }

    fn drop_kept(&mut self, state: &mut State) {
        for process in state.correct() {
            let Place::In(at) = state.processes[process].place else { continue };
            for view in 0..usize::from(at) {
                let views = &state.views[view..=usize::from(at)];
                if let Some(kept) = state.processes[process].lefts[view]
                    && !self.keeping.keeps(&self.book, process, views, kept)
                {
                    state.processes[process].lefts[view] = None;
                }
            }
        }
    }

    /// Where it comes to without another decision, all processes connected for long.
    pub(super) fn in_the_long_run(&mut self, state: &State) -> State {
        let mut state = State { cut: 0, ..*state };
        self.settle(&mut state);
        while let Some(stuck) = state.correct().find(|process| self.is_stuck(&state, *process)) {
            self.do_without(&mut state, stuck);
            self.settle(&mut state);
        }
        state
    }

    /// Members of the newest view that lie or crashed, as a set.
    pub(super) fn down(&self, state: &State) -> u8 {
        let newest = self.book.shape(state.newest());
        let is_down = |seat: &&Seat| {
            let at = &state.processes[usize::from(seat.process)];
            at.lies || at.life != seat.life && !at.has_quit
        };
        newest.seats.iter().filter(is_down).fold(0, |set, seat| set | 1 << seat.process)
    }

    /// P6, and what `plan` promises of each view, restated.
    fn check(&self, state: &State, next: u16, present: u8) {
        let (now, next) = (self.book.shape(state.newest()), self.book.shape(next));
        let is_same = |a: &Shape, seat: &Seat| a.lists(seat.process.into(), seat.life);
        let (before, n) = (now.seats.len(), next.seats.len());
        let others = before - size(present);
        assert!(others < q(before), "P6: the others and all liars decide something else");
        let lies = |seat: &&Seat| state.processes[usize::from(seat.process)].lies;
        let (liars, bears) = (next.seats.iter().filter(lies).count(), usize::from(next.pledge));
        assert!(liars <= bears && bears <= f(n), "{liars} liars, F = {bears}, n = {n}");
        assert!(next.seats.iter().any(|seat| !seat.is_silenced), "nobody is Active");
        assert!(next.seats.iter().all(|seat| next.expelled >> seat.process & 1 == 0));
        assert_eq!(now.expelled & next.expelled, now.expelled, "an expelled key is forgotten");
        assert!(of(next.expelled).all(|process| state.processes[process].lies), "P9");
        let touched = now.seats.iter().filter(|seat| {
            let after = next.seat(seat.process.into()).filter(|after| after.life == seat.life);
            after.is_none_or(|after| after.is_silenced && !seat.is_silenced)
        });
        assert!(touched.count() <= f(before).max(1), "too many are touched");
        let survivors = next.seats.iter().filter(|seat| is_same(&now, seat)).count();
        assert!(survivors >= q(n) || n - survivors == 1, "those who stay are a quorum");
    }
}

/// Restated: how many may lie or be down.
pub(super) fn f(n: usize) -> usize {
    (n - 1) / 3
}

/// Restated: how many decide.
pub(super) fn q(n: usize) -> usize {
    (n + f(n)) / 2 + 1
}

/// What is left after a crash, if there may be one.
fn crashed(state: &State, process: usize) -> Option<Budget> {
    let Budget { crashes, no_shows, .. } = state.budget;
    if state.processes[process].is_founder {
        Some(Budget { crashes: crashes.checked_sub(1)?, ..state.budget })
    } else {
        Some(Budget { no_shows: no_shows.checked_sub(1)?, ..state.budget })
    }
}

/// Within its bound a process always keeps the view before the present one.
fn keep_last(lefts: &mut [Option<Kept>]) {
    let mut kept = lefts.iter_mut().filter(|kept| kept.is_some());
    kept.next_back();
    kept.for_each(|kept| *kept = None);
}

/// This life is over; the next one asks to join.
fn leave(process: &mut Process, has_quit: bool) {
    *process = Process {
        place: Place::Out,
        life: process.life + 1,
        has_quit,
        lefts: [None; VIEWS - 1],
        ..*process
    };
}

impl State {
    /// In words, with names of processes.
    pub(super) fn words(&self, book: &Book) -> String {
        let shape = book.shape(self.newest());
        let seat = |seat: &Seat| {
            let life = if seat.life > 1 { format!("'{}", seat.life) } else { String::new() };
            let mark = if seat.is_silenced { " Silenced" } else { "" };
            format!("{}{life}{mark}", seat.process)
        };
        let seats: Vec<String> = shape.seats.iter().map(seat).collect();
        format!("[{}], F = {}", seats.join(", "), shape.pledge)
    }
}
