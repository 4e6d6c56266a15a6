//! Bodies of the fuzz targets. They live here so that a change of the core that breaks them breaks
//! the build, and so that they run on a stable compiler, over the committed corpus and changed
//! copies of it. `fuzz/` calls them with a coverage-guided fuzzer.

use phalanx_core::crypto::{
    Door, Head, Heads, Identity, Link, LinkKeys, Oracle, Roster, Signed, Statement, body_hash,
    log_root, sha256,
};
use phalanx_core::wire::frame::{self, FrameKind, Header, Prepared};
use phalanx_core::wire::{self, BodyHead, List, Packet, Part, casts};
use phalanx_core::{
    Boot, Config, Event, Evidence, Genesis, Hash32, Input, Invalid, Limits, Member, Node, Number,
    Order, Output, Pattern, PeerId, Proof, QuorumRule, Rank, Request, Round, SlotMark, Status,
    Ticket, Time,
};

/// Members of the group under test: the node at rank 0, and three whose keys the fuzzer has.
const N: u16 = 4;

/// The most operations in one run.
const STEPS_MAX: usize = 64;

/// Everything that takes bytes apart: whatever is accepted has exactly one encoding.
///
/// The first byte says for how many members, and whether casts follow the packet.
///
/// # Panics
/// If something is accepted that is encoded otherwise.
pub fn decode(data: &[u8]) {
    let Some((&first, bytes)) = data.split_first() else { return };
    let n = usize::from(first & 0x7f);
    if let Ok(packet) = wire::decode(bytes, n, first & 0x80 != 0) {
        assert_eq!(wire::encode(&packet), bytes, "a second encoding was accepted");
    }
    if let Some(proof) = Proof::from_bytes(bytes) {
        assert_eq!(proof.to_bytes(), bytes, "a second encoding was accepted");
    }
    let round = Round::new(u64::from(first));
    for slot in [SlotMark::None, SlotMark::Value(round), SlotMark::Null(round)] {
        if let Ok(count) = casts::check(bytes, slot) {
            let mut copy = Vec::new();
            for (order, range) in casts::Casts::from(bytes, 0) {
                assert!(casts::push(&mut copy, order, bytes.get(range).unwrap_or_default()));
            }
            assert_eq!(copy, bytes, "casts with a second encoding");
            assert_eq!(casts::Casts::from(bytes, 0).count(), count.fifo + count.total);
        }
    }
    if let Some(parsed) = frame::parse(bytes) {
        assert_eq!(frame::peek_sender(bytes), Some(parsed.header.from));
        if let Some((packet, casts)) = frame::split_whole(parsed.content()) {
            assert_eq!(packet.len() + casts.len() + 4, parsed.content().len());
        }
    }
}

/// A node that hears whatever the fuzzer makes of three members' keys: raw frames, sealed frames,
/// packets whose statements are signed anew, and casts as correct members make them.
///
/// The input is a list of operations: kind (one byte), length (two), and as many bytes.
///
/// # Panics
/// If the node panics, holds more than its bound, sends a frame that is too long or is for nobody,
/// proves itself guilty or hands out a proof that does not verify.
pub fn link(data: &[u8]) {
    play(data);
}

fn play(data: &[u8]) -> Stage {
    let mut stage = Stage::new();
    let mut rest = data;
    for _ in 0..STEPS_MAX {
        let Some((&[kind, low, high], after)) = rest.split_first_chunk() else { break };
        let len = usize::from(u16::from_le_bytes([low, high])).min(after.len());
        let (content, after) = after.split_at(len);
        stage.operate(kind, content);
        rest = after;
    }
    stage
}

struct Stage {
    node: Node,
    faults: u32,
    casts: u32,
    sends: u32,
    config: Config,
    roster: Roster,
    now: Time,
    tickets: u64,
    doors: Vec<Door>,
    links: Vec<LinkKeys>,
    peers: Vec<PeerId>,
    counters: Vec<u64>,
    /// The newest head of each log, as those behave who behave.
    tips: Vec<Head>,
}

fn identity(rank: u16) -> Identity {
    let [low, high] = rank.to_le_bytes();
    let mut seed = [7; 32];
    seed[0] = low;
    seed[1] = high;
    Identity::dummy(seed, Oracle([9; 32]))
}

