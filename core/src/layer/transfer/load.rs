//! What a joiner does: collects signed roots until weak members of the view before agree, then
//! fetches the state that they name.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::fetch::{Fetch, Verdict};
use super::source::{Source, Trust};
use super::{Entered, Out, Settings, rank_of};
use crate::crypto::{PublicKey, Reason, Roster, Signed, Snapshot};
use crate::fault::{Evidence, LinkFault, Proof, TwoFaced};
use crate::layer::Context;
use crate::member::Rank;
use crate::quorum::Quorum;
use crate::time::{Time, earliest};
use crate::timer::Backoff;
use crate::wire::transfer::{Piece, Shape, TransferPart};

#[derive(Debug)]
enum Phase {
    /// Waits for enough that agree.
    Agreeing,
    /// Knows which state it is.
    Fetching(Fetch),
    /// The application has it; that is told so many times more.
    Done(u32),
}

/// How often each source is told that nothing more is needed: it does not answer that.
const FAREWELLS: u32 = 6;

/// What the application was told, each once; the last of them once per standstill.
#[derive(Debug, Default)]
struct Told {
    diverged: bool,
    too_large: bool,
    stalled: bool,
}

/// The state with which one view begins, on its way to this process.
#[derive(Debug)]
pub(super) struct Load {
    settings: Settings,
    of: u64,
    roster: Arc<Roster>,
    key: PublicKey,
    /// Of the view before: who votes on the state.
    quorum: Quorum,
    sources: Vec<Source>,
    phase: Phase,
    ask: Backoff,
    /// When something came last.
    progress: Time,
    told: Told,
}

impl Load {
    /// Begins to load the state with which the entered view begins; [`Load::on_view`] comes next.
    pub(super) fn new(settings: Settings, entered: &Entered<'_>, now: Time) -> Self {
        let view = entered.view;
        let key = view.member(entered.me).map_or(PublicKey([0; 32]), |member| member.key);
        let voters = view.members.iter().take(entered.survivors());
        let source =
            |key| Source::new(key, settings.fetch_us.max(1), settings.resend_max_us.max(1));
        Self {
            settings,
            of: view.number,
            roster: Arc::clone(entered.roster),
            key,
            quorum: Quorum::of(u16::try_from(view.cut.len()).unwrap_or(u16::MAX), view.rule),
            sources: voters.map(|m| m.key).filter(|other| *other != key).map(source).collect(),
            phase: Phase::Agreeing,
            ask: Backoff::new(settings.resend_us, settings.resend_max_us),
            progress: now,
            told: Told::default(),
        }
    }

    /// There is nothing to load, whatever the others think.
    pub(super) fn needless(settings: Settings, entered: &Entered<'_>, now: Time) -> Self {
        Self { phase: Phase::Done(FAREWELLS), ..Self::new(settings, entered, now) }
    }

    /// What it is for is lost: the sources need not wait.
    pub(super) fn give_up(&mut self, now: Time) {
        if !self.is_done() {
            self.phase = Phase::Done(FAREWELLS);
            self.ask.restart(now);
        }
    }

    /// The view whose state it is.
    pub(super) const fn of(&self) -> u64 {
        self.of
    }

