//! For how long bodies are kept: asked of the real [`Lefts`], each time put together anew.

use alloc::sync::Arc;
use alloc::vec::Vec;
use std::collections::HashMap;

use super::super::super::left::{Left, Lefts};
use super::views::{Book, of};
use crate::member::Rank;
use crate::outbox::Outbox;
use crate::rig::quick_identity;
use crate::seq::LogEnd;
use crate::stack::Stack;
use crate::time::Time;

/// What has come to a process since it left a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Kept {
    /// The members of it of which it knows that they have installed a later one.
    pub(super) heard: u8,
    /// The time for which views are kept for a few is over.
    pub(super) is_over: bool,
}

/// Which process, the view that it left and those that followed, and what came.
type Question = (usize, Vec<u16>, Kept);

#[derive(Default)]
pub(super) struct Keeping {
    answers: HashMap<Question, bool>,
}

impl Keeping {
    pub(super) fn answers(&self) -> usize {
        self.answers.len()
    }

    /// Whether `process`, now in the last of these views, still keeps the first.
    pub(super) fn keeps(&mut self, book: &Book, process: usize, views: &[u16], kept: Kept) -> bool {
        let question = (process, views.to_vec(), kept);
        if let Some(answer) = self.answers.get(&question) {
            return *answer;
        }
        let answer = ask(book, process, views, kept);
        self.answers.insert(question, answer);
        answer
    }
}

fn ask(book: &Book, process: usize, views: &[u16], kept: Kept) -> bool {
    let (before, next) = (book.view(views[0]), book.view(views[1]));
    let roster = Arc::new(before.roster(quick_identity(0).suite()).unwrap());
    let me = before.rank_of(&book.keys[process]).unwrap();
    let left_at = Time::ZERO;
    let until = left_at.plus(book.config.timeouts.retain_us);
    let stack = Stack::new(&book.config, before.as_ref().clone(), roster, me, left_at);
    let (old, _) = stack.leave(Some(&next), LogEnd::EMPTY, &mut Outbox::default());
    let mut lefts = Lefts::default();
    lefts.push(Left::new(old, (&before, me), &next), &book.config);
    for view in &views[1..] {
        lefts.stay(&book.view(*view));
    }
    for process in of(kept.heard) {
        let key = &book.keys[process];
        let rank: Rank = before.rank_of(key).unwrap();
        lefts.has_left(key, before.member(rank).unwrap().incarnation);
    }
    lefts.expire(if kept.is_over { until } else { left_at }, &book.config);
    lefts.has(&before.id())
}