impl Stage {
    fn new() -> Self {
        let member = |rank| Member {
            key: *identity(rank).public_key(),
            incarnation: 0,
            addr: Vec::new(),
            status: Status::Active,
        };
        let limits =
            Limits { cast_max: 2_000, body_max: 2_000, window_bytes: 8_000, ..Limits::default() };
        let mut config = Config::new(Genesis {
            name: "fuzz".into(),
            nonce: Hash32::ZERO,
            members: (0..N).map(member).collect(),
            pledge: None,
            pattern: Pattern::Swift,
            quorum: QuorumRule::Sound,
            membership: phalanx_core::Membership::Fixed,
            state_transfer: false,
            limits,
        });
        config.frame_max = 512;
        config.cast_queue_bytes = 4_000;
        let view = config.genesis.view();
        let roster = view.roster(identity(0).suite()).expect("good keys");
        let key = roster.key(Rank::new(0)).expect("rank 0 is a member");
        let tip =
            |sender| Head { sender, number: Number::ZERO, hash: log_root(roster.view(), sender) };
        let link = |rank| LinkKeys::derive(&identity(rank), 0, key, 0, &view.group);
        let boot = Boot { incarnation: 0 };
        Self {
            node: Node::new(config.clone(), identity(0), boot, Time::ZERO).expect("good config"),
            faults: 0,
            casts: 0,
            sends: 0,
            now: Time::ZERO,
            tickets: 0,
            doors: (0..N).map(|rank| Door::new(identity(rank))).collect(),
            links: (0..N).map(link).collect(),
            peers: view.peers().values().copied().collect(),
            counters: vec![0; usize::from(N)],
            tips: (0..N).map(Rank::new).map(tip).collect(),
            config,
            roster,
        }
    }

    fn operate(&mut self, kind: u8, content: &[u8]) {
        let first = content.first().copied().unwrap_or(0);
        let rest = content.get(1..).unwrap_or_default();
        let rank = 1 + first % 3;
        match kind % 9 {
            0 => self.step(Input::Frame(content)),
            1 => self.hear(FrameKind::Fragment, rank, rest),
            2 => self.hear(FrameKind::FragmentAck, rank, rest),
            3 => self.hear_packet(rank, rest, false),
            4 => self.hear_packet(rank, rest, true),
            5 => {
                let millis = rest.first().copied().unwrap_or(0);
                self.now = self.now.plus(u64::from(first) * 1_000_000 + u64::from(millis) * 1_000);
                self.step(Input::Tick);
            }
            6 => {
                let order = if first & 1 == 0 { Order::Fifo } else { Order::Total };
                self.request(Request::Cast { order, payload: rest });
            }
            7 => {
                let to = Rank::new(u16::from(first % 5));
                let suspect = Request::Suspect { member: to };
                let send = Request::Send { to, payload: rest };
                self.request(if first & 0x80 == 0 { send } else { suspect });
            }
            _ => self.behave(rank, rest),
        }
    }

    fn header(&mut self, kind: FrameKind, rank: u8) -> Header {
        let at = usize::from(rank);
        self.counters[at] += 1;
        let group = self.roster.group().prefix();
        Header { kind, group, from: self.peers[at], counter: self.counters[at] }
    }

    /// A fragment or acknowledgement over the link of `rank`.
    fn hear(&mut self, kind: FrameKind, rank: u8, content: &[u8]) {
        let header = self.header(kind, rank);
        let key = &self.links[usize::from(rank)].outbound;
        let frame = frame::seal_small(key, &header, &[content]);
        self.step(Input::Frame(&frame));
    }

    /// A packet of the present view over the link of `rank`: length (two bytes), as many bytes
    /// of packet from the view id on, and casts.
    fn hear_packet(&mut self, rank: u8, content: &[u8], is_signed: bool) {
        let Some((&[low, high], rest)) = content.split_first_chunk() else { return };
        let len = usize::from(u16::from_le_bytes([low, high])).min(rest.len());
        let (said, casts) = rest.split_at(len);
        let mut bytes = vec![32];
        bytes.extend(self.roster.view().as_bytes());
        bytes.extend(said);
        if is_signed && let Ok(mut packet) = wire::decode(&bytes, usize::from(N), !casts.is_empty())
        {
            self.sign_packet(&mut packet);
            bytes = wire::encode(&packet);
        }
        self.seal(rank, &bytes, casts);
    }

