//! Colluding replier: tells every member what it wants to hear about the logs of liars. To a
//! member that replied to (s, r, H), s a liar, it signs (s, r, H) too, whatever it signed for
//! others, and claims to hold it.
//!
//! It tries to give both branches of a split digest a quorum. It must fail: at most f votes of a
//! certificate, and of the haves of a delivery, are lies (Q1, RM3, RM5; D2, D4).
//!
//! Verdict: may be proven (RM7: two replies for one body), if a fellow liar forks its log and the
//! halves talk.

use std::collections::BTreeMap;

use phalanx_core::crypto::Head;
use phalanx_core::wire::Part;
use phalanx_core::{Number, Rank};

use super::act::{Act, Stage};
use super::puppet::{Letter, Puppet};
use super::split_digest::claim;

/// The strategy.
#[derive(Debug)]
pub(super) struct ColludingReplier {
    /// The newest head of each liar's log that each member wants to hear.
    echoes: BTreeMap<(Rank, Rank), Head>,
    /// How far above what it wants to hear a member is told that the liar holds.
    ahead: u64,
}

impl ColludingReplier {
    pub(super) fn new(puppet: &Puppet) -> Self {
        let ahead = u64::from(puppet.limits.window_bodies) / 2;
        Self { echoes: BTreeMap::new(), ahead }
    }

    /// Claims to hold the liars' logs further than `to` has seen them: haves before replies, so
    /// that they are there when the certificate is.
    fn claims(&self, puppet: &Puppet, letter: &mut Letter) {
        let to = letter.peer;
        for liar in puppet.liars.iter().filter(|liar| **liar != puppet.me) {
            let seen = self.echoes.get(&(to, *liar)).map_or(Number::ZERO, |head| head.number);
            let number = seen.plus(self.ahead);
            let hash = phalanx_core::Hash32::ZERO;
            claim(puppet, letter, Head { sender: *liar, number, hash });
        }
    }

    /// Puts the echoes for the receiver in place of the body double's own replies to liars.
    fn retell(&self, puppet: &mut Puppet, letter: &mut Letter) -> bool {
        let (me, to) = (puppet.me, letter.peer);
        let mut is_changed = false;
        for part in letter.parts_mut() {
            let Part::Heads(heads) = part else { continue };
            if heads.signer != me {
                continue;
            }
            let mut entries: Vec<Head> = heads.statement.entries.to_vec();
            for entry in &mut entries {
                if let Some(echo) = self.echoes.get(&(to, entry.sender))
                    && echo != entry
                {
                    *entry = *echo;
                    is_changed = true;
                }
            }
            if is_changed && let Some(signed) = puppet.sign_heads(me, entries) {
                *heads = signed;
            }
        }
        is_changed
    }
}

impl Act for ColludingReplier {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        if self.retell(stage.puppet, &mut letter) {
            stage.fire();
        }
        self.claims(stage.puppet, &mut letter);
        stage.post(&letter);
    }

    fn is_listening(&self) -> bool {
        true
    }

    fn incoming(&mut self, stage: &mut Stage<'_>, letter: &Letter) {
        let from = letter.peer;
        let (me, liars) = (stage.puppet.me, stage.puppet.liars.clone());
        if liars.contains(&from) {
            return;
        }
        let mut news = Vec::new();
        for part in letter.packet.parts.iter() {
            let Part::Heads(heads) = part else { continue };
            if heads.signer != from {
                continue;
            }
            for head in heads.statement.entries.iter() {
                let is_fellow = head.sender != me && liars.contains(&head.sender);
                let is_new = self
                    .echoes
                    .get(&(from, head.sender))
                    .is_none_or(|old| old.number < head.number);
                if is_fellow && is_new {
                    self.echoes.insert((from, head.sender), *head);
                    news.push(*head);
                }
            }
        }
        if let Some(heads) = stage.puppet.sign_heads(me, news) {
            let mut reply = stage.puppet.letter(from, vec![Part::Heads(heads)], &[]);
            self.claims(stage.puppet, &mut reply);
            stage.fire();
            stage.post(&reply);
        }
    }
}
