//! Processes without a link: this one before it is a member, and others that want to be (protocol.md
//! section 10, "Joining").

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::left::Lefts;
use super::peers::Peers;
use super::strangers::Tokens;
use super::{Counters, Node, Phase};
use crate::config::{Boot, Config, ConfigError};
use crate::crypto::{Door, Hash32, Identity, Newest, peer_id};
use crate::layer::bottom::Bottom;
use crate::layer::heal::chain::Chain;
use crate::layer::heal::{self, Heal};
use crate::layer::inter::Origin;
use crate::member::{PeerId, Rank};
use crate::outbox::Outbox;
use crate::output::{Event, Output};
use crate::stack::{Gate, Refused, Stack};
use crate::time::Time;
use crate::view::{Membership, View};
use crate::wire::change::Decision;
use crate::wire::frame::HEADER;
use crate::wire::stranger::{
    self, CHAIN_MAX, JoinRefusal, Question, Stranger, answer_max, question_min,
};

/// Frames that answer one question for the chain; each costs a token.
const ANSWERS_MAX: usize = 8;

/// Bytes of a frame with decisions besides them.
const FRAME_BYTES: usize = HEADER + 16;

/// The most bytes of a frame with a refusal: kind, hash, reason and a number.
const REFUSAL_BYTES: usize = HEADER + 1 + 33 + 1 + 10;

impl Node {
    /// A process that wants to be a member of the group set up in `config`. It asks `contacts`,
    /// processes that may be members, with their addresses, how the group went on from the genesis
    /// view, or from `config.anchor`, and asks the members to take it in. [`Event::Joining`] tells
    /// how it goes, and [`Event::View`], followed by [`Event::Unblock`], that it is a member.
    ///
    /// A member that was excluded by opinion, or lost its state, comes back this way: with the same
    /// key and a higher incarnation, made durable before the first step ([`Boot`]).
    ///
    /// Until it is a member [`Node::view`] is the view that it started from, [`Node::rank`] says
    /// nothing, requests are refused, and [`Node::peers`] are the contacts and the members of the
    /// newest view that it knows. All frames are strangers' ([`crate::Transmit::is_stranger`]).
    ///
    /// # Errors
    /// If the configuration is wrong, the membership is fixed, there are no contacts, or the view
    /// that it starts from lists this life of the process or a later one.
    pub fn join(
        config: Config,
        identity: Identity,
        boot: Boot,
        contacts: Vec<(PeerId, Vec<u8>)>,
        now: Time,
    ) -> Result<Self, ConfigError> {
        let suite = identity.suite();
        config.validate(suite)?;
        if config.genesis.membership == Membership::Fixed {
            return Err(ConfigError::FixedMembership);
        }
        let anchor = config.anchor.clone().unwrap_or_else(|| config.genesis.view());
        let listed = anchor.rank_of(identity.public_key()).and_then(|rank| anchor.member(rank));
        if let Some(listed) = listed.map(|member| member.incarnation)
            && listed >= boot.incarnation
        {
            return Err(ConfigError::OldIncarnation { boot: boot.incarnation, listed });
        }
        let roster = Arc::new(anchor.roster(suite)?);
        let door = Door::new(identity);
        let start = (anchor.clone(), Arc::clone(&roster));
        let heal = Heal::new(&config, (&door, boot.incarnation), start, contacts, now)?;
        Ok(Self {
            peers: Peers::new(&config.timeouts),
            tokens: Tokens::new(config.join_tokens, now),
            bottom: Bottom::idle(&config, &roster, boot.incarnation, &door),
            // At rest: nothing goes in or out.
            stack: Stack::new(&config, anchor, roster, Rank::new(0), now),
            gate: Gate::new(&config, true),
            config,
            door,
            now,
            phase: Phase::Joining(Box::new(heal)),
            old: Lefts::default(),
            chain: Chain::default(),
            departed: Vec::new(),
            is_forked: false,
            outputs: Outbox::default(),
            counters: Counters::default(),
        })
    }

