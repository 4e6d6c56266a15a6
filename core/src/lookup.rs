//! A bounded map that can be asked but not walked: its order is nobody's business.
//!
//! Keys may come from peers, so the hasher is keyed (from the identity's secret): nobody can aim
//! for collisions. When it is full the oldest entry makes room.

use alloc::collections::VecDeque;
use core::hash::{BuildHasher, Hash};
use siphasher::sip::SipHasher13;

#[derive(Clone, Copy)]
struct Keyed(u64, u64);

impl BuildHasher for Keyed {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}

/// At most `limit` entries, oldest out first.
pub(crate) struct Lookup<K, V> {
    #[allow(clippy::disallowed_types, reason = "this is the wrapper that cannot be iterated")]
    map: hashbrown::HashMap<K, V, Keyed>,
    order: VecDeque<K>,
    limit: usize,
}

impl<K, V> core::fmt::Debug for Lookup<K, V> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Lookup").field("len", &self.map.len()).field("limit", &self.limit).finish()
    }
}

impl<K: Hash + Eq + Copy, V> Lookup<K, V> {
    /// An empty map of at most `limit` entries (at least 1), hashed under `keys`.
    pub(crate) fn new(limit: usize, keys: (u64, u64)) -> Self {
        #[allow(clippy::disallowed_types, reason = "this is the wrapper that cannot be iterated")]
        let map = hashbrown::HashMap::with_hasher(Keyed(keys.0, keys.1));
        Self { map, order: VecDeque::new(), limit: limit.max(1) }
    }

    /// The value kept for `key`.
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.map.get(key)
    }

    /// Keeps `value` for `key`, in place of what stood there.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.map.insert(key, value).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > self.limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.map.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_makes_room() {
        let mut lookup = Lookup::new(2, (1, 2));
        lookup.insert(1_u64, 'a');
        lookup.insert(2, 'b');
        lookup.insert(1, 'c');
        assert_eq!(lookup.get(&1), Some(&'c'));
        lookup.insert(3, 'd');
        assert_eq!(
            (lookup.get(&1), lookup.get(&2), lookup.get(&3)),
            (None, Some(&'b'), Some(&'d'))
        );
    }
}
