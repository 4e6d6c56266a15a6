//! Reads along: what correct members put on the wire, decoded once per packet however many links
//! it goes to. Feeds the oracles about signed statements, what is owed, and the marks.

use std::sync::Arc;

use phalanx_core::crypto::Roster;
use phalanx_core::wire::frame::{self, FRAGMENT_HEADER, FrameKind, HEADER};
use phalanx_core::wire::{self, BodyHead, Packet, Part, casts};
use phalanx_core::{SlotMark, Transmit};

use crate::marks::{Mark, Marks};
use crate::oracle::conflict::Conflict;

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
    /// Fifo casts of own bodies 1, 2, ...; `None` for one that was not seen whole.
    fifo: Vec<Option<usize>>,
    /// The last slot round of an own body, to see ranges.
    round: Option<u64>,
}

/// Watches the frames of correct members.
#[derive(Debug)]
pub struct Observer {
    members: Vec<Member>,
    liars: Vec<bool>,
    roster: Roster,
    conflict: Conflict,
    marks: Marks,
}

impl Observer {
    /// An observer of the group of `roster`; `liars` tells who may sign anything.
    #[must_use]
    pub fn new(roster: Roster, liars: Vec<bool>, quorum: usize) -> Self {
        let n = liars.len();
        let member = Member { partial: vec![Partial::default(); n], ..Member::default() };
        Self {
            members: vec![member; n],
            liars,
            roster,
            conflict: Conflict::new(n, quorum),
            marks: Marks::default(),
        }
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
            Some(_) => {
                self.marks.hit(Mark::FragmentAcknowledged);
                Ok(())
            }
            None => Err(format!("member {by} sends an empty frame")),
        }
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
        let packet = wire::decode(packet, self.liars.len(), !casts.is_empty())
            .map_err(|why| format!("member {by} sends a malformed packet: {why}"))?;
        self.parts(by, &packet, casts)
    }

    fn parts(&mut self, by: usize, packet: &Packet, casts: &[u8]) -> Result<(), String> {
        for part in packet.parts.iter() {
            match part {
                Part::Heads(heads) => {
                    if heads.statement.entries.len() > 1 {
                        self.marks.hit(Mark::HeadsBatched);
                    }
                    if !self.liars[heads.signer.index()] {
                        self.conflict.heads(heads)?;
                    }
                }
                Part::Stable(row) => {
                    if row.signer.index() != by {
                        self.marks.hit(Mark::RowRelayed);
                    }
                    if !self.liars[row.signer.index()] {
                        self.conflict.row(row)?;
                    }
                }
                Part::Certificate(certificate) => {
                    self.marks.hit(Mark::CertificateSent);
                    self.conflict.certificate(by, certificate, &self.roster)?;
                }
                Part::Body(body) => self.body(by, body, casts)?,
                Part::Fetch { .. } => self.marks.hit(Mark::FetchSent),
                Part::AskRow { .. } => self.marks.hit(Mark::RowAsked),
                Part::AskSlot { .. } => self.marks.hit(Mark::SlotAsked),
                Part::Suspect(_) | Part::Proof(_) | Part::Pt2pt(_) => {}
                _ => {}
            }
        }
        Ok(())
    }

    fn body(&mut self, by: usize, body: &BodyHead, bytes: &[u8]) -> Result<(), String> {
        let count = casts::check(bytes, body.slot)
            .map_err(|why| format!("member {by} sends a body of {}: {why}", body.sender))?;
        if body.sender.index() != by {
            self.marks.hit(Mark::FetchAnswered);
            return Ok(());
        }
        if count.fifo + count.total > 1 {
            self.marks.hit(Mark::CastsBatched);
        }
        let member = &mut self.members[by];
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