    /// `rank` casts as a correct member does, and the other two reply.
    fn behave(&mut self, rank: u8, payload: &[u8]) {
        let at = usize::from(rank);
        let Head { sender, number, hash: prev } = self.tips[at];
        let mut casts = Vec::new();
        assert!(casts::push(&mut casts, Order::Fifo, payload));
        let slot = SlotMark::None;
        let link = Link { slot, casts: sha256(&casts) };
        let number = number.next();
        let hash = body_hash(self.roster.view(), sender, number, &prev, &link);
        let head = Head { sender, number, hash };
        self.tips[at] = head;
        let body = BodyHead { sender, number, prev, slot, links: List::new() };
        for signer in [1, 2, 3] {
            let heads = Heads { entries: [head].into_iter().collect() };
            let door = &mut self.doors[usize::from(signer)];
            let heads = door.sign(&self.roster, Rank::new(u16::from(signer)), heads);
            let mut parts = vec![Part::Heads(Signed::clone(heads.signed()))];
            parts.extend((signer == rank).then(|| Part::Body(body.clone())));
            let packet = Packet {
                view: *self.roster.view(),
                haves: self.tips.iter().map(|tip| tip.number).collect(),
                parts: parts.into(),
            };
            let casts = if signer == rank { casts.as_slice() } else { &[] };
            self.seal(signer, &wire::encode(&packet), casts);
        }
    }

    /// A frame over the link of `rank`.
    fn seal(&mut self, rank: u8, packet: &[u8], casts: &[u8]) {
        let header = self.header(FrameKind::Whole, rank);
        let prepared = Prepared::new(packet.to_vec(), sha256(packet), sha256(casts));
        let mut frame = prepared.seal(&self.links[usize::from(rank)].outbound, &header);
        frame.extend(casts);
        self.step(Input::Frame(&frame));
    }

    fn sign_packet(&mut self, packet: &mut Packet) {
        for part in packet.parts.as_mut_vec() {
            match part {
                Part::Heads(heads) => self.sign(heads),
                Part::Certificate(certificate) => {
                    certificate.heads.as_mut_vec().iter_mut().for_each(|heads| self.sign(heads));
                }
                Part::Stable(row) => self.sign(row),
                Part::Suspect(suspect) => self.sign(suspect),
                Part::Proof(proof) => {
                    proof.view = *self.roster.view();
                    match &mut proof.evidence {
                        Evidence::TwoHeads { first, second, .. }
                        | Evidence::ForkedLog { first, second, .. } => {
                            self.sign(first);
                            self.sign(second);
                        }
                        Evidence::TwoRows { first, second } => {
                            self.sign(first);
                            self.sign(second);
                        }
                        Evidence::TwoFaced(_) => {}
                        Evidence::Invalid(invalid) => match invalid {
                            Invalid::NewView(proposed) => self.sign(&mut proposed.signed),
                            Invalid::Commit(commit) => self.sign(&mut commit.signed),
                        },
                    }
                }
                Part::Body(_)
                | Part::Fetch { .. }
                | Part::AskRow { .. }
                | Part::AskSlot { .. }
                | Part::Pt2pt(_) => {}
                _ => {}
            }
        }
    }

    /// Signs anew, unless it is in the name of the node under test.
    fn sign<S: Statement + Clone>(&mut self, signed: &mut Signed<S>) {
        let rank = signed.signer;
        if let Some(door) = self.doors.get_mut(rank.index()).filter(|_| rank != Rank::new(0)) {
            let statement = signed.statement.clone();
            signed.signature = door.sign(&self.roster, rank, statement).signed().signature;
        }
    }

    fn request(&mut self, request: Request<'_>) {
        self.tickets += 1;
        self.step(Input::Request(Ticket(self.tickets), request));
    }

