//! State transfer (protocol.md section 10): members hand the state of the application to those that
//! join, checked piece by piece, without the core ever holding it.
//!
//! Promises: what the application of a joiner is given is the state that weak members of the view
//! before signed, so that a correct one did, each byte once and in order; it is complete as soon as
//! one of them that has it can be reached. Memory stays under [`bound_bytes`]. Needs from below:
//! authenticated links that may lose, repeat and reorder.
//!
//! # The contract with the application
//!
//! A state is bytes, and the applications of all correct members have the same at the same place of
//! the order. It is cut into chunks of 64 KiB ([`crate::wire::transfer::CHUNK_BYTES`]), the last one
//! shorter, counted from 0; it may be empty. At a member that has the state:
//!
//! 1. [`crate::Event::SnapshotWanted`] follows the [`crate::Event::View`] with which others join:
//!    the application notes its state as it is then (a copy, or copy-on-write).
//! 2. It answers with [`crate::Request::SnapshotReady`]: length in bytes and SHA-256 of each chunk.
//!    Refused: `NotWanted` (the joiners are gone, or `retain_us` passed), `AlreadyDone`, `TooLarge`
//!    (beyond `state_max`), `NotTheSnapshot` (not as many hashes as the length needs).
//! 3. [`crate::Event::ChunkWanted`] may come for any chunk, in any order, and again; it answers
//!    with [`crate::Request::Chunk`]. Refused: `NotWanted` (nobody waits for it any more),
//!    `NotTheSnapshot` (not the bytes that were hashed: nothing is sent).
//! 4. [`crate::Event::SnapshotReleased`]: it may forget the snapshot. This comes when all joiners
//!    have loaded it or are gone, and at the latest `retain_us` and one microsecond for each of its
//!    bytes after step 2.
//!
//! At a joiner [`crate::Event::State`] brings the bytes, then comes [`crate::Event::StateLoaded`],
//! and only then anything else is delivered. `SnapshotDiverged`, `StateTooLarge` and `StateStalled`
//! say why that takes long; it goes on trying in any case.
//!
//! # What a faulty member can try
//!
//! A root of its own: fewer than weak sign it. Two of them: a [`Proof`]. An endless state: beyond
//! `state_max` it is not loaded. Wrong pieces: each is checked by itself, and its sender is not
//! asked again. Silence: it rests longer and longer while others are asked. As a joiner, asking for
//! ever: each has a budget, and so many chunks at a time. Never to finish: its time is limited.

mod donor;
mod fetch;
mod load;
mod source;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use self::donor::Offers;
use self::load::Load;
use super::Context;
use crate::config::Config;
use crate::crypto::{Hash32, PublicKey, Reason, Roster};
use crate::fault::{LinkFault, Proof};
use crate::member::{Member, Rank, Status};
use crate::output::Refusal;
use crate::time::{Time, earliest};
use crate::view::View;
use crate::wire::transfer::TransferPart;

/// What happens to the machine.
#[derive(Debug)]
pub(crate) enum In<'a> {
    /// A view is installed.
    View(&'a Entered<'a>),
    /// The application has come to where this view begins: all of the view before is delivered.
    Reached(u64),
    /// A part came over the link of a member of the present view.
    Part(Rank, TransferPart),
    /// Time passed.
    Tick,
}

/// What the application answers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer<'a> {
    /// The snapshot of a view: its length and the hashes of its chunks.
    Ready { view: u64, length: u64, chunks: &'a [Hash32] },
    /// One chunk of it.
    Chunk { view: u64, index: u32, bytes: &'a [u8] },
}

/// What the machine wants done. Ranks are of the present view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Out {
    /// A part for the link to a member.
    Part(Rank, TransferPart),
    /// The application is asked for a snapshot.
    Wanted(u64),
    /// The application is asked for a chunk of the snapshot of a view.
    ChunkWanted(u64, u32),
    /// A snapshot that was asked for is not needed any more.
    Released(u64),
    /// The next bytes of the state that this process joins with.
    State { offset: u64, bytes: Vec<u8>, total: u64 },
    /// The state of this view, of so many bytes, is complete: the gate is open.
    Loaded(u64, u64),
    /// Members disagree on the state of this view.
    Diverged(u64),
    /// Enough members agree on a state of this length, beyond `state_max`.
    TooLarge(u64),
    /// Nothing came for long of the state of this view.
    Stalled(u64),
    /// A member hands over what is wrong, or nothing.
    Opinion(Rank, Reason),
    /// The holder of this key signed two states. The view of the proof may be an earlier one than
    /// the present.
    Proof(PublicKey, Box<Proof>),
}