    pub(super) const fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done(_))
    }

    pub(super) fn held_bytes(&self) -> usize {
        match &self.phase {
            Phase::Fetching(fetch) => fetch.held_bytes(),
            Phase::Agreeing | Phase::Done(_) => 0,
        }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        let stall = (!self.told.stalled).then(|| self.progress.plus(self.settings.retain_us));
        let fetch = match &self.phase {
            Phase::Done(_) => return self.ask.due(),
            Phase::Agreeing => None,
            Phase::Fetching(fetch) => fetch.deadline(&self.sources),
        };
        earliest(earliest(stall, self.ask.due()), fetch)
    }

    /// Sources that are in the present view are asked, those that left it cannot be.
    pub(super) fn on_view(&mut self, now: Time, members: &[PublicKey], out: &mut Vec<Out>) {
        for source in &mut self.sources {
            source.rank = rank_of(members, &source.key);
        }
        if self.is_done() {
            self.tell_done(now, out);
            return;
        }
        self.ask.restart(now);
        self.ask_roots(out);
        self.go_on(now, out);
    }

    pub(super) fn on_tick(&mut self, now: Time, out: &mut Vec<Out>) {
        let fires = self.ask.fires(now);
        if self.is_done() {
            if fires {
                self.say_done(out);
            }
            return;
        }
        if fires && !self.ask_roots(out) {
            self.ask.stop();
        }
        if let Phase::Fetching(fetch) = &mut self.phase {
            for index in fetch.on_tick(now, &mut self.sources) {
                self.blame(index, Reason::Withholding, out);
            }
            self.go_on(now, out);
        }
        if !self.told.stalled && self.progress.plus(self.settings.retain_us) <= now {
            self.told.stalled = true;
            out.push(Out::Stalled(self.of));
        }
    }

    /// Asks those that have signed nothing yet; says whether there are any.
    fn ask_roots(&self, out: &mut Vec<Out>) -> bool {
        let silent = self.sources.iter().filter(|s| s.said.is_none() && s.trust == Trust::Good);
        let before = out.len();
        let part = TransferPart::Ask { of: self.of, piece: Piece::Root };
        out.extend(silent.filter_map(|s| s.rank).map(|rank| Out::Part(rank, part.clone())));
        out.len() > before
    }

    /// Begins to tell that nothing more is needed, if it has not done so often enough.
    fn tell_done(&mut self, now: Time, out: &mut Vec<Out>) {
        self.ask.restart(now);
        self.say_done(out);
    }

    fn say_done(&mut self, out: &mut Vec<Out>) {
        let Phase::Done(left) = &mut self.phase else { return };
        let Some(fewer) = left.checked_sub(1) else { return self.ask.stop() };
        *left = fewer;
        let present = self.sources.iter().filter_map(|source| source.rank);
        out.extend(present.map(|to| Out::Part(to, TransferPart::Done { of: self.of })));
    }

    /// A part of this state came from a member.
    pub(super) fn on_part(
        &mut self,
        cx: &mut Context<'_>,
        (from, key): (Rank, &PublicKey),
        part: TransferPart,
        out: &mut Vec<Out>,
    ) -> Result<(), LinkFault> {
        let Some(index) = self.sources.iter().position(|source| source.key == *key) else {
            return Ok(());
        };
        if self.is_done() {
            out.push(Out::Part(from, TransferPart::Done { of: self.of }));
            return Ok(());
        }
        match part {
            TransferPart::Root { said, .. } => self.on_root(cx, index, said, out)?,
            TransferPart::Gone { .. } => {
                if let Some(source) = self.sources.get_mut(index)
                    && source.trust == Trust::Good
                {
                    source.trust = Trust::Gone;
                }
            }
            part @ (TransferPart::Pages { .. }
            | TransferPart::Page { .. }
            | TransferPart::Chunk { .. }) => self.on_piece(cx, index, part, out),
            TransferPart::Ask { .. } | TransferPart::Done { .. } => {}
        }
        self.go_on(cx.now, out);
        Ok(())
    }

    /// A member says which state it is. Only its own word counts.
    fn on_root(
        &mut self,
        cx: &mut Context<'_>,
        index: usize,
        said: Signed<Snapshot>,
        out: &mut Vec<Out>,
    ) -> Result<(), LinkFault> {
        let Some(source) = self.sources.get_mut(index) else { return Ok(()) };
        let is_news = source.trust != Trust::Bad
            && source.said.as_ref().is_none_or(|known| known.statement != said.statement);
        let signer = self.roster.key(said.signer).map(|key| key.bytes());
        if !is_news || said.statement.joiner != self.key || signer != Some(&source.key) {
            return Ok(());
        }
        let said = cx.door.verify(&self.roster, said)?.signed().as_ref().clone();
        let Some(first) = source.said.take() else {
            source.said = Some(said);
            return Ok(());
        };
        source.trust = Trust::Bad;
        let evidence = Evidence::TwoFaced(Box::new(TwoFaced::Snapshots(first, said)));
        let proof = Box::new(Proof { view: *self.roster.view(), evidence });
        out.push(Out::Proof(source.key, proof));
        Ok(())
    }

    /// A piece of the state, if the source has said that it has this one.
    fn on_piece(
        &mut self,
        cx: &mut Context<'_>,
        index: usize,
        part: TransferPart,
        out: &mut Vec<Out>,
    ) {
        let Phase::Fetching(fetch) = &mut self.phase else { return };
        let holds = self.sources.get(index).is_some_and(|s| s.holds(fetch.state()).is_some());
        if !holds {
            return;
        }
        match fetch.on_piece(cx.door, (index, &mut self.sources), part, out) {
            Verdict::Idle => {}
            Verdict::New => {
                self.progress = cx.now;
                self.told.stalled = false;
            }
            Verdict::Wrong => {
                if let Some(source) = self.sources.get_mut(index) {
                    source.trust = Trust::Bad;
                }
                self.blame(index, Reason::BadBytes, out);
            }
        }
    }

    fn blame(&self, index: usize, reason: Reason, out: &mut Vec<Out>) {
        let rank = self.sources.get(index).and_then(|source| source.rank);
        out.extend(rank.map(|rank| Out::Opinion(rank, reason)));
    }

    /// Draws the conclusions of a step.
    fn go_on(&mut self, now: Time, out: &mut Vec<Out>) {
        if matches!(self.phase, Phase::Agreeing) {
            self.agree(now, out);
        }
        let Phase::Fetching(fetch) = &mut self.phase else { return };
        if !fetch.is_done() {
            fetch.forget(&mut self.sources);
            return fetch.ask(now, &mut self.sources, out);
        }
        let total = fetch.state().length;
        self.phase = Phase::Done(FAREWELLS);
        out.push(Out::Loaded(self.of, total));
        self.tell_done(now, out);
    }

    /// Which state it is, once weak members have signed the same: one of them is correct.
    fn agree(&mut self, now: Time, out: &mut Vec<Out>) {
        let said: Vec<&Snapshot> = self.votes().collect();
        let votes = |state: &Snapshot| said.iter().filter(|other| **other == state).count();
        let Some(best) = said.iter().copied().max_by_key(|state| votes(state)) else { return };
        if votes(best) >= self.quorum.weak() {
            let best = best.clone();
            return self.adopt(best, now, out);
        }
        // However many of them lie, a correct one says other than another correct one; or nobody
        // is left who could settle it.
        let is_certain = said.len().saturating_sub(votes(best)) > self.quorum.f();
        let is_left = |source: &Source| {
            source.said.is_none() && source.rank.is_some() && source.trust == Trust::Good
        };
        let is_over = said.len() >= self.quorum.weak() && !self.sources.iter().any(is_left);
        if (is_certain || is_over) && !self.told.diverged {
            self.told.diverged = true;
            out.push(Out::Diverged(self.of));
        }
    }

    fn votes(&self) -> impl Iterator<Item = &Snapshot> {
        let counts = self.sources.iter().filter(|source| source.trust != Trust::Bad);
        counts.filter_map(|source| source.said.as_ref()).map(|said| &said.statement)
    }

    fn adopt(&mut self, state: Snapshot, now: Time, out: &mut Vec<Out>) {
        let fits = state.length <= self.settings.state_max;
        let Some(shape) = Shape::of(state.length).filter(|_| fits) else {
            if !self.told.too_large {
                self.told.too_large = true;
                out.push(Out::TooLarge(state.length));
            }
            return;
        };
        self.progress = now;
        self.told.stalled = false;
        self.phase = Phase::Fetching(Fetch::new(self.of, state, shape));
    }
}