    /// A frame of whoever it is. A token pays for what may cost a signature check or an answer.
    pub(super) fn on_stranger(&mut self, from: PeerId, content: &[u8]) {
        let is_fixed = self.config.genesis.membership == Membership::Fixed;
        if is_fixed || from == self.bottom.name() {
            return self.count_unauthenticated();
        }
        let Ok(message) = stranger::decode(content) else { return self.count_unauthenticated() };
        if !self.is_of_use(&message) {
            return;
        }
        let is_free = matches!(message, Stranger::Refused { .. } | Stranger::Longer { .. });
        if !is_free && !self.takes_token(from) {
            let counter = &mut self.counters.strangers_limited;
            *counter = counter.saturating_add(1);
            return;
        }
        match message {
            Stranger::AskChain(question) => {
                self.answer(from, &question, content.len().saturating_add(HEADER));
            }
            Stranger::Chain { decisions } if matches!(self.phase, Phase::Joining(_)) => {
                self.run_heal(heal::In::Chain(decisions.into_iter().collect()));
            }
            Stranger::Chain { decisions } => {
                if let Some(later) = decisions.first().filter(|_| self.stack.is_behind_a_view()) {
                    self.run(|stack, _, step| stack.on_later(step, later));
                }
                self.compare(from, decisions.iter());
            }
            Stranger::Newest(said) => self.run_heal(heal::In::Newest(said)),
            Stranger::Longer { bytes } => self.run_heal(heal::In::Longer(from, bytes)),
            Stranger::Join(request) if from == peer_id(&request.key) => {
                let request = Box::new(request);
                self.run(|stack, _, step| stack.on_join(step, Origin::Stranger(from), request));
            }
            Stranger::Join(_) => self.count_unauthenticated(),
            Stranger::Refused { request, why } => {
                self.run_heal(heal::In::Refused(from, request, why));
            }
        }
    }

    /// Whether a stranger says something that this process can do anything with. What it cannot costs
    /// no token: else those that join would have none left for the answers to their own questions.
    const fn is_of_use(&self, message: &Stranger) -> bool {
        match (&self.phase, message) {
            (Phase::Member | Phase::Excluded, Stranger::AskChain(_) | Stranger::Chain { .. })
            | (Phase::Member, Stranger::Join(_))
            | (
                Phase::Joining(_),
                Stranger::Chain { .. }
                | Stranger::Newest(_)
                | Stranger::Longer { .. }
                | Stranger::Refused { .. },
            ) => true,
            (Phase::Member | Phase::Excluded | Phase::Joining(_), _) => false,
        }
    }

    /// Whether there is a token for a frame in the name of this process.
    fn takes_token(&mut self, from: PeerId) -> bool {
        let is_known = match &self.phase {
            Phase::Joining(heal) => heal.peers().any(|(peer, ..)| peer == from),
            Phase::Member | Phase::Excluded => self.stack.knows(from),
        };
        match is_known {
            true => self.tokens.take_reserved(self.now, from),
            false => self.tokens.take(self.now),
        }
    }

    fn count_unauthenticated(&mut self) {
        let counter = &mut self.counters.dropped_unauthenticated;
        *counter = counter.saturating_add(1);
    }

    /// Says something without a link.
    pub(super) fn call(&mut self, to: PeerId, message: &Stranger) {
        let frame = self.bottom.call(to, message);
        self.transmit(alloc::vec![frame]);
    }

    /// Answers a question that came in a frame of so many bytes: with the decisions after its view,
    /// as few frames as may be, or that there are none. What the answer does not hold is asked for
    /// when it has arrived. All frames together are at most [`answer_max`] bytes long.
    fn answer(&mut self, to: PeerId, question: &Question, asked: usize) {
        if matches!(self.phase, Phase::Joining(_)) {
            return;
        }
        let most = answer_max(asked);
        match self.gather(question.from, most) {
            None => {
                let (request, why) = (Hash32::ZERO, JoinRefusal::Forgotten);
                self.call(to, &Stranger::Refused { request, why });
            }
            Some(Err(bytes)) => self.call(to, &Stranger::Longer { bytes }),
            Some(Ok(frames)) if frames.is_empty() => {
                let left = most.saturating_sub(self.vouch(to, question, most));
                self.advise(to, question, left);
            }
            Some(Ok(frames)) => {
                for decisions in frames {
                    self.call(to, &Stranger::Chain { decisions: decisions.into() });
                }
            }
        }
    }

    /// The decisions after the view with this number, frame by frame, in so many bytes; or how long
    /// a question has to be for the first of them. `None` if it is not kept any more.
    fn gather(&mut self, number: u64, most: usize) -> Option<Result<Vec<Vec<Decision>>, u32>> {
        let room = self.config.frame_max.saturating_sub(FRAME_BYTES);
        let later = self.chain.since(number)?;
        let mut frames: Vec<Vec<Decision>> = Vec::new();
        let (mut bytes, mut left) = (0_usize, most);
        for (decision, len) in later {
            let fits = |frame: &Vec<Decision>| {
                bytes.saturating_add(len) <= room && frame.len() < CHAIN_MAX
            };
            let is_new = !frames.last().is_some_and(fits);
            let cost = len.saturating_add(if is_new { FRAME_BYTES } else { 0 });
            let Some(rest) = left.checked_sub(cost) else {
                let least = u32::try_from(question_min(cost)).unwrap_or(u32::MAX);
                return Some(if frames.is_empty() { Err(least) } else { Ok(frames) });
            };
            if is_new {
                let is_first = frames.is_empty();
                let is_over = frames.len() >= ANSWERS_MAX;
                if is_over || !(is_first || self.tokens.take(self.now)) {
                    break;
                }
                bytes = 0;
                frames.push(Vec::new());
            }
            (bytes, left) = (bytes.saturating_add(len), rest);
            if let Some(frame) = frames.last_mut() {
                frame.push(decision.clone());
            }
        }
        Some(Ok(frames))
    }

