//! Every configuration error can be reached, and says what is wrong.

use alloc::string::ToString;
use alloc::vec::Vec;

use super::*;
use crate::rig::{genesis, genesis_of, identity};

fn validate(config: &Config) -> Result<(), ConfigError> {
    config.validate(Suite::Ed25519)
}

fn with(change: impl FnOnce(&mut Config)) -> Result<(), ConfigError> {
    let mut config = Config::new(genesis(4));
    change(&mut config);
    validate(&config)
}

/// Which value is said to be out of range.
fn out_of_range(change: impl FnOnce(&mut Config)) -> &'static str {
    match with(change) {
        Err(ConfigError::OutOfRange(name, _)) => name,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_defaults_are_valid_from_one_member_to_sixty_four() {
    for n in [1, 2, 3, 4, 64] {
        assert_eq!(validate(&Config::new(genesis(n))), Ok(()), "n = {n}");
    }
    assert_eq!(with(|config| config.frame_max = Config::FRAME_MAX), Ok(()));
    let shortest = |max_members| {
        with(|config| {
            config.frame_max = Config::FRAME_MIN;
            config.genesis.limits.max_members = max_members;
        })
    };
    assert_eq!(shortest(32), Ok(()));
    assert!(shortest(64).is_err(), "its longest message has too many pieces");
}

#[test]
fn every_value_has_its_range() {
    let limits =
        |change: fn(&mut Limits)| out_of_range(|config| change(&mut config.genesis.limits));
    let timeouts = |change: fn(&mut Timeouts)| out_of_range(|config| change(&mut config.timeouts));
    let expected = [
        ("max_members", limits(|l| l.max_members = 0)),
        ("max_members", limits(|l| l.max_members = 65)),
        ("max_joins_per_change", limits(|l| l.max_joins_per_change = 0)),
        ("max_joins_per_change", limits(|l| l.max_joins_per_change = 17)),
        ("window_bodies", limits(|l| l.window_bodies = 3)),
        ("window_bodies", limits(|l| l.window_bodies = 1025)),
        ("cast_max", limits(|l| l.cast_max = 0)),
        ("cast_max", limits(|l| l.cast_max = 4 * 1024 * 1024 + 1)),
        ("body_max", limits(|l| l.body_max = 1023)),
        ("body_max", limits(|l| l.body_max = 4 * 1024 * 1024 + 1)),
        ("window_bytes", limits(|l| l.window_bytes = l.body_max - 1)),
        ("slot_window", limits(|l| l.slot_window = 0)),
        ("slot_window", limits(|l| l.slot_window = (1 << 20) + 1)),
        ("stable_us", timeouts(|t| t.stable_us = 0)),
        ("stable_us", timeouts(|t| t.stable_us = 999)),
        ("mute_us", timeouts(|t| t.mute_us = 0)),
        ("mute_us", timeouts(|t| t.mute_us = t.stable_us)),
        ("mute_max_us", timeouts(|t| t.mute_max_us = t.mute_us - 1)),
        ("slot_us", timeouts(|t| t.slot_us = 0)),
        ("ask_us", timeouts(|t| t.ask_us = 0)),
        ("fetch_us", timeouts(|t| t.fetch_us = 0)),
        ("lag_us", timeouts(|t| t.lag_us = 0)),
        ("resend_us", timeouts(|t| t.resend_us = 0)),
        ("resend_max_us", timeouts(|t| t.resend_max_us = t.resend_us - 1)),
        ("retransmit_us", timeouts(|t| t.retransmit_us = 0)),
        ("frame_max", out_of_range(|config| config.frame_max = Config::FRAME_MIN - 1)),
        ("frame_max", out_of_range(|config| config.frame_max = Config::FRAME_MAX + 1)),
        ("cast_queue_bytes", out_of_range(|config| config.cast_queue_bytes = 1024 * 1024 + 3)),
        ("state_max", out_of_range(|config| config.state_max = (64 << 30) + 1)),
        ("join_buffer", out_of_range(|config| config.join_buffer = 64 * 1024 - 1)),
        ("join_buffer", out_of_range(|config| config.join_buffer = (1 << 30) + 1)),
        ("partial_frames", out_of_range(|config| config.partial_frames = 0)),
        ("partial_frames", out_of_range(|config| config.partial_frames = 65)),
        ("send_tries", out_of_range(|config| config.send_tries = 0)),
        ("name", out_of_range(|config| config.genesis.name.clear())),
        ("name", out_of_range(|config| config.genesis.name = "x".repeat(65))),
    ];
    for (wanted, found) in expected {
        assert_eq!(wanted, found);
    }
}

#[test]
fn groups_that_cannot_be_are_refused() {
    let (a, b) = (Rank::new(1), Rank::new(3));
    assert_eq!(with(|config| config.genesis.members.clear()), Err(ConfigError::NoMembers));
    let many = with(|config| config.genesis.limits.max_members = 3);
    assert_eq!(many, Err(ConfigError::TooManyMembers { n: 4, max: 3 }));
    let twice = with(|config| config.genesis.members[3].key = config.genesis.members[1].key);
    assert_eq!(twice, Err(ConfigError::DuplicateKey { a, b }));
    let address =
        with(|config| config.genesis.members[3].addr = config.genesis.members[1].addr.clone());
    assert_eq!(address, Err(ConfigError::DuplicateAddress { a, b }));
    let without = with(|config| config.genesis.members.iter_mut().for_each(|m| m.addr.clear()));
    assert_eq!(without, Ok(()), "a transport may need no addresses");
    let long = with(|config| config.genesis.members[3].addr = alloc::vec![7; ADDR_MAX + 1]);
    assert_eq!(long, Err(ConfigError::AddressTooLong { rank: b }));
    let weak = with(|config| config.genesis.members[3].key.0 = [0; 32]);
    assert_eq!(weak, Err(ConfigError::BadKey { rank: b, why: KeyError::Weak }));
}

#[cfg(not(feature = "insecure-study"))]
#[test]
fn the_papers_quorums_are_refused_outside_a_study() {
    let paper = with(|config| config.genesis.quorum = QuorumRule::Paper);
    assert_eq!(paper, Err(ConfigError::PaperQuorum));
}

#[cfg(feature = "insecure-study")]
#[test]
fn the_papers_quorums_are_taken_in_a_study() {
    assert_eq!(with(|config| config.genesis.quorum = QuorumRule::Paper), Ok(()));
}

#[test]
fn who_starts_must_be_a_member_in_the_life_that_is_listed() {
    let start = |identity, incarnation| {
        let config = Config::new(genesis(2));
        let boot = Boot { incarnation };
        crate::Node::new(config, identity, boot, crate::Time::ZERO).map(|_| ())
    };
    assert_eq!(start(identity(1), 0), Ok(()));
    assert_eq!(start(identity(2), 0), Err(ConfigError::NotAMember));
    assert_eq!(start(identity(1), 7), Err(ConfigError::Incarnation { boot: 7, listed: 0 }));
}

#[test]
fn every_error_is_a_sentence() {
    let all = [
        ConfigError::NoMembers,
        ConfigError::TooManyMembers { n: 4, max: 3 },
        ConfigError::OutOfRange("frame_max", "256 to 16777216 bytes"),
        ConfigError::BadKey { rank: Rank::new(3), why: KeyError::Weak },
        ConfigError::DuplicateKey { a: Rank::new(1), b: Rank::new(3) },
        ConfigError::PeerIdClash { a: Rank::new(1), b: Rank::new(3) },
        ConfigError::DuplicateAddress { a: Rank::new(1), b: Rank::new(3) },
        ConfigError::AddressTooLong { rank: Rank::new(3) },
        ConfigError::NotAMember,
        ConfigError::Incarnation { boot: 7, listed: 0 },
        ConfigError::PaperQuorum,
    ];
    let texts: Vec<_> = all.iter().map(ToString::to_string).collect();
    assert_eq!(texts[2], "frame_max is out of range: it must be 256 to 16777216 bytes");
    assert_eq!(texts[9], "incarnation 7 at boot, but the group lists this member with 0");
    for (i, text) in texts.iter().enumerate() {
        assert!(text.len() > 20 && !texts[..i].contains(text), "{text}");
    }
}

/// The group id is the hash of the whole record: whoever differs in anything that must agree is in
/// another group.
#[test]
fn everything_that_must_agree_enters_the_group_id() {
    let base = genesis(4);
    let changed = |change: fn(&mut Genesis)| {
        let mut genesis = base.clone();
        change(&mut genesis);
        genesis.group()
    };
    let ids = [
        base.group(),
        changed(|g| g.name.push('x')),
        changed(|g| g.nonce = Hash32::ZERO),
        changed(|g| g.members.reverse()),
        changed(|g| g.members[0].incarnation = 1),
        changed(|g| g.members[0].addr.push(0)),
        changed(|g| g.members[0].status = crate::Status::Silenced),
        changed(|g| g.members[0].key = *identity(9).public_key()),
        changed(|g| g.pledge = Some(1)),
        changed(|g| g.state_transfer = true),
        changed(|g| g.pattern = crate::Pattern::Paper),
        changed(|g| g.quorum = QuorumRule::Paper),
        changed(|g| g.limits.max_members = 63),
        changed(|g| g.limits.max_joins_per_change = 1),
        changed(|g| g.limits.cast_max -= 1),
        changed(|g| g.limits.body_max -= 1),
        changed(|g| g.limits.window_bodies -= 1),
        changed(|g| g.limits.window_bytes -= 1),
        changed(|g| g.limits.slot_window -= 1),
    ];
    for (i, id) in ids.iter().enumerate() {
        assert!(!ids[..i].contains(id), "change {i}");
    }
    assert_eq!(genesis_of((0..4).map(identity)).group(), base.group(), "and nothing else does");
}
