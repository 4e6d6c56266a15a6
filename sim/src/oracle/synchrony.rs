//! P5 View synchrony: correct members that install the successor of a view delivered the same set
//! of casts in it, and a cast is delivered in the view that its member is in.
//!
//! Sets are compared by size and by the sum of a hash over each element, so whatever order they
//! were delivered in.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::{Delivery, class};

/// What a member delivered in a view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Set {
    size: u64,
    sum: u64,
}

/// The sets of all views and members.
#[derive(Debug)]
pub struct Synchrony {
    n: usize,
    /// By view and member.
    sets: Vec<Vec<Set>>,
    /// By view: the set of whoever completed it first, and who that was.
    completed: Vec<Option<(Set, usize)>>,
}

impl Synchrony {
    /// For `n` processes.
    #[must_use]
    pub const fn new(n: usize) -> Self {
        Self { n, sets: Vec::new(), completed: Vec::new() }
    }

    fn reach(&mut self, view: usize) {
        if self.sets.len() <= view {
            self.sets.resize(view + 1, vec![Set::default(); self.n]);
            self.completed.resize(view + 1, None);
        }
    }

    /// Takes in a delivery; `present` is the place of the view that its member is in, or `None` if
    /// that has another number than the delivery names.
    ///
    /// # Errors
    /// If that is another view.
    pub fn delivered(
        &mut self,
        delivery: &Delivery<'_>,
        present: Option<usize>,
    ) -> Result<(), String> {
        let Delivery { view, by, sender, number, order, payload, .. } = *delivery;
        self.reach(view);
        let mut hasher = DefaultHasher::new();
        (sender, number, class(order), payload).hash(&mut hasher);
        let set = &mut self.sets[view][by];
        set.size += 1;
        set.sum = set.sum.wrapping_add(hasher.finish());
        if present == Some(view) {
            return Ok(());
        }
        Err(format!("member {by} delivered a cast of {sender} in a view that it is not in"))
    }

    /// Correct member `by` installed the successor of this view.
    ///
    /// # Errors
    /// If another that did so delivered another set.
    pub fn completed(&mut self, view: usize, by: usize) -> Result<(), String> {
        self.reach(view);
        let set = self.sets[view][by];
        let (first, who) = *self.completed[view].get_or_insert((set, by));
        if first == set {
            return Ok(());
        }
        let text = if first.size == set.size {
            format!("other {} casts than member {who}", set.size)
        } else {
            format!("{} casts, member {who} {}", set.size, first.size)
        };
        Err(format!("member {by} completed view {view} with {text}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use phalanx_core::Order;

    fn deliver(oracle: &mut Synchrony, by: usize, payload: &[u8]) {
        let delivery = Delivery { by, payload, ..Delivery::test(0, 1, Order::Fifo) };
        assert_eq!(oracle.delivered(&delivery, Some(0)), Ok(()));
    }

    #[test]
    fn the_same_set_in_any_order_is_good() {
        let mut oracle = Synchrony::new(2);
        for (by, payload) in [(0, b"a"), (0, b"b"), (1, b"b"), (1, b"a")] {
            deliver(&mut oracle, by, payload);
        }
        assert_eq!((oracle.completed(0, 0), oracle.completed(0, 1)), (Ok(()), Ok(())));
    }

    #[test]
    fn fewer_and_other_casts_are_seen() {
        for (first, second, text) in
            [(&b"a"[..], None, "0 casts, member 0 1"), (b"a", Some(b"b"), "other 1 casts")]
        {
            let mut oracle = Synchrony::new(2);
            deliver(&mut oracle, 0, first);
            if let Some(second) = second {
                deliver(&mut oracle, 1, second);
            }
            assert_eq!(oracle.completed(0, 0), Ok(()));
            assert!(oracle.completed(0, 1).unwrap_err().contains(text));
        }
    }

    #[test]
    fn a_delivery_after_the_view_is_seen() {
        let mut oracle = Synchrony::new(2);
        let delivery = Delivery::test(0, 1, Order::Fifo);
        assert!(oracle.delivered(&delivery, Some(1)).is_err());
        assert!(oracle.delivered(&delivery, None).is_err());
    }
}
