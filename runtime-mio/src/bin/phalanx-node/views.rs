//! `views verify`: whether a chain of views was decided as the protocol wants, offline, by the group
//! file alone; and views as bytes, for files.

use std::fs;
use std::path::PathBuf;

use phalanx_core::View;
use phalanx_core::crypto::Suite;
use phalanx_core::wire::change::Decision;
use phalanx_mio::config::Group;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Failure;
use crate::json::from_hex;

/// What to do with views.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Check decisions, each the next of the one before and the first of the genesis view; exits
    /// with 1 if one proves nothing
    Verify {
        /// The decisions in hexadecimal, one a line, as events of `run --pipe` carry them
        file: PathBuf,
        /// The group file
        #[arg(long, value_name = "FILE")]
        group: PathBuf,
    },
}

/// Runs it.
pub(crate) fn views(command: &Command) -> Result<(), Failure> {
    let Command::Verify { file, group } = command;
    let group = Group::read(group)?;
    let text = fs::read_to_string(file).map_err(|why| format!("{}: {why}", file.display()))?;
    let mut view = group.genesis.view();
    print_line!("{}", group.view_line(&view, None))?;
    for (line, text) in text.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
        let at = |why: Failure| format!("{}:{}: {why}", file.display(), line + 1);
        let bytes = from_hex(text.trim()).ok_or("this is no hexadecimal").map_err(|w| at(w.into()));
        let next = follow(&view, &bytes?).map_err(at)?;
        print_line!("{}", group.change_line((&view, &next), None, &|_, _| None))?;
        view = next;
    }
    print_line!("every view was decided by a quorum of the one before; the last is {}", view.id())?;
    Ok(())
}

/// Canonical bytes of what has no such function of its own: a view.
pub(crate) fn to_bytes(value: &impl Serialize) -> Vec<u8> {
    postcard::to_allocvec(value).unwrap_or_default()
}

/// What has exactly these canonical bytes.
pub(crate) fn from_bytes<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (value, rest) = postcard::take_from_bytes::<T>(bytes).ok()?;
    (rest.is_empty() && to_bytes(&value) == bytes).then_some(value)
}

/// The view that these bytes prove to be the next of `view`.
fn follow(view: &View, bytes: &[u8]) -> Result<View, Failure> {
    let decision = Decision::from_bytes(bytes).ok_or("these bytes are no decision")?;
    let next = &decision.view;
    if (next.prev, next.number) != (view.id(), view.number + 1) {
        return Err(format!("it is not the next of view {}", view.number).into());
    }
    decision.verify(view, &view.roster(Suite::Ed25519)?)?;
    Ok(decision.view)
}

#[cfg(test)]
mod tests {
    use super::*;
    use phalanx_core::crypto::{Door, Identity, ReadyToSwitch, Signed};
    use phalanx_core::{
        Attempt, Genesis, Hash32, Limits, LogEnd, Member, Membership, Pattern, QuorumRule, Rank,
        Status,
    };

    fn identity(rank: u16) -> Identity {
        Identity::ed25519([u8::try_from(rank).unwrap() + 1; 32])
    }

    fn genesis() -> View {
        let member = |rank| Member {
            key: *identity(rank).public_key(),
            incarnation: 1,
            addr: vec![],
            status: Status::Active,
        };
        let genesis = Genesis {
            name: "test".into(),
            nonce: Hash32([3; 32]),
            members: (0..4).map(member).collect(),
            pledge: None,
            pattern: Pattern::Swift,
            quorum: QuorumRule::Sound,
            membership: Membership::Managed,
            state_transfer: false,
            limits: Limits::default(),
        };
        genesis.view()
    }

    /// The decision of these members for a view without the last one.
    fn decision(view: &View, signers: &[u16]) -> Decision {
        let mut next = View { number: view.number + 1, prev: view.id(), ..view.clone() };
        next.members.pop();
        next.cut = vec![LogEnd::EMPTY; view.members.len()].into();
        let roster = view.roster(Suite::Ed25519).unwrap();
        let said = ReadyToSwitch { attempt: Attempt::default(), next: next.id() };
        let ready = |rank: &u16| {
            let mut door = Door::new(identity(*rank));
            Signed::clone(door.sign(&roster, Rank::new(*rank), said.clone()).signed())
        };
        let readys: Vec<_> = signers.iter().map(ready).collect();
        Decision { view: next, readys: readys.into() }
    }

    #[test]
    fn a_quorum_of_the_view_before_decides() {
        let view = genesis();
        let first = decision(&view, &[0, 1, 3]);
        let next = follow(&view, &first.to_bytes()).unwrap();
        let second = decision(&next, &[1, 2]);
        assert_eq!(follow(&next, &second.to_bytes()).unwrap().number, 2);
        assert!(follow(&view, &second.to_bytes()).is_err(), "a link is missing");
    }

    #[test]
    fn whatever_is_not_decided_is_refused() {
        let view = genesis();
        let refused = |decision: &Decision| follow(&view, &decision.to_bytes()).is_err();
        assert!(refused(&decision(&view, &[0, 1])));
        assert!(refused(&decision(&view, &[0, 1, 1])));
        assert!(refused(&decision(&view, &[0, 1, 2, 3])), "not exactly a quorum");
        let good = decision(&view, &[0, 1, 2]);
        let change = |change: fn(&mut Decision)| {
            let mut changed = good.clone();
            change(&mut changed);
            refused(&changed)
        };
        assert!(!change(|_| {}));
        assert!(change(|decision| decision.view.pledge += 1));
        assert!(change(|decision| decision.view.number += 1));
        assert!(change(|decision| decision.readys.as_mut_vec()[0].signer = Rank::new(3)));
        assert!(change(|decision| {
            let attempt = &mut decision.readys.as_mut_vec()[0].statement.attempt;
            *attempt = attempt.next();
        }));
        let mut longer = good.to_bytes();
        longer.push(0);
        assert!(follow(&view, &longer).is_err());
    }
}
