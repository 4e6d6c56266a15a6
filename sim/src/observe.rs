//! Reads along: what correct members put on the wire, decoded once per packet however many links
//! it goes to. Feeds the oracles about signed statements, what is owed, and the marks.

use std::sync::Arc;

use phalanx_core::crypto::{Roster, Signed, Snapshot};
use phalanx_core::wire::change::{Justification, Recommended};
use phalanx_core::wire::frame::{self, FRAGMENT_HEADER, FrameKind, HEADER};
use phalanx_core::wire::stranger::{self, Stranger};
use phalanx_core::wire::transfer::TransferPart;
use phalanx_core::wire::{self, BodyHead, Packet, Part, casts, change};
use phalanx_core::{Hash32, Rank, SlotMark, Transmit};

use crate::marks::{Mark, Marks};
use crate::oracle::conflict::Conflict;
use crate::oracle::grounds::Grounds;
use crate::oracle::views::Record;
use crate::oracle::vows::Vows;

/// A long frame of which fragments pass by.
#[derive(Clone, Debug, Default)]
struct Partial {
    message: u64,
    next: u16,
    content: Vec<u8>,
}

/// What one member was seen to send.
#[derive(Clone, Debug, Default)]
struct Member {
    /// The content of the last frame, to know it again on the next link.
    last: Vec<u8>,
    last_body: Option<Arc<[u8]>>,
    /// By receiver.
    partial: Vec<Partial>,
    /// The place of the newest view in which it was seen to flush.
    flushed: Option<usize>,
    /// The place of the view that the following is about.
    view: usize,
    /// Fifo casts of own bodies 1, 2, ...; `None` for one that was not seen whole.
    fifo: Vec<Option<usize>>,
    /// The last slot round of an own body, to see ranges.
    round: Option<u64>,
}

/// What was seen of one view.
#[derive(Debug)]
struct InView {
    id: Hash32,
    number: u64,
    roster: Roster,
    /// The process of each rank.
    processes: Vec<Option<usize>>,
    /// Which ranks may sign anything.
    liars: Vec<bool>,
    quorum: usize,
    conflict: Conflict,
    vows: Vows,
}

impl InView {
    fn new(record: &Record, roster: Roster, liars: &[bool], quorum: usize) -> Self {
        let processes = record.processes.clone();
        let is_liar = |process: &Option<usize>| process.is_none_or(|process| liars[process]);
        Self {
            id: record.id,
            number: record.view.number,
            roster,
            liars: processes.iter().map(is_liar).collect(),
            quorum,
            conflict: Conflict::new(processes.len(), quorum),
            vows: Vows::default(),
            processes,
        }
    }

    fn is_correct(&self, rank: Rank) -> bool {
        self.liars.get(rank.index()) == Some(&false)
    }

    fn is(&self, rank: Rank, process: usize) -> bool {
        self.processes.get(rank.index()) == Some(&Some(process))
    }
}

/// Watches the frames of correct members.
#[derive(Debug)]
pub struct Observer {
    members: Vec<Member>,
    views: Vec<InView>,
    grounds: Grounds,
    marks: Marks,
}

impl Observer {
    /// An observer of `n` processes.
    #[must_use]
    pub fn new(n: usize) -> Self {
        let member = Member { partial: vec![Partial::default(); n], ..Member::default() };
        Self {
            members: vec![member; n],
            views: Vec::new(),
            grounds: Grounds::default(),
            marks: Marks::default(),
        }
    }

    /// There is another view, in which `quorum` make a certificate; `liars` tells which processes
    /// may sign anything.
    pub fn installed(&mut self, record: &Record, roster: Roster, liars: &[bool], quorum: usize) {
        self.views.push(InView::new(record, roster, liars, quorum));
    }

    /// What speaks for changes of the membership.
    pub const fn grounds_mut(&mut self) -> &mut Grounds {
        &mut self.grounds
    }

    /// The marks seen on the wire.
    #[must_use]
    pub const fn marks(&self) -> Marks {
        self.marks
    }

