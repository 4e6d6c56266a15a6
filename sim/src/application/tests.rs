//! An application alone: what it keeps, and what it notices.

use super::*;
use crate::cluster::Group;
use crate::scenario::Scenario;
use phalanx_core::{Number, Payload, View};

const CHUNKS: usize = 3;

fn stream() -> Stream {
    Seed(1).stream("application", 0)
}

fn app(joins: bool) -> Application {
    Application::new(Some(CHUNKS * CHUNK_BYTES - 5), 0, joins, stream())
}

fn view(number: u64) -> Event {
    let view = Group::new(&Scenario::calm("application", 4, 1)).unwrap().genesis.view();
    Event::View(Box::new(View { number, ..view }))
}

fn cast(view: u64, sender: u16, order: Order, payload: &[u8]) -> Event {
    Event::Cast {
        view,
        sender: Rank::new(sender),
        number: Number::ZERO,
        order,
        slot: None,
        own_ticket: None,
        payload: Payload::new(payload.into(), &(0..payload.len())),
    }
}

/// One that has delivered these Fifo casts of these senders.
fn with(casts: &[(u16, &[u8])]) -> Application {
    let mut app = app(false);
    assert!(matches!(app.on_event(0, &view(0)), Some(Moment::Begins { view: 0, .. })));
    for (sender, payload) in casts {
        assert_eq!(app.on_event(0, &cast(0, *sender, Order::Fifo, payload)), None);
    }
    app
}

fn is_wrong(moment: Option<Moment>) -> bool {
    matches!(moment, Some(Moment::Wrong(_)))
}

#[test]
fn the_order_between_senders_does_not_matter_and_everything_else_does() {
    let one = with(&[(0, b"a"), (1, b"b"), (0, b"c")]).state();
    assert_eq!(one, with(&[(1, b"b"), (0, b"a"), (0, b"c")]).state());
    assert_ne!(one, with(&[(1, b"b"), (0, b"c"), (0, b"a")]).state());
    assert_ne!(one, with(&[(0, b"a"), (1, b"b")]).state());
    let order = |order| {
        let mut app = with(&[]);
        app.on_event(0, &cast(0, 0, order, b"a"));
        app.state()
    };
    assert_ne!(order(Order::Fifo), order(Order::Total));
}

#[test]
fn what_one_hands_over_another_loads() {
    let mut donor = with(&[(0, b"a"), (3, b"b")]);
    assert!(donor.on_event(0, &Event::SnapshotWanted { view: 0 }).is_some());
    let Some(Reply::Ready(0, length, hashes)) = donor.reply(0) else { panic!("no snapshot") };
    let before = donor.state();
    // It goes on meanwhile.
    donor.on_event(0, &cast(0, 0, Order::Total, b"c"));
    let mut joiner = app(true);
    assert_eq!((joiner.on_event(0, &view(0)), joiner.state()), (None, None));
    for index in 0..u32::try_from(CHUNKS).unwrap() {
        assert_eq!(donor.on_event(0, &Event::ChunkWanted { view: 0, index }), None);
        let Some(Reply::Chunk(0, at, bytes)) = donor.reply(0) else { panic!("no chunk") };
        assert_eq!((at, sha256(&bytes)), (index, hashes[index as usize]));
        let offset = u64::from(index) * CHUNK_BYTES as u64;
        assert_eq!(joiner.on_event(0, &Event::State { offset, bytes, total: length }), None);
    }
    let loaded = joiner.on_event(0, &Event::StateLoaded { view: 0, total: length });
    assert_eq!(loaded, before.map(|state| Moment::Loaded { view: 0, state }));
    joiner.on_event(0, &cast(0, 0, Order::Total, b"c"));
    assert_eq!(joiner.state(), donor.state());
    assert_eq!(donor.on_event(0, &Event::SnapshotReleased { view: 0 }), None);
    assert!(is_wrong(donor.on_event(0, &Event::SnapshotReleased { view: 0 })));
    assert!(is_wrong(donor.on_event(0, &Event::ChunkWanted { view: 0, index: 0 })));
}

#[test]
fn what_the_core_must_not_do_is_seen() {
    let piece = |offset, len: usize| Event::State { offset, bytes: vec![1; len], total: 100 };
    let mut joiner = app(true);
    joiner.on_event(0, &view(0));
    assert!(is_wrong(joiner.on_event(0, &cast(0, 0, Order::Fifo, b"a"))), "nothing is loaded yet");
    assert!(is_wrong(joiner.on_event(0, &Event::SnapshotWanted { view: 0 })));
    assert!(is_wrong(joiner.on_event(0, &piece(5, 10))), "a gap");
    assert_eq!(joiner.on_event(0, &piece(0, 10)), None);
    assert!(is_wrong(joiner.on_event(0, &piece(0, 10))), "twice");
    assert!(is_wrong(joiner.on_event(0, &piece(10, 91))), "beyond the end");
    assert!(is_wrong(joiner.on_event(0, &Event::StateLoaded { view: 0, total: 10 })), "garbage");
    let mut member = with(&[]);
    assert!(is_wrong(member.on_event(0, &piece(0, 10))), "it has a state");
    assert!(is_wrong(member.on_event(0, &cast(1, 0, Order::Fifo, b"a"))), "of a later view");
    assert_eq!(member.refused(Refusal::NotWanted), None);
    assert!(is_wrong(member.refused(Refusal::NotTheSnapshot)));
}

#[test]
fn a_state_that_is_lost_is_loaded_from_its_beginning() {
    let mut member = with(&[(0, b"a")]);
    assert_eq!(member.on_event(0, &Event::StateLost), None);
    assert_eq!(member.state(), None);
    let bytes = vec![1; 10];
    assert_eq!(member.on_event(0, &Event::State { offset: 0, bytes, total: 20 }), None);
    assert_eq!(member.on_event(0, &Event::StateLost), None);
    let bytes = vec![1; 10];
    assert_eq!(member.on_event(0, &Event::State { offset: 0, bytes, total: 20 }), None);
}

#[test]
fn it_takes_its_time_and_does_nothing_where_no_state_is_handed_over() {
    let mut slow = Application::new(Some(9), 1_000, false, stream());
    slow.on_event(0, &view(0));
    for number in 1..30 {
        slow.on_event(0, &Event::SnapshotWanted { view: number });
        slow.on_event(0, &Event::SnapshotReleased { view: number });
    }
    assert_eq!(slow.due_us(), None, "nobody waits any more");
    slow.on_event(50, &Event::SnapshotWanted { view: 30 });
    let due_us = slow.due_us().unwrap();
    assert!((50..=1_050).contains(&due_us) && slow.reply(due_us - 1).is_none());
    assert!(matches!(slow.reply(due_us), Some(Reply::Ready(30, ..))));
    let mut none = Application::new(None, 0, true, stream());
    assert_eq!(none.on_event(0, &view(0)), None);
    assert_eq!((none.on_event(0, &cast(7, 9, Order::Fifo, b"a")), none.state()), (None, None));
}
