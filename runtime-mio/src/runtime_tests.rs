//! The loop around a group of one.

use super::*;
use crate::net::TransportKind;
use phalanx_core::{Genesis, Hash32, Limits, Member, Pattern, Status};

fn start(quorum: QuorumRule) -> Result<Runtime, RuntimeError> {
    let secret = SecretKey::generate().unwrap();
    let member = Member {
        key: secret.public_key(),
        incarnation: 1,
        addr: b"127.0.0.1:9".to_vec(),
        status: Status::Active,
    };
    let genesis = Genesis {
        name: "one".into(),
        nonce: Hash32::ZERO,
        members: vec![member],
        pledge: None,
        pattern: Pattern::Swift,
        quorum,
        membership: phalanx_core::Membership::Fixed,
        state_transfer: false,
        limits: Limits::default(),
    };
    let bind = SocketAddr::from(([127, 0, 0, 1], 0));
    let network = NetworkConfig::new(TransportKind::Tcp, bind);
    Runtime::start(Config::new(genesis), &secret, Boot { incarnation: 1 }, &network)
}

/// Turns until `count` casts were delivered; their tickets and payloads.
fn deliveries(runtime: &mut Runtime, count: usize) -> Vec<(Option<Ticket>, Vec<u8>)> {
    let mut all = Vec::new();
    let end = Instant::now() + Duration::from_secs(20);
    while all.len() < count {
        assert!(Instant::now() < end, "{} of {count} delivered", all.len());
        runtime.turn(Some(Duration::from_millis(100))).unwrap();
        while let Some(notice) = runtime.next_notice() {
            if let Notice::Event(Event::Cast { own_ticket, payload, .. }) = notice {
                all.push((own_ticket, payload.to_vec()));
            }
        }
    }
    all
}

#[test]
fn what_is_cast_is_delivered_with_its_ticket() {
    let mut runtime = start(QuorumRule::Sound).unwrap();
    let first = runtime.cast(Order::Total, b"one").unwrap();
    let second = runtime.cast(Order::Fifo, b"two").unwrap();
    assert_ne!(first, second);
    let mut all = deliveries(&mut runtime, 2);
    all.sort();
    assert_eq!(all, [(Some(first), b"one".to_vec()), (Some(second), b"two".to_vec())]);
    let too_long = vec![0; 2 * 1024 * 1024];
    assert_eq!(runtime.cast(Order::Total, &too_long), Err(Refusal::TooLarge));
}

#[test]
fn other_threads_cast_and_feel_back_pressure() {
    const CASTS: usize = 2_000;
    let mut runtime = start(QuorumRule::Sound).unwrap();
    let handle = runtime.handle();
    let caster = std::thread::spawn(move || {
        for i in 0..CASTS {
            // More than the queue holds, all in all.
            handle.cast(Order::Total, vec![i.to_le_bytes()[0]; 4_096]).unwrap();
        }
        handle
    });
    let all = deliveries(&mut runtime, CASTS);
    for (i, (ticket, payload)) in all.iter().enumerate() {
        assert!(ticket.is_some() && payload[0] == i.to_le_bytes()[0], "cast {i} is out of order");
    }
    let handle = caster.join().unwrap();
    drop(runtime);
    assert_eq!(handle.cast(Order::Total, Vec::new()), Err(Stopped));
}

#[test]
fn the_papers_quorums_are_refused_whatever_the_core_was_built_with() {
    assert!(matches!(start(QuorumRule::Paper), Err(RuntimeError::PaperQuorum)));
}

/// A first start that met nobody is no start.
#[test]
fn an_incarnation_is_used_up_once_there_is_something_to_remember() {
    let dir = tempfile::tempdir().unwrap();
    let group = Hash32([7; 32]);
    let mut runtime = start(QuorumRule::Sound).unwrap();
    runtime.keep(Record::open(dir.path(), &group).unwrap(), false);
    for _ in 0..5 {
        runtime.turn(Some(Duration::from_millis(50))).unwrap();
    }
    assert_eq!(crate::boot::last(dir.path(), &group).unwrap(), None);
    runtime.cast(Order::Total, b"one").unwrap();
    runtime.turn(Some(Duration::from_millis(50))).unwrap();
    assert_eq!(crate::boot::last(dir.path(), &group).unwrap(), Some(1));
}

#[test]
fn a_waker_ends_a_turn() {
    let mut runtime = start(QuorumRule::Sound).unwrap();
    while runtime.next_notice().is_some() {}
    let handle = runtime.handle();
    let began = Instant::now();
    handle.wake();
    runtime.turn(Some(Duration::from_secs(10))).unwrap();
    assert!(began.elapsed() < Duration::from_secs(5));
}