    /// Fifo casts in the bodies that `member` was seen to open, as far as all of them were seen,
    /// and how many bodies it opened.
    #[must_use]
    pub fn opened(&self, member: usize) -> (usize, usize) {
        let fifo = &self.members[member].fifo;
        (fifo.iter().map_while(|count| *count).sum(), fifo.len())
    }

    /// Takes in a frame that correct member `by` sends to `to`.
    ///
    /// # Errors
    /// What a correct member must not send.
    pub fn frame(&mut self, by: usize, to: usize, transmit: &Transmit) -> Result<(), String> {
        let head = transmit.head.as_slice();
        match head.get(1) {
            Some(0) => self.whole(by, head, &transmit.body),
            Some(1) => {
                self.marks.hit(Mark::Fragmented);
                let mut frame = Vec::new();
                transmit.append_to(&mut frame);
                self.fragment(by, to, &frame)
            }
            Some(3) => self.stranger(by, transmit),
            Some(_) => {
                self.marks.hit(Mark::FragmentAcknowledged);
                Ok(())
            }
            None => Err(format!("member {by} sends an empty frame")),
        }
    }

    /// What is said without a link.
    fn stranger(&mut self, by: usize, transmit: &Transmit) -> Result<(), String> {
        let bad = || format!("member {by} says to a stranger what is nothing");
        let mut bytes = Vec::new();
        transmit.append_to(&mut bytes);
        let parsed = frame::parse(&bytes).ok_or_else(bad)?;
        match stranger::decode(parsed.content()).map_err(|_| bad())? {
            Stranger::Refused { request, .. } if request != Hash32::ZERO => {
                self.marks.hit(Mark::JoinRefused);
            }
            Stranger::Chain { decisions } if decisions.len() > 1 => {
                self.marks.hit(Mark::ChainTold);
            }
            _ => {}
        }
        Ok(())
    }

    fn whole(&mut self, by: usize, head: &[u8], body: &Arc<[u8]>) -> Result<(), String> {
        let bad = || format!("member {by} sends a frame that is none");
        let content = head.get(HEADER..).ok_or_else(bad)?;
        let member = &mut self.members[by];
        let is_same_body = match &member.last_body {
            Some(last) => Arc::ptr_eq(last, body) || **last == **body,
            None => false,
        };
        if is_same_body && member.last == content {
            return Ok(());
        }
        member.last.clear();
        member.last.extend_from_slice(content);
        member.last_body = Some(Arc::clone(body));
        let parsed = frame::parse(head).ok_or_else(bad)?;
        let (packet, rest) = frame::split_whole(parsed.content()).ok_or_else(bad)?;
        if rest.is_empty() {
            self.packet(by, packet, body)
        } else {
            let casts = [rest, body].concat();
            self.packet(by, packet, &casts)
        }
    }

    /// Puts fragments together as they pass in order; one that is sent again is passed over.
    fn fragment(&mut self, by: usize, to: usize, frame: &[u8]) -> Result<(), String> {
        let bad = || format!("member {by} sends a fragment that is none");
        let parsed = frame::parse(frame).ok_or_else(bad)?;
        if parsed.header.kind != FrameKind::Fragment {
            return Err(bad());
        }
        let fields = parsed.content().get(..FRAGMENT_HEADER - HEADER).ok_or_else(bad)?;
        let &[a, b, c, d, e, f, g, h, i, j, k, l, ..] = fields else { return Err(bad()) };
        let message = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let (index, count) = (u16::from_le_bytes([i, j]), u16::from_le_bytes([k, l]));
        let partial = &mut self.members[by].partial[to];
        if index == 0 {
            *partial = Partial { message, ..Partial::default() };
        }
        if partial.message != message || partial.next != index {
            return Ok(());
        }
        partial.next += 1;
        partial.content.extend_from_slice(&frame[FRAGMENT_HEADER..]);
        if partial.next < count {
            return Ok(());
        }
        let content = std::mem::take(&mut partial.content);
        let (packet, casts) = frame::split_whole(&content).ok_or_else(bad)?;
        self.packet(by, packet, casts)
    }

