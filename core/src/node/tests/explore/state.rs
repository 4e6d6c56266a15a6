//! A group between two decisions: where every process stands. States that differ only in the names
//! of processes, the numbers of lives or a past that nobody can ask for are one.

use alloc::rc::Rc;
use alloc::vec::Vec;

use super::kept::Kept;
use super::views::{Book, PROCS, Seat, Shape, of, size, small};

/// The most views at once: those that somebody is still in, and the newest.
pub(super) const VIEWS: usize = 4;

/// Where a process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Place {
    /// No member in this life; it asks to join.
    Out,
    /// This view takes it in, and it has not come.
    Listed(u8),
    /// The view that it has installed.
    In(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Process {
    pub(super) place: Place,
    pub(super) life: u8,
    pub(super) lies: bool,
    /// In the first view.
    pub(super) is_founder: bool,
    /// The life before was given up by a rule of the code, not by a crash.
    pub(super) has_quit: bool,
    /// By view: what it keeps of those that it has left.
    pub(super) lefts: [Option<Kept>; VIEWS - 1],
}

/// What may still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Budget {
    pub(super) decisions: u8,
    /// Processes that are cut off.
    pub(super) cuts: u8,
    /// Crashes of founders, and of newcomers.
    pub(super) crashes: u8,
    pub(super) no_shows: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) processes: [Process; PROCS],
    /// From the oldest that somebody is in to the newest.
    pub(super) views: [u16; VIEWS],
    pub(super) top: u8,
    /// The views whose cut holds something that is not held by who did not take part, as a set.
    pub(super) full: u8,
    /// Members that were down when the newest view took in others, at most `f`, and known as such.
    pub(super) known: u8,
    /// Silenced members of the newest view that were up when it began: they may have been heard in
    /// it, as a set.
    pub(super) seen: u8,
    /// Members that the newest view lists first.
    pub(super) newcomers: u8,
    /// Processes that are cut off.
    pub(super) cut: u8,
    pub(super) budget: Budget,
}

impl State {
    pub(super) fn newest(&self) -> u16 {
        self.views[usize::from(self.top)]
    }

    pub(super) fn is_cut(&self, process: usize) -> bool {
        self.cut >> process & 1 == 1
    }

    pub(super) fn is_full(&self, view: u8) -> bool {
        self.full >> view & 1 == 1
    }

    /// Correct processes, by name.
    pub(super) fn correct(&self) -> impl Iterator<Item = usize> + use<> {
        let processes = self.processes;
        (0..PROCS).filter(move |process| !processes[*process].lies)
    }

    /// Correct processes in the newest view, as a set.
    pub(super) fn up_to_date(&self) -> u8 {
        let is_in = |process: &usize| self.processes[*process].place == Place::In(self.top);
        self.correct().filter(is_in).fold(0, |set, process| set | 1 << process)
    }

    /// The members of the newest view that lie, as a set.
    pub(super) fn liars(&self, book: &Book) -> u8 {
        let shape = book.shape(self.newest());
        let lies = |seat: &&Seat| self.processes[usize::from(seat.process)].lies;
        shape.seats.iter().filter(lies).fold(0, |set, seat| set | 1 << seat.process)
    }

    /// Without the views that no process is in any more.
    pub(super) fn trimmed(mut self) -> Self {
        self.trim();
        self
    }

    fn trim(&mut self) {
        let stands = |process: usize| match self.processes[process].place {
            Place::Out => None,
            Place::Listed(view) | Place::In(view) => Some(view),
        };
        let low = self.correct().filter_map(stands).min().unwrap_or(self.top);
        self.views.rotate_left(low.into());
        self.top -= low;
        self.views[usize::from(self.top) + 1..].fill(0);
        // Nobody asks for the newest.
        self.full = self.full >> low & ((1 << self.top) - 1);
        for process in &mut self.processes {
            process.place = match process.place {
                Place::Out => Place::Out,
                Place::Listed(view) => Place::Listed(view - low),
                Place::In(view) => Place::In(view - low),
            };
            process.lefts.rotate_left(usize::from(low) % (VIEWS - 1));
            process.lefts[usize::from(self.top)..].fill(None);
        }
    }

    /// The one of all states like this one that stands for them. Key order is not kept: it only
    /// says who of several joiners is dealt with first, and evidence without the first is tried,
    /// too.
    /// Also says the name that each process has there.
    pub(super) fn canonical(mut self, book: &mut Book) -> (Self, [usize; PROCS]) {
        self.trim();
        let top = usize::from(self.top);
        let shapes: Vec<_> = self.views[..=top].iter().map(|view| book.shape(*view)).collect();
        for (name, process) in self.processes.iter_mut().enumerate() {
            process.life = count(&shapes, name, process.life);
            let old = shapes[top].seat(name).map(|seat| count(&shapes, name, seat.life));
            process.has_quit &= old.is_some_and(|old| old != process.life);
        }
        let place = |process: usize| {
            let rank = |shape: &Shape| {
                shape.seats.iter().position(|seat| usize::from(seat.process) == process)
            };
            let ranks = shapes.iter().rev().map(|shape| rank(shape).unwrap_or(PROCS));
            let ranks = ranks.fold(0, |sum, rank| sum * (PROCS + 1) + rank);
            (ranks, self.is_cut(process), self.processes[process])
        };
        let mut order: [usize; PROCS] = core::array::from_fn(|process| process);
        order.sort_by_cached_key(|process| place(*process));
        let mut names = [0; PROCS];
        for (name, process) in order.iter().enumerate() {
            names[*process] = name;
        }
        let life = |seat: &Seat| count(&shapes, seat.process.into(), seat.life);
        (self.rewritten(book, &shapes, &names, life), names)
    }

    /// The same with other names.
    pub(super) fn renamed(self, book: &mut Book, names: &[usize; PROCS]) -> Self {
        let views = &self.views[..=usize::from(self.top)];
        let shapes: Vec<_> = views.iter().map(|view| book.shape(*view)).collect();
        self.rewritten(book, &shapes, names, |seat| seat.life)
    }

    fn rewritten(
        mut self,
        book: &mut Book,
        shapes: &[Rc<Shape>],
        names: &[usize; PROCS],
        life: impl Fn(&Seat) -> u8,
    ) -> Self {
        let rename = |set: u8| of(set).fold(0, |new, process| new | 1 << names[process]);
        let before = self.processes;
        for (process, name) in before.iter().zip(names) {
            self.processes[*name] = *process;
            for kept in self.processes[*name].lefts.iter_mut().flatten() {
                kept.heard = rename(kept.heard);
            }
        }
        (self.known, self.cut) = (rename(self.known), rename(self.cut));
        self.seen = rename(self.seen);
        self.newcomers = rename(self.newcomers);
        for (view, shape) in self.views.iter_mut().zip(shapes) {
            let seat = |seat: &Seat| Seat {
                process: small(names[usize::from(seat.process)]),
                life: life(seat),
                ..*seat
            };
            *view = book.number(Shape {
                seats: shape.seats.iter().map(seat).collect(),
                pledge: shape.pledge,
                expelled: rename(shape.expelled),
            });
        }
        self
    }
}

/// A life of a process, counted from the first that any of the views lists.
fn count(shapes: &[Rc<Shape>], process: usize, life: u8) -> u8 {
    let seats = shapes.iter().filter_map(|shape| shape.seat(process));
    let earlier = seats.map(|seat| seat.life).filter(|other| *other < life);
    let earlier = earlier.fold(0_u8, |set, life| set | 1 << life);
    small(1 + size(earlier))
}
