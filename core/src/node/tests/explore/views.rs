//! Views without their past, and which may follow on which: what the real `plan` makes of every
//! evidence that members may come to hold.

use alloc::rc::Rc;
use alloc::vec::Vec;
use std::collections::HashMap;

use super::Rules;
use crate::config::Config;
use crate::crypto::{Hash32, PublicKey};
use crate::member::{Member, Rank, Status};
use crate::plan::{Facts, Joining, Suspicion};
use crate::rig::{genesis_of, quick_identity};
use crate::view::{Membership, View};

/// The most processes.
pub(super) const PROCS: usize = 8;

/// A member: which process, which life of it, and whether it is Silenced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Seat {
    pub(super) process: u8,
    pub(super) life: u8,
    pub(super) is_silenced: bool,
}

/// All of a view that says what may follow.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    /// By rank.
    pub(super) seats: Vec<Seat>,
    pub(super) pledge: u16,
    /// Processes, as a set.
    pub(super) expelled: u8,
}

impl Shape {
    pub(super) fn seat(&self, process: usize) -> Option<&Seat> {
        self.seats.iter().find(|seat| usize::from(seat.process) == process)
    }

    /// Processes, as a set.
    pub(super) fn members(&self) -> u8 {
        self.seats.iter().fold(0, |set, seat| set | 1 << seat.process)
    }

    /// Whether this life of a process is a member.
    pub(super) fn lists(&self, process: usize, life: u8) -> bool {
        self.seat(process).is_some_and(|seat| seat.life == life)
    }
}

/// What can be said in a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sayable {
    pub(super) shape: u16,
    /// By process: the life that asks to join; 0 if none does.
    pub(super) joining: [u8; PROCS],
    /// Silenced members that may sign something and ask to be Active again, by process, as a set.
    pub(super) again: u8,
    /// Silenced members that nobody has heard in this view, as a set.
    pub(super) unheard: u8,
    /// Who may be proven to lie, as a set.
    pub(super) provable: u8,
    /// Who may ask to leave, as a set.
    pub(super) leaving: u8,
}

/// A view that may be the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) shape: u16,
    /// If it takes in somebody: the members that were suspected, or were Silenced, still are, signed
    /// nothing and were not vouched for. The group knew that they may be down.
    pub(super) known: u8,
}

/// All views met so far, and the real code's word on each.
pub(super) struct Book {
    pub(super) config: Config,
    pub(super) rules: Rules,
    pub(super) keys: Vec<PublicKey>,
    shapes: Vec<Rc<Shape>>,
    views: Vec<Rc<View>>,
    numbers: HashMap<Shape, u16>,
    nexts: HashMap<Sayable, Rc<[Next]>>,
    pub(super) plans: u64,
}

impl Book {
    pub(super) fn new(founders: u8, pledge: Option<u16>, rules: Rules) -> (Self, u16) {
        let mut identities: Vec<_> =
            (0..PROCS).map(|process| quick_identity(small(process))).collect();
        identities.sort_unstable_by_key(|identity| *identity.public_key());
        let keys = identities.iter().map(|identity| *identity.public_key()).collect();
        identities.truncate(founders.into());
        let mut genesis = genesis_of(identities.into_iter());
        genesis.membership = Membership::Managed;
        genesis.pledge = pledge;
        genesis.members.iter_mut().for_each(|member| member.incarnation = 1);
        let first = genesis.view();
        let mut book = Self {
            config: Config::new(genesis),
            rules,
            keys,
            shapes: Vec::new(),
            views: Vec::new(),
            numbers: HashMap::new(),
            nexts: HashMap::new(),
            plans: 0,
        };
        let first = book.read(&first);
        let first = book.number(first);
        (book, first)
    }

    pub(super) fn shapes(&self) -> usize {
        self.shapes.len()
    }

    pub(super) fn shape(&self, number: u16) -> Rc<Shape> {
        Rc::clone(&self.shapes[usize::from(number)])
    }

    pub(super) fn view(&self, number: u16) -> Rc<View> {
        Rc::clone(&self.views[usize::from(number)])
    }

    pub(super) fn number(&mut self, shape: Shape) -> u16 {
        if let Some(number) = self.numbers.get(&shape) {
            return *number;
        }
        let number = u16::try_from(self.shapes.len()).expect("fewer views");
        self.views.push(Rc::new(self.write(&shape)));
        self.shapes.push(Rc::new(shape.clone()));
        self.numbers.insert(shape, number);
        number
    }