    fn packet(&mut self, by: usize, packet: &[u8], casts: &[u8]) -> Result<(), String> {
        let mut why = None;
        for at in (0..self.views.len()).rev() {
            let view = &self.views[at];
            match wire::decode(packet, view.processes.len(), !casts.is_empty()) {
                Ok(packet) if packet.view == view.id => return self.parts(by, at, &packet, casts),
                Ok(_) => {}
                Err(malformed) => why = Some(malformed),
            }
        }
        Err(why.map_or_else(
            || format!("member {by} sends a packet of a view that nobody installed"),
            |why| format!("member {by} sends a malformed packet: {why}"),
        ))
    }

    fn parts(&mut self, by: usize, at: usize, packet: &Packet, casts: &[u8]) -> Result<(), String> {
        for part in packet.parts.iter() {
            let view = &mut self.views[at];
            match part {
                Part::Heads(heads) => {
                    if heads.statement.entries.len() > 1 {
                        self.marks.hit(Mark::HeadsBatched);
                    }
                    if view.is_correct(heads.signer) {
                        view.conflict.heads(heads)?;
                    }
                }
                Part::Stable(row) => {
                    if !view.is(row.signer, by) {
                        self.marks.hit(Mark::RowRelayed);
                    }
                    if view.is_correct(row.signer) {
                        view.conflict.row(row)?;
                    }
                }
                Part::Certificate(certificate) => {
                    self.marks.hit(Mark::CertificateSent);
                    view.conflict.certificate(by, certificate, &view.roster)?;
                }
                Part::Body(body) => self.body(by, at, body, casts)?,
                Part::Fetch { .. } => {
                    self.marks.hit(Mark::FetchSent);
                    if self.members[by].flushed == Some(at) {
                        self.marks.hit(Mark::CutCollected);
                    }
                }
                Part::AskRow { .. } => self.marks.hit(Mark::RowAsked),
                Part::AskSlot { .. } => self.marks.hit(Mark::SlotAsked),
                Part::Suspect(_) | Part::Proof(_) | Part::Pt2pt(_) => {}
                Part::Transfer(TransferPart::Root { of, said }) => self.snapshot(*of, said)?,
                change => {
                    self.mark_change(by, at, change);
                    self.change(at, change)?;
                }
            }
        }
        Ok(())
    }

    /// Which branches of a view change a part of `by` shows.
    fn mark_change(&mut self, by: usize, at: usize, part: &Part) {
        let view = &self.views[at];
        match part {
            Part::Flush(flushed) if view.is(flushed.signed.signer, by) => {
                self.members[by].flushed = Some(at);
            }
            Part::NeedMoreChange(more) if view.is(more.signed.signer, by) => {
                self.marks.hit(Mark::NeedMoreChangeSent);
            }
            Part::NewView(proposed) if view.is(proposed.signed.signer, by) => {
                let n = view.processes.len();
                let first = (proposed.signed.statement.attempt.value() as usize).min(n);
                let turn = usize::try_from(view.number % n as u64).unwrap_or(0);
                let next = &proposed.view;
                let is_passed_over = |rank: usize| {
                    let was = |departed: &Rank| departed.index() == rank;
                    next.departed.iter().any(|(departed, _)| was(departed))
                        || next.silenced.iter().any(was)
                };
                if (0..first).any(|attempt| is_passed_over((turn + attempt) % n)) {
                    self.marks.hit(Mark::LeaderSkipped);
                }
                match &proposed.justification {
                    Justification::Relock { .. } => self.marks.hit(Mark::LockReproposed),
                    Justification::Fresh { flushes, .. } => {
                        if view.processes.len() > flushes.len() && flushes.len() == view.quorum {
                            self.marks.hit(Mark::MinimalFresh);
                        }
                    }
                }
            }
            Part::Decision(_) => self.marks.hit(Mark::DecisionToldToLaggard),
            _ => {}
        }
    }

