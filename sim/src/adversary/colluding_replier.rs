//! Colluding repliers: liars that split their digests ([`super::split_digest`]) and tell every
//! member what it wants to hear about each other's logs. To a member that replied to (s, r, H), s
//! a fellow liar, each signs (s, r, H) too, whatever it signed for others, and claims to hold it.
//!
//! They try to give both branches a quorum of replies and of haves. It must fail: at most f votes
//! of a certificate, and of the haves of a delivery, are lies (Q1, RM3, RM5; D2, D4). With f + 1
//! of them it succeeds: the canary, which shows that the oracles can fail.
//!
//! Verdict: proven (RM7), as soon as the halves talk.

use std::collections::BTreeMap;

use phalanx_core::crypto::Head;
use phalanx_core::wire::Part;
use phalanx_core::{Number, Rank};

use super::act::{Act, Stage};
use super::puppet::{Letter, Puppet};
use super::split_digest::SplitDigest;

/// The strategy.
#[derive(Debug)]
pub(super) struct ColludingReplier {
    split: SplitDigest,
    /// The newest head of each liar's log that each member wants to hear.
    echoes: BTreeMap<(Rank, Rank), Head>,
    /// How far above what a member wants to hear it is told that the liar holds.
    ahead: u64,
}

impl ColludingReplier {
    pub(super) fn new(puppet: &mut Puppet) -> Self {
        let ahead = u64::from(puppet.limits.window_bodies) / 2;
        Self { split: SplitDigest::new(puppet), echoes: BTreeMap::new(), ahead }
    }

    /// Claims to hold the liars' logs further than the receiver has seen them: haves before
    /// replies, so that they are there when the certificate is.
    fn claim(&self, puppet: &Puppet, letter: &mut Letter) {
        let to = letter.peer;
        for liar in puppet.liars.iter().filter(|liar| **liar != puppet.me) {
            let seen = self.echoes.get(&(to, *liar)).map_or(Number::ZERO, |head| head.number);
            puppet.claim(letter, *liar, seen.plus(self.ahead));
        }
    }
}

impl Act for ColludingReplier {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        self.split.shape(stage, &mut letter);
        let to = letter.peer;
        let is_changed = stage.puppet.rewrite_heads(&mut letter, |entries| {
            for entry in entries {
                if let Some(echo) = self.echoes.get(&(to, entry.sender)) {
                    *entry = *echo;
                }
            }
        });
        if is_changed {
            stage.fire();
        }
        self.claim(stage.puppet, &mut letter);
        stage.post(&letter);
    }

    fn is_listening(&self) -> bool {
        true
    }

    fn incoming(&mut self, stage: &mut Stage<'_>, letter: &mut Letter) -> bool {
        self.split.hear(stage, letter);
        let from = letter.peer;
        let (me, liars) = (stage.puppet.me, stage.puppet.liars.clone());
        if liars.contains(&from) {
            return false;
        }
        let mut news: BTreeMap<Rank, Head> = BTreeMap::new();
        for part in letter.packet.parts.iter() {
            let Part::Heads(heads) = part else { continue };
            if heads.signer != from {
                continue;
            }
            for head in heads.statement.entries.iter() {
                let is_fellow = head.sender != me && liars.contains(&head.sender);
                let old = self.echoes.get(&(from, head.sender));
                if is_fellow && old.is_none_or(|old| old.number < head.number) {
                    self.echoes.insert((from, head.sender), *head);
                    news.insert(head.sender, *head);
                }
            }
        }
        if let Some(heads) = stage.puppet.sign_heads(me, news.into_values().collect()) {
            let mut reply = stage.puppet.letter(from, vec![Part::Heads(heads)], &[]);
            self.claim(stage.puppet, &mut reply);
            stage.fire();
            stage.post(&reply);
        }
        false
    }
}
