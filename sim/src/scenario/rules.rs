//! Rules of the network: what becomes of one kind of message on some links, from one moment, or
//! something that is seen to happen, to another.
//!
//! ```toml
//! [[rule]]                      # every Ready of member 0 to members 2 and 3 ...
//! kinds = ["ready"]
//! from = [0]
//! to = [2, 3]
//! after = { sent = "ack", count = 3 }    # ... once three members sent an Ack ...
//! until = { installed = 1, from = [1] }  # ... and until member 1 installs view 1 ...
//! fate = "hold"                          # ... waits, and goes on then
//! ```
//!
//! The network reads frames, it cannot change them: a frame meets its fate if any of its parts is
//! meant. Rules end when the network heals, but for links with liars: a liar may be silent towards
//! whom it likes for as long as it likes.

use serde::{Deserialize, Serialize};

use phalanx_core::wire::Part;

/// A kind of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each is the part of the same name")]
pub enum Kind {
    Heads,
    Certificate,
    Body,
    Stable,
    Suspect,
    Proof,
    Fetch,
    AskRow,
    AskSlot,
    Pt2pt,
    Leave,
    Recommend,
    Flush,
    NeedMoreChange,
    NewView,
    Ack,
    Commit,
    Ready,
    Decision,
    AskNewView,
    Installed,
    AskInstalled,
    Join,
    Transfer,
    RowCounters,
    Lacks,
    /// No part: how far the sender holds the logs.
    Haves,
}

impl Kind {
    /// The kind of a part.
    #[must_use]
    pub const fn of(part: &Part) -> Self {
        match part {
            Part::Heads(_) => Self::Heads,
            Part::Certificate(_) => Self::Certificate,
            Part::Body(_) => Self::Body,
            Part::Stable(_) => Self::Stable,
            Part::Suspect(_) => Self::Suspect,
            Part::Proof(_) => Self::Proof,
            Part::Fetch { .. } => Self::Fetch,
            Part::AskRow { .. } => Self::AskRow,
            Part::AskSlot { .. } => Self::AskSlot,
            Part::Pt2pt(_) => Self::Pt2pt,
            Part::Leave(_) => Self::Leave,
            Part::Recommend(_) => Self::Recommend,
            Part::Flush(_) => Self::Flush,
            Part::NeedMoreChange(_) => Self::NeedMoreChange,
            Part::NewView(_) => Self::NewView,
            Part::Ack(_) => Self::Ack,
            Part::Commit(_) => Self::Commit,
            Part::Ready(_) => Self::Ready,
            Part::Decision(_) => Self::Decision,
            Part::AskNewView(_) => Self::AskNewView,
            Part::Installed(_) => Self::Installed,
            Part::AskInstalled(_) => Self::AskInstalled,
            Part::Join(_) => Self::Join,
            Part::Transfer(_) => Self::Transfer,
            Part::RowCounters(_) => Self::RowCounters,
            Part::Lacks { .. } => Self::Lacks,
        }
    }

    /// The attempt that a part is about, if it is about one.
    #[must_use]
    pub fn attempt(part: &Part) -> Option<u64> {
        let attempt = match part {
            Part::NeedMoreChange(more) => more.signed.statement.attempt,
            Part::NewView(proposed) => proposed.signed.statement.attempt,
            Part::Ack(ack) => ack.statement.attempt,
            Part::Commit(committed) => committed.signed.statement.attempt,
            Part::Ready(ready) => ready.statement.attempt,
            Part::AskNewView(attempt) => *attempt,
            _ => return None,
        };
        Some(u64::from(attempt.value()))
    }

    /// The step of a log that a part is of: a body's number, the highest one that heads name, a row's
    /// counter.
    #[must_use]
    pub fn step(part: &Part) -> Option<u64> {
        match part {
            Part::Body(body) => Some(body.number.value()),
            Part::Certificate(certificate) => Some(certificate.head.number.value()),
            Part::Heads(heads) => {
                heads.statement.entries.iter().map(|head| head.number.value()).max()
            }
            Part::Stable(row) => Some(row.statement.counter),
            _ => None,
        }
    }

    /// The log that a part is about, if it is about one: the rank of its sender in that view.
    #[must_use]
    pub const fn log(part: &Part) -> Option<u16> {
        let sender = match part {
            Part::Body(body) => body.sender,
            Part::Certificate(certificate) => certificate.head.sender,
            Part::Fetch { sender, .. } | Part::AskSlot { sender, .. } => *sender,
            Part::Stable(row) => row.signer,
            Part::AskRow { member, .. } => *member,
            Part::Suspect(suspect) => suspect.statement.subject,
            _ => return None,
        };
        Some(sender.value())
    }
}

/// Something that is seen to happen. Exactly one of `sent`, `read` and `installed` is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Signal {
    /// A message of this kind leaves one of `from` for one of `to`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<Kind>,
    /// One arrives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read: Option<Kind>,
    /// One of `from` installs the view with this number, or a later one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub installed: Option<u64>,
    /// Anybody if empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<u16>,
    /// Anybody if empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<u16>,
    /// Of this attempt; any if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u64>,
    /// In the view with this number; any if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view: Option<u64>,
    /// By how many different members; one if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<usize>,
}

impl Signal {
    /// Whether it says what it waits for, and only once.
    #[must_use]
    pub fn is_one(&self) -> bool {
        let given = [self.sent.is_some(), self.read.is_some(), self.installed.is_some()];
        given.iter().filter(|given| **given).count() == 1
    }
}

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It is lost.
    #[default]
    Drop,
    /// It waits until the rule ends.
    Hold,
    /// It takes `delay_us` longer.
    Late,
}

/// A rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// Which messages; all if empty.
    pub kinds: Vec<Kind>,
    /// Who sends; anybody if empty.
    pub from: Vec<u16>,
    /// For whom; anybody if empty.
    pub to: Vec<u16>,
    /// Of this attempt; any if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u64>,
    /// About the log, the row or the suspicion of this rank in their view; any if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<u16>,
    /// Of this step of a log; any if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
    /// In the view with this number; any if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view: Option<u64>,
    /// From then on.
    pub from_us: u64,
    /// Until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_us: Option<u64>,
    /// From when this happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Signal>,
    /// Until this happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Signal>,
    /// What happens to them.
    pub fate: Fate,
    /// How much longer they take, if late.
    pub delay_us: u64,
    /// To how many of them, in thousandths; all if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permille: Option<u16>,
    /// It may come to nothing: otherwise a run in which it never applies shows nothing.
    pub may_miss: bool,
}