    /// Statements about the view change, and what speaks for one.
    fn change(&mut self, at: usize, part: &Part) -> Result<(), String> {
        let view = &mut self.views[at];
        match part {
            Part::Leave(leave) => self.grounds.leaves(view.id, leave.signer),
            Part::Recommend(recommended) => {
                let Recommended { signed, request } = &**recommended;
                if view.is_correct(signed.signer) {
                    self.grounds.recommended(view.id, request.key, request.incarnation);
                }
            }
            Part::Flush(flushed) => {
                if view.is_correct(flushed.signed.signer) {
                    view.vows.flush(&flushed.signed)?;
                }
                self.evidence(at, &flushed.grounds);
            }
            Part::NeedMoreChange(more) => {
                if view.is_correct(more.signed.signer) {
                    view.vows.more(&more.signed)?;
                }
                self.evidence(at, &more.grounds);
            }
            Part::NewView(proposed) => {
                if view.is_correct(proposed.signed.signer) {
                    view.vows.new_view(&proposed.signed)?;
                }
                if let Justification::Fresh { grounds, .. } = &proposed.justification {
                    self.evidence(at, grounds);
                }
            }
            Part::Ack(ack) if view.is_correct(ack.signer) => view.vows.ack(ack)?,
            Part::Commit(committed) if view.is_correct(committed.signed.signer) => {
                view.vows.commit(&committed.signed)?;
            }
            Part::Ready(ready) if view.is_correct(ready.signer) => view.vows.ready(ready)?,
            _ => {}
        }
        Ok(())
    }

    /// A state signed for who joined with the view of this number, perhaps in a later one.
    fn snapshot(&mut self, of: u64, said: &Signed<Snapshot>) -> Result<(), String> {
        let is_it = |view: &&mut InView| {
            view.number == of && view.is_correct(said.signer) && view.roster.verifies(said)
        };
        self.views.iter_mut().find(is_it).map_or(Ok(()), |view| view.vows.snapshot(said))
    }

    fn evidence(&mut self, at: usize, evidence: &change::Grounds) {
        let view = &self.views[at];
        for leave in evidence.leaves.iter().filter(|leave| view.roster.verifies(leave)) {
            self.grounds.leaves(view.id, leave.signer);
        }
        for join in evidence.joins.iter() {
            let mut signers = join.recommends.iter().map(|recommend| recommend.signer);
            if signers.any(|signer| view.is_correct(signer)) {
                self.grounds.recommended(view.id, join.request.key, join.request.incarnation);
            }
        }
    }

    fn body(&mut self, by: usize, at: usize, body: &BodyHead, bytes: &[u8]) -> Result<(), String> {
        let count = casts::check(bytes, body.slot)
            .map_err(|why| format!("member {by} sends a body of {}: {why}", body.sender))?;
        if !self.views[at].is(body.sender, by) {
            self.marks.hit(Mark::FetchAnswered);
            return Ok(());
        }
        if count.fifo + count.total > 1 {
            self.marks.hit(Mark::CastsBatched);
        }
        let member = &mut self.members[by];
        if member.view != at {
            (member.view, member.fifo, member.round) = (at, Vec::new(), None);
        }
        if let SlotMark::Null(_) = body.slot {
            self.marks.hit(Mark::NullSent);
        }
        if let Some(round) = body.slot.round() {
            let next = member.round.map_or(0, |last| last + 1);
            if matches!(body.slot, SlotMark::Null(_)) && round.value() > next {
                self.marks.hit(Mark::NullRangeSent);
            }
            member.round = member.round.max(Some(round.value()));
        }
        let index = usize::try_from(body.number.value()).unwrap_or(0).saturating_sub(1);
        if index >= 1 << 20 {
            return Err(format!("member {by} opens body {}", body.number));
        }
        if member.fifo.len() <= index {
            member.fifo.resize(index + 1, None);
        }
        member.fifo[index] = Some(count.fifo);
        Ok(())
    }
}
