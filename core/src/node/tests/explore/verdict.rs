//! What is asked of every state: that the group is not dead, and that it can become whole again.

use std::collections::HashMap;

use super::state::{Place, State};
use super::views::{Next, PROCS, Said, Sayable, of, size};
use super::world::{World, f, q};

/// What a state is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Enough members can vote, and all that are up come to be Active members.
    Live,
    /// No view follows any more, and no more are down than the group bears.
    Dead,
    /// Views follow, but this process does not come to be an Active member.
    Shut(usize),
    /// No view follows, because more are down than it bears.
    Lost,
}

#[derive(Default)]
pub(super) struct Judge {
    /// By the newest view, those in it that are up, and the lives that ask to join.
    courses: HashMap<(u16, u8, [u8; PROCS]), Option<usize>>,
}

/// Whether the group may be asked to go on: at most `f` members are down; or besides newcomers only
/// at most `f` that were down when those were taken in, and known as such. Of two members none may
/// be down: a group of one that takes in another needs it.
fn is_owed(world: &World, state: &State) -> bool {
    let shape = world.book.shape(state.newest());
    let (n, down) = (shape.seats.len(), world.down(state));
    let old = down & !state.newcomers;
    size(down) <= f(n) || n > 2 && old & !state.known == 0 && size(old) <= f(n)
}

impl Judge {
    pub(super) fn judge(&mut self, world: &mut World, processes: usize, state: &State) -> Verdict {
        let settled = world.in_the_long_run(state);
        let n = world.book.shape(state.newest()).seats.len();
        let up = settled.up_to_date();
        let is_owed = is_owed(world, state);
        if size(up) < q(n) {
            return if is_owed { Verdict::Dead } else { Verdict::Lost };
        }
        let asks = |process: usize| {
            let at = &settled.processes[process];
            let is_asking = process < processes && at.place == Place::Out && !at.lies;
            if is_asking { at.life } else { 0 }
        };
        // Those that are out ask, or they never do.
        for joining in [core::array::from_fn(asks), [0; PROCS]] {
            let key = (state.newest(), up, joining);
            let known = self.courses.get(&key).copied();
            let shut = known.unwrap_or_else(|| course(world, key));
            self.courses.insert(key, shut);
            if let (true, Some(process)) = (is_owed, shut) {
                return Verdict::Shut(process);
            }
        }
        Verdict::Live
    }
}

/// All goes well from here: who is down is suspected, who is up asks and comes. The first process
/// that does not become an Active member, or would if views still followed.
fn course(world: &mut World, (newest, up, joining): (u16, u8, [u8; PROCS])) -> Option<usize> {
    let (mut newest, mut up, mut joining) = (newest, up, joining);
    for _ in 0..4 * PROCS {
        let shape = world.book.shape(newest);
        if size(up) < q(shape.seats.len()) {
            return of(up).next();
        }
        let silent = shape.seats.iter().filter(|seat| seat.is_silenced);
        let silent = silent.fold(0_u8, |set, seat| set | 1 << seat.process);
        let asking = (0..PROCS).filter(|process| joining[*process] > 0);
        let asking = asking.fold(0_u8, |set, process| set | 1 << process);
        let suspected = shape.members() & !up;
        let (again, heard) = (silent & up, silent & up);
        let (proven, leaving) = (0, 0);
        let said =
            Said { suspected, joining: asking, again, heard, proven, leaving, is_vouched: true };
        let (unheard, provable) = (silent & !up, 0);
        let sayable = Sayable { shape: newest, joining, again, unheard, provable, leaving };
        let Next { shape: next, .. } = world.book.next(&sayable, said);
        if next == newest {
            return of(up & silent | asking).next();
        }
        let after = world.book.shape(next);
        let is_in = |process: &usize| {
            let is_up = up >> process & 1 == 1;
            let life = joining[*process];
            is_up && after.seat(*process).is_some() && life == 0
                || life > 0 && after.lists(*process, life)
        };
        up = (0..PROCS).filter(is_in).fold(0, |set, process| set | 1 << process);
        for process in of(up) {
            joining[process] = 0;
        }
        newest = next;
    }
    Some(PROCS)
}