    fn process(&self, key: &PublicKey) -> u8 {
        small(self.keys.iter().position(|known| known == key).expect("a known key"))
    }

    fn read(&self, view: &View) -> Shape {
        let seat = |member: &Member| Seat {
            process: self.process(&member.key),
            life: u8::try_from(member.incarnation).unwrap(),
            is_silenced: member.status == Status::Silenced,
        };
        let expelled = view.expelled.iter().fold(0, |set, key| set | 1 << self.process(key));
        Shape { seats: view.members.iter().map(seat).collect(), pledge: view.pledge, expelled }
    }

    fn write(&self, shape: &Shape) -> View {
        let member = |seat: &Seat| Member {
            key: self.keys[usize::from(seat.process)],
            incarnation: seat.life.into(),
            addr: alloc::vec![seat.process],
            status: if seat.is_silenced { Status::Silenced } else { Status::Active },
        };
        let mut view = self.config.genesis.view();
        view.members = shape.seats.iter().map(member).collect();
        view.pledge = shape.pledge;
        let mut expelled: Vec<_> = of(shape.expelled).map(|process| self.keys[process]).collect();
        expelled.sort_unstable();
        view.expelled = expelled.into_iter().collect();
        view
    }

    /// Every view that may follow. Any members may suspect any others, rightly or not: what does
    /// not reach a member in time, it never knew of. So it is with requests.
    pub(super) fn nexts(&mut self, sayable: Sayable) -> Rc<[Next]> {
        if let Some(nexts) = self.nexts.get(&sayable) {
            return Rc::clone(nexts);
        }
        let shape = self.shape(sayable.shape);
        let all = shape.members();
        let asking = (0..PROCS).filter(|process| sayable.joining[*process] > 0);
        let asking: u8 = asking.fold(0, |set, process| set | 1 << process);
        let is_one = |set: &u8| size(*set) <= 1;
        let mut nexts: Vec<Next> = Vec::new();
        for suspected in subsets(all).filter(|set| size(*set) <= 2 || *set == all) {
            for joining in subsets(asking) {
                for (again, heard) in pairs(sayable.again) {
                    for proven in subsets(sayable.provable) {
                        for leaving in subsets(sayable.leaving).filter(is_one) {
                            let said = Said {
                                suspected,
                                joining,
                                again,
                                heard,
                                proven,
                                leaving,
                                is_vouched: false,
                            };
                            for said in said.by_sponsors(&sayable) {
                                let next = self.next(&sayable, said);
                                add(&mut nexts, next);
                            }
                        }
                    }
                }
            }
        }
        let nexts: Rc<[Next]> = nexts.into();
        self.nexts.insert(sayable, Rc::clone(&nexts));
        nexts
    }

    /// The view that follows by this evidence.
    pub(super) fn next(&mut self, sayable: &Sayable, said: Said) -> Next {
        let shape = self.shape(sayable.shape);
        let facts = self.facts(sayable, &shape, said);
        let view = self.view(sayable.shape);
        let plan = (self.rules.plan)(&view, &self.config.genesis, &facts);
        self.plans += 1;
        let next = plan.build(&view, Vec::new());
        assert!(next.is_legal(), "{next:?}");
        let after = self.read(&next);
        let is_new = |seat: &&Seat| !shape.lists(seat.process.into(), seat.life);
        let stays_silent = |seat: &&Seat| {
            let now = after.seat(seat.process.into());
            seat.is_silenced && now.is_some_and(|now| now.is_silenced && now.life == seat.life)
        };
        let is_heard = |seat: &&Seat| said.heard >> seat.process & 1 == 1;
        let silent = shape.seats.iter().filter(stays_silent).filter(|seat| !is_heard(seat));
        let silent = silent.fold(0, |set, seat| set | 1 << seat.process);
        let known = said.suspected | if said.is_vouched { 0 } else { silent };
        let known = if after.seats.iter().any(|seat| is_new(&seat)) { known } else { 0 };
        let stays = after.seats.iter().filter(|seat| !is_new(seat));
        let known = known & stays.fold(0, |set, seat| set | 1 << seat.process);
        Next { shape: self.number(after), known }
    }

