//! P3 Uniform agreement: whatever one correct member delivers of a sender in a view, even one that
//! crashes later or is cut off, is a prefix of, or extends, what every other delivers of it there;
//! and every correct member that completes the view, that is installs its successor, delivered all
//! of it. In the end all that are in the last view have delivered the same.

use super::{Delivery, class};

/// The deliveries of all views.
#[derive(Debug)]
pub struct Agreement {
    n: usize,
    views: Vec<InView>,
}

/// What was delivered of each sender by whoever was first, and how far each member is.
#[derive(Debug)]
struct InView {
    reference: Vec<[Vec<Entry>; 2]>,
    position: Vec<Vec<[usize; 2]>>,
    /// Who completed the view first: nothing is delivered in it beyond what that member did.
    completed_by: Option<usize>,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    payload: Box<[u8]>,
    by: usize,
}

impl Agreement {
    /// For `n` processes.
    #[must_use]
    pub const fn new(n: usize) -> Self {
        Self { n, views: Vec::new() }
    }

    fn view(&mut self, view: usize) -> &mut InView {
        let n = self.n;
        while self.views.len() <= view {
            self.views.push(InView::new(n));
        }
        &mut self.views[view]
    }

    /// Correct member `by` installed the successor of this view.
    ///
    /// # Errors
    /// What others delivered in it, and this member did not.
    pub fn completed(&mut self, view: usize, by: usize) -> Result<(), String> {
        let view = self.view(view);
        view.completed_by.get_or_insert(by);
        let lack = view.missing(&[by]);
        lack.map_or(Ok(()), |text| Err(format!("{text}, and completed the view")))
    }

    /// Who of `members` has not yet delivered what somebody did in this view, if anyone.
    #[must_use]
    pub fn missing(&self, view: usize, members: &[usize]) -> Option<String> {
        self.views.get(view)?.missing(members)
    }

    /// Checks a delivery against all earlier ones.
    ///
    /// # Errors
    /// Who delivered something else.
    pub fn delivered(&mut self, delivery: &Delivery<'_>) -> Result<(), String> {
        let Delivery { by, sender, number, order, payload, .. } = *delivery;
        let view = self.view(delivery.view);
        let reference = &mut view.reference[sender][class(order)];
        let position = &mut view.position[by][sender][class(order)];
        match reference.get(*position) {
            None if view.completed_by.is_some() => {
                return Err(format!(
                    "member {by} delivered body {number} of sender {sender} beyond where member \
                     {} completed the view",
                    view.completed_by.unwrap_or_default(),
                ));
            }
            None => reference.push(Entry { number, payload: payload.into(), by }),
            Some(entry) if entry.number == number && *entry.payload == *payload => {}
            Some(entry) => {
                return Err(format!(
                    "{order:?} delivery {position} of sender {sender}: body {} at member {}, body \
                     {number} at member {by}, contents {}",
                    entry.number,
                    entry.by,
                    if *entry.payload == *payload { "alike" } else { "different" },
                ));
            }
        }
        *position += 1;
        Ok(())
    }
}

impl InView {
    fn new(n: usize) -> Self {
        let reference = (0..n).map(|_| [Vec::new(), Vec::new()]).collect();
        Self { reference, position: vec![vec![[0; 2]; n]; n], completed_by: None }
    }

    /// Who of `members` has not yet delivered what somebody did, if anyone.
    fn missing(&self, members: &[usize]) -> Option<String> {
        for (sender, reference) in self.reference.iter().enumerate() {
            for (class, entries) in reference.iter().enumerate() {
                let late = |member: &&usize| self.position[**member][sender][class] < entries.len();
                if let Some(member) = members.iter().find(late) {
                    let position = self.position[*member][sender][class];
                    return Some(format!(
                        "member {member} delivered {position} of {} {} casts of {sender} that \
                         others did",
                        entries.len(),
                        if class == 0 { "Fifo" } else { "Total" },
                    ));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use phalanx_core::Order;

    fn deliver(
        oracle: &mut Agreement,
        by: usize,
        number: u64,
        payload: &[u8],
    ) -> Result<(), String> {
        let order = Order::Fifo;
        oracle.delivered(&Delivery { by, payload, ..Delivery::test(2, number, order) })
    }

    #[test]
    fn two_contents_at_one_place_are_seen() {
        let mut oracle = Agreement::new(3);
        assert!(deliver(&mut oracle, 0, 1, b"one").is_ok());
        assert!(deliver(&mut oracle, 1, 1, b"one").is_ok());
        assert!(deliver(&mut oracle, 1, 2, b"two").is_ok());
        assert!(deliver(&mut oracle, 0, 2, b"TWO").unwrap_err().ends_with("different"));
    }

    #[test]
    fn what_somebody_lacks_in_the_end_is_seen() {
        let mut oracle = Agreement::new(3);
        assert!(deliver(&mut oracle, 0, 1, b"one").is_ok());
        assert!(oracle.missing(0, &[0, 1]).is_some() && oracle.missing(0, &[0]).is_none());
        assert!(deliver(&mut oracle, 1, 1, b"one").is_ok());
        assert_eq!(oracle.missing(0, &[0, 1]), None);
    }

    #[test]
    fn who_completes_a_view_with_less_is_seen() {
        let mut oracle = Agreement::new(3);
        assert!(deliver(&mut oracle, 0, 1, b"one").is_ok());
        assert_eq!(oracle.completed(0, 0), Ok(()));
        assert!(oracle.completed(0, 1).unwrap_err().contains("delivered 0 of 1"));
        assert!(deliver(&mut oracle, 1, 1, b"one").is_ok());
        assert_eq!(oracle.completed(0, 1), Ok(()));
    }

    #[test]
    fn what_is_delivered_beyond_the_end_of_a_view_is_seen() {
        let mut oracle = Agreement::new(3);
        assert_eq!(oracle.completed(0, 0), Ok(()));
        assert!(deliver(&mut oracle, 1, 1, b"one").unwrap_err().contains("beyond"));
        let next = Delivery { view: 1, payload: b"one", ..Delivery::test(2, 1, Order::Fifo) };
        assert!(oracle.delivered(&next).is_ok(), "another view");
    }
}
