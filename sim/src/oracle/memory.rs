//! P10 Bounded memory: no correct member ever holds more than its documented bound.

/// Checks each reading and keeps the highest share of the bound.
#[derive(Debug, Default)]
pub struct Memory {
    highest_permille: u64,
}

impl Memory {
    /// Checks a reading of [`phalanx_core::Node::memory`].
    ///
    /// # Errors
    /// If more is held than the bound.
    pub fn read(&mut self, member: usize, held: usize, bound: usize) -> Result<(), String> {
        let share = (held as u64).saturating_mul(1_000) / (bound as u64).max(1);
        self.highest_permille = self.highest_permille.max(share);
        if held > bound {
            return Err(format!("member {member} holds {held} bytes, its bound is {bound}"));
        }
        Ok(())
    }

    /// The highest share of its bound that a member held, in thousandths.
    #[must_use]
    pub const fn highest_permille(&self) -> u64 {
        self.highest_permille
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_bound_is_seen() {
        let mut oracle = Memory::default();
        assert!(oracle.read(0, 500, 1_000).is_ok() && oracle.read(0, 0, 0).is_ok());
        assert_eq!(oracle.highest_permille(), 500);
        assert!(oracle.read(1, 1_001, 1_000).is_err());
    }
}