    /// The evidence; every other member says it that is Active, or said to be heard. Unless members
    /// are vouched for, newcomers are recommended by fewer than it takes for that.
    fn facts(&self, sayable: &Sayable, shape: &Shape, said: Said) -> Facts {
        let n = shape.seats.len();
        let rank = |process: usize| {
            let mut seats = Rank::all(n).zip(&shape.seats);
            seats.find(|(_, seat)| usize::from(seat.process) == process).map(|(rank, _)| rank)
        };
        let signs = |seat: &Seat| !seat.is_silenced || said.heard >> seat.process & 1 == 1;
        let signing = Rank::all(n).zip(&shape.seats).filter(|(_, seat)| signs(seat));
        let signing: Vec<Rank> = signing.map(|(rank, _)| rank).collect();
        let leaving = of(said.leaving).filter_map(rank);
        let mut facts = Facts { leaving: leaving.collect(), ..Facts::default() };
        for (set, by_proof) in [(said.suspected, false), (said.proven, true)] {
            for subject in of(set).filter_map(rank) {
                let signers = signing.iter().copied().filter(|signer| *signer != subject);
                let suspicions =
                    signers.map(|signer| Suspicion { subject, signer, by_proof, is_slow: false });
                facts.suspicions.extend(suspicions);
            }
        }
        let vouching = n - (n - 1) / 3;
        let few = signing.len().min(if said.is_vouched { n } else { vouching - 1 }.max(1));
        for process in of(said.joining | said.again) {
            let seat = shape.seat(process).filter(|_| said.again >> process & 1 == 1);
            let life = seat.map_or(sayable.joining[process], |seat| seat.life);
            let mut request = [0; 32];
            request[..2].copy_from_slice(&[small(process), life]);
            facts.joining.push(Joining {
                request: Hash32(request),
                key: self.keys[process],
                incarnation: life.into(),
                addr: alloc::vec![small(process)],
                recommended_by: if seat.is_some() {
                    signing.clone()
                } else {
                    signing[..few].to_vec()
                },
            });
        }
        facts
    }
}

/// Evidence: sets of processes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    pub(super) suspected: u8,
    pub(super) joining: u8,
    pub(super) again: u8,
    /// Silenced members that sign some of the evidence; who asks does.
    pub(super) heard: u8,
    pub(super) proven: u8,
    pub(super) leaving: u8,
    /// So many recommend the newcomers that some of them are correct and have heard each member, or
    /// list it as suspected.
    pub(super) is_vouched: bool,
}

impl Said {
    /// With few recommendations of newcomers, and with many where there can be.
    pub(super) fn by_sponsors(self, sayable: &Sayable) -> impl Iterator<Item = Self> {
        let is_possible = self.joining != 0 && sayable.unheard & !self.suspected == 0;
        let many = is_possible.then_some(Self { is_vouched: true, ..self });
        [self].into_iter().chain(many)
    }
}

/// Of two that differ only in what was known, the one in which more was is asked more of.
fn add(nexts: &mut Vec<Next>, next: Next) {
    let covers = |a: &Next, b: &Next| a.shape == b.shape && a.known & b.known == b.known;
    if !nexts.iter().any(|other| covers(other, &next)) {
        nexts.retain(|other| !covers(&next, other));
        nexts.push(next);
    }
}

/// A number of a process or a life.
pub(super) fn small(number: usize) -> u8 {
    u8::try_from(number).expect("few")
}

/// How many elements a set has.
pub(super) fn size(set: u8) -> usize {
    of(set).count()
}

/// The elements of a set.
pub(super) fn of(set: u8) -> impl Iterator<Item = usize> {
    (0..8).filter(move |element| set >> element & 1 == 1)
}

/// One of a set or none, and every set that holds that.
fn pairs(set: u8) -> impl Iterator<Item = (u8, u8)> {
    let some = subsets(set).filter(|some| size(*some) <= 1);
    some.flat_map(move |some| subsets(set & !some).map(move |others| (some, some | others)))
}

/// All subsets of a set, the empty one first.
pub(super) fn subsets(set: u8) -> impl Iterator<Item = u8> {
    let mut next = Some(0_u8);
    core::iter::from_fn(move || {
        let now = next?;
        let after = now.wrapping_sub(set) & set;
        next = (after != 0).then_some(after);
        Some(now)
    })
}
