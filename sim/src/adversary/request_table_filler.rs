//! Request table filler: its own key asks to be replaced by ever later lives, and it recommends each
//! of them, a different one to each correct member. It takes no part in view changes itself.
//!
//! It tries to fill the table of join requests with requests that have enough recommendations, another
//! set at each member. A leader that holds one full set then cannot justify a Flush that lists another,
//! in any attempt. It must fail: one request per key counts, and what replaces it satisfies whoever
//! listed it.
//!
//! Verdict: depends; it is replaced by the life that it asks for, which never comes.

use phalanx_core::Time;
use phalanx_core::crypto::{Hash32, JoinRequest, Recommend, hash};
use phalanx_core::wire::Part;
use phalanx_core::wire::change::Recommended;

use super::act::{Act, Beat, Stage};
use super::puppet::Letter;

/// Just above the pause after which a key is recommended again.
const SLACK_US: u64 = 50_000;

/// The hash by which a request is recommended.
pub(super) fn request_hash(request: &JoinRequest) -> Option<Hash32> {
    Some(hash("join", &[&postcard::to_allocvec(request).ok()?]))
}

/// The strategy.
#[derive(Debug)]
pub(super) struct RequestTableFiller {
    beat: Beat,
    life: u64,
}

impl RequestTableFiller {
    pub(super) const fn new(cool_us: u64) -> Self {
        Self { beat: Beat::new(cool_us.saturating_add(SLACK_US)), life: 0 }
    }
}

impl Act for RequestTableFiller {
    /// It takes no part in view changes: what it handed on would be known to all in time.
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        letter.drop_parts(|part| {
            matches!(
                part,
                Part::Flush(_)
                    | Part::NeedMoreChange(_)
                    | Part::NewView(_)
                    | Part::Ack(_)
                    | Part::Commit(_)
                    | Part::Ready(_)
                    | Part::Recommend(_)
            )
        });
        stage.post(&letter);
    }

    fn outlives_views(&self) -> bool {
        true
    }

    fn tick(&mut self, stage: &mut Stage<'_>) {
        if !self.beat.strikes(stage.now) {
            return;
        }
        let (me, roster) = (stage.puppet.me, stage.puppet.roster.clone());
        for victim in stage.puppet.correct() {
            self.life = self.life.saturating_add(1);
            let Some(request) = stage.puppet.ask_to_join(&roster, self.life) else { return };
            let Some(hash) = request_hash(&request) else { return };
            let signed = stage.puppet.sign(me, Recommend { request: hash });
            let part = signed.map(|signed| {
                Part::Recommend(Box::new(Recommended { signed, request: request.clone() }))
            });
            let letter = stage.puppet.letter(victim, part.into_iter().collect(), &[]);
            stage.post(&letter);
            stage.fire();
        }
    }

    fn deadline(&self) -> Option<Time> {
        Some(self.beat.due())
    }
}