/// How this process stands to the state with which a view begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stand {
    /// It has it, or will, once it has loaded that of an earlier view.
    Whole,
    /// It has to load it.
    Loads,
    /// It is a voter that has lost it: it neither loads nor hands over.
    Lost,
}

/// A view that was installed.
#[derive(Debug)]
pub(crate) struct Entered<'a> {
    /// The view.
    pub(crate) view: &'a View,
    /// Its keys.
    pub(crate) roster: &'a Arc<Roster>,
    /// The view before, if this process was a member of it.
    pub(crate) before: Option<&'a View>,
    /// The rank of this process in the view.
    pub(crate) me: Rank,
    /// How this process stands to the state with which the view begins.
    pub(crate) stand: Stand,
}

impl Entered<'_> {
    /// How many members are of the view before; they have the lowest ranks.
    fn survivors(&self) -> usize {
        self.view.cut.len().saturating_sub(self.view.departed.len())
    }

    /// Who may need the state with which the view begins: joiners, and who is Active again.
    fn joiners(&self) -> Vec<PublicKey> {
        let members = Rank::all(self.view.members.len()).zip(&self.view.members);
        let joins = |(rank, member): &(Rank, &Member)| {
            *rank != self.me
                && member.status == Status::Active
                && (rank.index() >= self.survivors() || self.was_silenced(&member.key))
        };
        members.filter(joins).map(|(_, member)| member.key).collect()
    }

    fn was_silenced(&self, key: &PublicKey) -> bool {
        let before = self.before.and_then(|view| view.member(view.rank_of(key)?));
        before.is_some_and(|member| member.status == Status::Silenced)
    }

    /// Whether members make a snapshot for this process, which needs none.
    fn is_back_whole(&self) -> bool {
        let me = self.view.member(self.me).filter(|me| me.status == Status::Active);
        self.stand == Stand::Whole && me.is_some_and(|me| self.was_silenced(&me.key))
    }
}

/// The limits that the machine keeps to.
#[derive(Clone, Copy, Debug)]
struct Settings {
    state_max: u64,
    fetch_us: u64,
    resend_us: u64,
    resend_max_us: u64,
    retain_us: u64,
}

/// The machine: it outlives views, and knows members by their keys.
#[derive(Debug)]
pub(crate) struct Transfer {
    /// None if the group hands over no state.
    settings: Option<Settings>,
    /// Number of the present view, and its members.
    present: u64,
    members: Vec<PublicKey>,
    load: Option<Load>,
    offers: Offers,
}

/// The most bytes that the machine holds.
pub(crate) fn bound_bytes(config: &Config) -> usize {
    if config.genesis.state_transfer {
        fetch::BOUND_BYTES.saturating_add(donor::bound_bytes(config.state_max))
    } else {
        0
    }
}

impl Transfer {
    /// A machine that has seen no view yet.
    pub(crate) fn new(config: &Config) -> Self {
        let timeouts = &config.timeouts;
        let settings = Settings {
            state_max: config.state_max,
            fetch_us: timeouts.fetch_us,
            resend_us: timeouts.resend_us,
            resend_max_us: timeouts.resend_max_us,
            retain_us: timeouts.retain_us,
        };
        Self {
            settings: config.genesis.state_transfer.then_some(settings),
            present: 0,
            members: Vec::new(),
            load: None,
            offers: Offers::default(),
        }
    }

    /// Whether nothing is being loaded.
    fn is_loaded(&self) -> bool {
        self.load.as_ref().is_none_or(Load::is_done)
    }

    /// The application has lost its state: nothing is loaded any more, and nothing handed over that it
    /// was not asked for yet.
    pub(crate) fn lose(&mut self, now: Time) {
        if let Some(load) = &mut self.load {
            load.give_up(now);
        }
        self.offers.lose();
    }

    /// Whether joiners are being handed a state that the application was asked for.
    pub(crate) fn is_handing_over(&self) -> bool {
        self.offers.is_serving()
    }