    /// One step and everything that must hold after it.
    fn step(&mut self, input: Input<'_>) {
        let me = self.node.rank();
        for output in self.node.step(self.now, input) {
            match output {
                Output::Transmit(frame) => {
                    assert!(self.peers.iter().skip(1).any(|peer| *peer == frame.to), "for nobody");
                    assert!(frame.len() <= self.config.frame_max, "{} bytes", frame.len());
                }
                Output::Fault(fault) => {
                    self.faults += 1;
                    assert_ne!(fault.culprit, me, "a correct member is blamed");
                    let genesis = &self.config.genesis;
                    let verdict = fault.proof.verify(genesis, &genesis.view(), &self.roster);
                    assert_eq!(verdict, Ok(()), "not a proof");
                }
                Output::Event(Event::Suspected { subject, by, .. }) => {
                    assert!(subject != me || by != me, "it suspects itself");
                }
                Output::Event(Event::Cast { .. }) => self.casts += 1,
                Output::Event(Event::Send { .. }) => self.sends += 1,
                Output::Event(_) => {}
            }
        }
        let (held, bound) = self.node.memory();
        assert!(held <= bound, "{held} bytes held of {bound}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// The committed corpus of a target, in the order of file names.
    fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
        let mut files: Vec<_> = std::fs::read_dir(&folder)
            .expect("the corpus is part of the repository")
            .map(|entry| entry.expect("a readable folder").path())
            .map(|path| {
                let bytes = std::fs::read(&path).expect("a readable file");
                (path.display().to_string(), bytes)
            })
            .collect();
        files.sort();
        assert!(files.len() >= 10, "{} files in {}", files.len(), folder.display());
        files
    }

    struct Lcg(u64);

    impl Lcg {
        fn below(&mut self, n: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_041);
            usize::try_from(self.0 >> 33).expect("31 bits") % n.max(1)
        }
    }

    /// Cuts, repeats, splices or changes a few bytes.
    fn change(bytes: &[u8], other: &[u8], lcg: &mut Lcg) -> Vec<u8> {
        let mut changed = bytes.to_vec();
        for _ in 0..=lcg.below(3) {
            let at = lcg.below(changed.len());
            match lcg.below(5) {
                0 => changed.truncate(at),
                1 => changed.extend_from_slice(&other[lcg.below(other.len())..]),
                2 => {
                    let copy = changed[at..].to_vec();
                    changed.splice(at..at, copy);
                }
                _ if changed.is_empty() => {}
                3 => changed[at] ^= 1 << lcg.below(8),
                _ => changed[at] = [0, 1, 0x7f, 0x80, 0xff][lcg.below(5)],
            }
        }
        changed
    }

    fn run(target: &str, body: fn(&[u8]), rounds: usize) {
        let files = corpus(target);
        for (i, (name, bytes)) in files.iter().enumerate() {
            println!("{name}");
            body(bytes);
            let mut lcg = Lcg(i as u64);
            for round in 0..rounds {
                let other = &files[lcg.below(files.len())].1;
                println!("{name}, change {round}");
                body(&change(bytes, other, &mut lcg));
            }
        }
    }

    #[test]
    fn the_corpus_and_changed_copies_of_it_decode_to_one_meaning() {
        run("decode", decode, 1_000);
    }

    /// A body whose frames are all dropped at the door would prove nothing.
    #[test]
    fn the_corpus_gets_past_the_door() {
        let stages: Vec<_> = corpus("link").iter().map(|(_, bytes)| play(bytes)).collect();
        let sum = |count: fn(&Stage) -> u64| stages.iter().map(count).sum::<u64>();
        for (what, count) in [
            ("frames not authentic", sum(|stage| stage.node.counters().dropped_unauthenticated)),
            ("links closed", sum(|stage| stage.node.counters().malformed)),
            ("signatures checked", sum(|stage| stage.node.counters().crypto.verifications)),
            ("proofs", sum(|stage| u64::from(stage.faults))),
            ("casts delivered", sum(|stage| u64::from(stage.casts))),
            ("messages delivered", sum(|stage| u64::from(stage.sends))),
        ] {
            println!("{what}: {count}");
            assert!(count > 0, "no {what}");
        }
    }

    #[test]
    fn a_node_withstands_the_corpus_and_changed_copies_of_it() {
        run("link", link, 100);
    }
}
