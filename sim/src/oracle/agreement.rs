//! P3 Uniform agreement: whatever one correct member delivers of a sender, even one that crashes
//! later, is a prefix of, or extends, what every other delivers of it; and in the end all that
//! are still there have delivered the same.

use super::{Delivery, class};

/// What was delivered of each sender by whoever was first, and how far each member is.
#[derive(Debug)]
pub struct Agreement {
    reference: Vec<[Vec<Entry>; 2]>,
    position: Vec<Vec<[usize; 2]>>,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    payload: Box<[u8]>,
    by: usize,
}

impl Agreement {
    /// For a group of `n`.
    #[must_use]
    pub fn new(n: usize) -> Self {
        let reference = (0..n).map(|_| [Vec::new(), Vec::new()]).collect();
        Self { reference, position: vec![vec![[0; 2]; n]; n] }
    }

    /// Checks a delivery against all earlier ones.
    ///
    /// # Errors
    /// Who delivered something else.
    pub fn delivered(&mut self, delivery: &Delivery<'_>) -> Result<(), String> {
        let Delivery { by, sender, number, order, payload, .. } = *delivery;
        let reference = &mut self.reference[sender][class(order)];
        let position = &mut self.position[by][sender][class(order)];
        match reference.get(*position) {
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

    /// Who of `members` has not yet delivered what somebody did, if anyone.
    #[must_use]
    pub fn missing(&self, members: &[usize]) -> Option<String> {
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
        oracle.delivered(&Delivery {
            by,
            sender: 2,
            number,
            order,
            slot: None,
            own_ticket: None,
            payload,
        })
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
        assert!(oracle.missing(&[0, 1]).is_some() && oracle.missing(&[0]).is_none());
        assert!(deliver(&mut oracle, 1, 1, b"one").is_ok());
        assert_eq!(oracle.missing(&[0, 1]), None);
    }
}