    /// Says that the view of a question is the newest, if it is, and what is remembered of the key
    /// that asks. No word of this member can be missing in a decision of the next view then.
    /// Returns how many bytes that took.
    fn vouch(&mut self, to: PeerId, question: &Question, most: usize) -> usize {
        let is_newest = question.from == self.view().number && self.stack.is_settled();
        if !matches!(self.phase, Phase::Member) || !is_newest {
            return 0;
        }
        let Question { key, nonce, .. } = *question;
        let said = Newest { nonce, key, highest: self.stack.highest(&key) };
        let roster = Arc::clone(self.stack.roster());
        let said = self.door.sign(&roster, self.stack.me(), said);
        let frame = self.bottom.call(to, &Stranger::Newest(said.signed().as_ref().clone()));
        let bytes = frame.len();
        if bytes > most {
            return 0;
        }
        self.transmit(alloc::vec![frame]);
        bytes
    }

    /// Tells who knows the newest view, and wants to be in the next, that there is none for now.
    fn advise(&mut self, to: PeerId, question: &Question, most: usize) {
        let is_own = to == peer_id(&question.key) && question.from == self.view().number;
        if !matches!(self.phase, Phase::Member) || !is_own || most < REFUSAL_BYTES {
            return;
        }
        self.run(|stack, _, step| {
            if let Some(why) = stack.on_question(step, &question.key) {
                step.refuse((to, Hash32::ZERO, why));
            }
        });
    }

    /// One step of layer Heal, while this process is no member yet.
    pub(super) fn run_heal(&mut self, input: heal::In) {
        let Phase::Joining(heal) = &mut self.phase else { return };
        for out in heal.step((self.now, &mut self.door), &mut self.chain, input) {
            match out {
                heal::Out::Call(to, message) => self.call(to, &message),
                heal::Out::Progress(view, refusals) => {
                    self.outputs.push_back(Output::Event(Event::Joining { view, refusals }));
                }
                heal::Out::Learned => self.tokens.refund(),
                heal::Out::Joined(decision) => self.enter(&decision),
                heal::Out::Spent(highest) => {
                    self.outputs.push_back(Output::Event(Event::Spent { highest }));
                }
                heal::Out::Fork(known, other) => {
                    self.outputs.push_back(Output::Event(Event::Fork { known, other }));
                }
            }
        }
    }

    /// This process is a member for the first time. It delivers from this view on.
    fn enter(&mut self, decision: &Decision) {
        let view = decision.view.clone();
        let identity = self.door.identity();
        let (rank, roster) =
            (view.rank_of(identity.public_key()), view.roster(identity.suite()).ok());
        let (Some(me), Some(roster)) = (rank, roster.map(Arc::new)) else { return };
        self.bottom.install(&view, &roster, &self.door, self.now);
        self.bottom.keep_old(|_| false);
        self.stack = Stack::new(&self.config, view.clone(), roster, me, self.now);
        let genesis = self.config.genesis.view();
        self.stack.remember(None, &genesis);
        let anchor = self.config.anchor.clone().unwrap_or(genesis);
        self.stack.remember(None, &anchor);
        let mut before = &anchor;
        for view in self.chain.views() {
            self.stack.remember(Some(before), view);
            before = view;
        }
        self.phase = Phase::Member;
        self.outputs.push_back(Output::Event(Event::View(Box::new(view))));
        self.outputs.push_back(Output::Event(Event::Unblock));
        self.run(|stack, _, step| stack.begin(step, None));
    }

    /// Tells those that a view takes in that it does; who misses it asks.
    pub(super) fn welcome(&mut self, before: &View, decision: &Decision) {
        let is_new = |key, incarnation| {
            let old = before.rank_of(key).and_then(|rank| before.member(rank));
            old.is_none_or(|old| old.incarnation != incarnation)
        };
        let joiners = decision.view.members.iter().filter(|m| is_new(&m.key, m.incarnation));
        let joiners: Vec<PeerId> = joiners.map(|member| peer_id(&member.key)).collect();
        let me = self.bottom.name();
        for joiner in joiners.into_iter().filter(|joiner| *joiner != me) {
            let decisions = core::iter::once(decision.clone()).collect();
            self.call(joiner, &Stranger::Chain { decisions });
        }
    }

    /// Tells strangers that they are not recommended.
    pub(super) fn refuse(&mut self, refused: Vec<Refused>) {
        for (peer, request, why) in refused {
            let counter = &mut self.counters.joins_refused;
            *counter = counter.saturating_add(1);
            self.call(peer, &Stranger::Refused { request, why });
        }
    }
}
