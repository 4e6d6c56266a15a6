//! Impostor: a process that may not join asks with the keys of members and for another group, and
//! shows a next view of its own making that lists it.
//!
//! It tries to come in under another name, to move members to a view that nobody decided, and to have
//! what is for others sent to it. It must fail: a request is signed by the key it names and for one
//! view, a decision by a quorum of the view before; what a stranger claims to be decides only where
//! answers to strangers go.
//!
//! Verdict: harmless; it is no member, so nobody suspects it.

use phalanx_core::crypto::peer_id;
use phalanx_core::wire::List;
use phalanx_core::wire::change::Decision;
use phalanx_core::wire::stranger::Stranger;
use phalanx_core::{Hash32, LogEnd, Member, PeerId, Rank, Status, Time, View};

use super::act::{Act, Pulse, Stage};
use super::puppet::Puppet;

/// The strategy.
#[derive(Debug)]
pub(super) struct Impostor {
    pulse: Pulse,
}

impl Impostor {
    pub(super) const fn new() -> Self {
        Self { pulse: Pulse::new(150_000) }
    }
}

/// A view after the one that the puppet knows, with the puppet in it; nobody decided on it.
fn forged(puppet: &Puppet) -> Decision {
    let mut view: View = puppet.view.clone();
    (view.number, view.prev) = (view.number.saturating_add(1), view.id());
    view.cut = List::from(vec![LogEnd::EMPTY; view.members.len()]);
    let (incarnation, status) = (7, Status::Active);
    view.members.push(Member { key: puppet.own, incarnation, addr: Vec::new(), status });
    Decision { view, readys: List::new() }
}

impl Act for Impostor {
    fn stranger(&mut self, _stage: &mut Stage<'_>, _to: PeerId, _message: Stranger) {
        // Its body double would merely be refused; it speaks for itself.
    }

    fn tick(&mut self, stage: &mut Stage<'_>) {
        if !self.pulse.strikes(stage.now) {
            return;
        }
        stage.fire();
        let roster = stage.puppet.roster.clone();
        let mut foreign = stage.puppet.view.clone();
        foreign.group = Hash32([9; 32]);
        let foreign = foreign.roster(stage.puppet.suite()).ok();
        let foreign = foreign.and_then(|roster| stage.puppet.ask_to_join(&roster, 1));
        let chain = Stranger::Chain { decisions: vec![forged(stage.puppet)].into() };
        for to in Rank::all(stage.puppet.n()) {
            let Some(peer) = stage.puppet.peer(to) else { continue };
            stage.call(peer, &chain);
            if let Some(request) = &foreign {
                stage.call(peer, &Stranger::Join(request.clone()));
            }
            // With the key of each member, in a later life, signed by its own.
            for victim in stage.puppet.correct() {
                let request = stage.puppet.ask_to_join(&roster, 9);
                let key = stage.puppet.key(victim);
                if let (Some(mut request), Some(key)) = (request, key) {
                    request.key = key;
                    let frame = stage.puppet.call(peer_id(&key), &Stranger::Join(request));
                    stage.post_frame(to, frame);
                }
            }
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.pulse.due()
    }
}