    /// When a Tick is owed.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let load = self.load.as_ref().and_then(Load::deadline);
        earliest(load, self.offers.deadline())
    }

    /// Bytes held for joiners and from donors.
    pub(crate) fn held_bytes(&self) -> usize {
        let load = self.load.as_ref().map_or(0, Load::held_bytes);
        load.saturating_add(self.offers.held_bytes())
    }

    /// One step.
    ///
    /// # Errors
    /// If a part is its sender's fault.
    pub(crate) fn step(
        &mut self,
        cx: &mut Context<'_>,
        input: In<'_>,
    ) -> Result<Vec<Out>, LinkFault> {
        let mut out = Vec::new();
        let Some(settings) = self.settings else { return Ok(out) };
        match input {
            In::View(entered) => self.on_view(cx.now, settings, entered, &mut out),
            In::Reached(view) => self.offers.on_reached(cx.now, settings, view, &mut out),
            In::Part(from, part) => self.on_part(cx, from, part, &mut out)?,
            In::Tick => {
                self.offers.on_tick(cx.now, &mut out);
                if let Some(load) = &mut self.load {
                    load.on_tick(cx.now, &mut out);
                }
            }
        }
        Ok(out)
    }

    /// The application answers.
    ///
    /// # Errors
    /// If its answer is of no use; nothing of it was taken.
    pub(crate) fn answer(
        &mut self,
        cx: &mut Context<'_>,
        answer: Answer<'_>,
    ) -> Result<Vec<Out>, Refusal> {
        let mut out = Vec::new();
        let settings = self.settings.ok_or(Refusal::NotWanted)?;
        match answer {
            Answer::Ready { view, length, chunks } => {
                let offer = self.offers.get_mut(view).ok_or(Refusal::NotWanted)?;
                offer.on_ready(cx, settings, (length, chunks), &self.members, &mut out)?;
            }
            Answer::Chunk { view, index, bytes } => {
                let offer = self.offers.get_mut(view).ok_or(Refusal::NotWanted)?;
                offer.on_chunk(cx, index, bytes, &self.members, &mut out)?;
            }
        }
        Ok(out)
    }

    fn on_view(
        &mut self,
        now: Time,
        settings: Settings,
        entered: &Entered<'_>,
        out: &mut Vec<Out>,
    ) {
        let members = &entered.view.members;
        self.present = entered.view.number;
        self.members = members.iter().map(|member| member.key).collect();
        self.offers.on_view(entered, &self.members, out);
        match entered.stand {
            Stand::Loads => self.load = Some(Load::new(settings, entered, now)),
            Stand::Whole if entered.is_back_whole() && self.is_loaded() => {
                self.load = Some(Load::needless(settings, entered, now));
            }
            // Who is overtaken while it loads goes on with its own.
            Stand::Whole | Stand::Lost => {}
        }
        if let Some(load) = &mut self.load {
            load.on_view(now, &self.members, out);
        }
    }

    fn on_part(
        &mut self,
        cx: &mut Context<'_>,
        from: Rank,
        part: TransferPart,
        out: &mut Vec<Out>,
    ) -> Result<(), LinkFault> {
        let Some(key) = self.members.get(from.index()).copied() else { return Ok(()) };
        match part {
            TransferPart::Ask { of, piece } => {
                if let Some(offer) = self.offers.get_mut(of) {
                    offer.on_ask((from, key), piece, out);
                } else if of <= self.present {
                    out.push(Out::Part(from, TransferPart::Gone { of }));
                }
            }
            TransferPart::Done { of } => self.offers.on_done(of, &key, out),
            part @ (TransferPart::Root { .. }
            | TransferPart::Pages { .. }
            | TransferPart::Page { .. }
            | TransferPart::Chunk { .. }
            | TransferPart::Gone { .. }) => {
                let of = part.of();
                match &mut self.load {
                    Some(load) if load.of() == of => {
                        return load.on_part(cx, (from, &key), part, out);
                    }
                    Some(_) | None if matches!(part, TransferPart::Root { .. }) => {
                        out.push(Out::Part(from, TransferPart::Done { of }));
                    }
                    Some(_) | None => {}
                }
            }
        }
        Ok(())
    }
}

/// Where a process is in the present view.
fn rank_of(members: &[PublicKey], key: &PublicKey) -> Option<Rank> {
    Rank::all(members.len()).zip(members).find(|(_, member)| *member == key).map(|(rank, _)| rank)
}
