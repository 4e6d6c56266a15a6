//! Whatever is wrong in a file is told with its line and key.

use super::super::{MemberEntry, group_text};
use super::*;
use phalanx_core::{Departure, Membership, Status};
use std::fs;

/// A home whose files can be spoilt.
struct Rig {
    dir: tempfile::TempDir,
    group: String,
    node: String,
}

impl Rig {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("a");
        fs::create_dir(&home).unwrap();
        let mut members = Vec::new();
        for (i, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
            let secret = SecretKey::generate().unwrap();
            if i == 0 {
                secret.write(&home.join("key.pem")).unwrap();
            }
            let port = 7_400 + u16::try_from(i).unwrap();
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            members.push(MemberEntry {
                name: name.to_owned(),
                address,
                public_key: secret.public_key(),
            });
        }
        let group = group_text(
            "test",
            &phalanx_core::Hash32([1; 32]),
            (Membership::Managed, false),
            (&members, &[]),
        );
        let bind = members[0].address;
        let node = node_text(&NodeEntry {
            name: "a".to_owned(),
            transport: TransportKind::Udp,
            bind,
            is_testnet: true,
            joiners: vec![],
        });
        Self { dir, group, node }
    }

    fn read(&self) -> Result<Home, FileError> {
        let home = self.dir.path().join("a");
        fs::write(self.dir.path().join("group.toml"), &self.group).unwrap();
        fs::write(home.join("node.toml"), &self.node).unwrap();
        Home::read(&home)
    }

    /// The error when `old` is replaced by `new` in the group file.
    fn spoilt_group(old: &str, new: &str) -> (Self, FileError) {
        let mut rig = Self::new();
        assert!(rig.group.contains(old), "{old}");
        rig.group = rig.group.replacen(old, new, 1);
        let error = rig.read().unwrap_err();
        (rig, error)
    }

    fn spoilt_node(old: &str, new: &str) -> (Self, FileError) {
        let mut rig = Self::new();
        assert!(rig.node.contains(old), "{old}");
        rig.node = rig.node.replacen(old, new, 1);
        let error = rig.read().unwrap_err();
        (rig, error)
    }
}

fn line_of(text: &str, part: &str) -> Option<usize> {
    text.lines().position(|line| line.contains(part)).map(|index| index + 1)
}

#[test]
fn what_testnet_writes_is_read_with_the_defaults() {
    let home = Rig::new().read().unwrap();
    assert_eq!(home.rank, Some(Rank::new(0)));
    assert_eq!(home.group.names, ["a", "b", "c", "d"]);
    let mut config = Config::new(home.group.genesis.clone());
    config.addr = b"127.0.0.1:7400".to_vec();
    assert_eq!(home.config, config);
    assert_eq!(home.network.transport, TransportKind::Udp);
    assert!(home.is_testnet);
    assert_eq!(home.incarnation(), 1);
    assert_eq!(home.group.genesis.membership, Membership::Managed);
    let view = home.group.genesis.view();
    assert_eq!(home.group.view_line(&view, home.rank), "view 0  n=4 f=1 q=3  [a* b c d]");
}

#[test]
fn a_change_of_view_is_told_in_one_line() {
    let group = Rig::new().read().unwrap().group;
    let before = group.genesis.view();
    let mut view = before.clone();
    view.number = 7;
    view.members.remove(3);
    view.members[1].status = Status::Silenced;
    view.departed = vec![(Rank::new(3), Departure::Proof)].into();
    let line = |why: Option<&str>| {
        let why = why.map(str::to_owned);
        group.change_line((&before, &view), Some(Rank::new(0)), &|_, _| why.clone())
    };
    let told = "view 7  n=3 f=0 q=2  [a* ~b c]  -d (proof: mutant message)";
    assert_eq!(line(Some("mutant message")), told);
    assert_eq!(line(None), "view 7  n=3 f=0 q=2  [a* ~b c]  -d (proof)");
    view.members[0].key = phalanx_core::PublicKey([0xab; 32]);
    assert!(group.view_line(&view, None).contains("[abababab ~b c]"));
}

#[test]
fn settings_reach_the_core_and_the_sockets() {
    let mut rig = Rig::new();
    rig.node = rig.node.replacen("# mute = \"2 s\"", "mute = \"3 s\"", 1);
    rig.node = rig.node.replacen("# stall = \"5 s\"", "stall = \"7 s\"", 1);
    rig.node = rig.node.replacen("# peer_queue = \"8 MiB\"", "peer_queue = \"1 MiB\"", 1);
    rig.group = rig.group.replacen("# cast_max = \"1 MiB\"", "cast_max = \"64 KiB\"", 1);
    rig.group = rig.group.replacen("\"swift\"", "\"paper\"", 1);
    rig.group = rig.group.replacen("membership = \"managed\"", "membership = \"fixed\"", 1);
    rig.group = rig.group.replacen("# pledge = 1", "pledge = 0", 1);
    rig.group = rig.group.replacen("state_transfer = false", "state_transfer = true", 1);
    for (old, new) in [
        ("# join_buffer = \"8 MiB\"", "join_buffer = \"2 MiB\""),
        ("# state_max = \"4 GiB\"", "state_max = \"3 MiB\""),
        ("# grace = \"20 ms\"", "grace = \"30 ms\""),
        ("# attempt = \"1 s\"", "attempt = \"4 s\""),
        ("# attempt_max = \"1 min\"", "attempt_max = \"8 s\""),
        ("# installed = \"2 s\"", "installed = \"5 s\""),
        ("# linger = \"30 s\"", "linger = \"6 s\""),
        ("# retain = \"1 min\"", "retain = \"7 s\""),
    ] {
        assert!(rig.node.contains(old), "{old}");
        rig.node = rig.node.replacen(old, new, 1);
    }
    let home = rig.read().unwrap();
    let times = &home.config.timeouts;
    assert_eq!((times.grace_us, times.attempt_us), (30_000, 4_000_000));
    assert_eq!((times.attempt_max_us, times.installed_us), (8_000_000, 5_000_000));
    assert_eq!((times.linger_us, times.retain_us), (6_000_000, 7_000_000));
    let genesis = &home.group.genesis;
    assert_eq!((genesis.membership, genesis.pledge), (Membership::Fixed, Some(0)));
    assert!(genesis.state_transfer);
    assert_eq!((home.config.join_buffer, home.config.state_max), (2 << 20, 3 << 20));
    assert_eq!(home.config.timeouts.mute_us, 3_000_000);
    assert_eq!(home.network.stall, Duration::from_secs(7));
    assert_eq!(home.network.queue_bytes, 1 << 20);
    assert_eq!(home.group.genesis.limits.cast_max, 64 * 1024);
    assert_eq!(home.group.genesis.pattern, phalanx_core::Pattern::Paper);
}

#[test]
fn unknown_keys_are_refused_with_a_guess() {
    let (rig, error) = Rig::spoilt_group("address =", "adress =");
    assert_eq!(error.line, line_of(&rig.group, "adress"));
    assert_eq!(error.key.as_deref(), Some("adress"));
    assert!(error.message.contains("did you mean `address`?"), "{error}");
    let (rig, error) = Rig::spoilt_node("bind =", "bnid =");
    assert_eq!(error.line, line_of(&rig.node, "bnid"));
    assert!(error.message.contains("did you mean `bind`?"), "{error}");
    let (rig, error) = Rig::spoilt_node("# slot =", "slots =");
    assert_eq!(error.line, line_of(&rig.node, "slots"));
    assert!(error.message.contains("did you mean `slot`?"), "{error}");
}

#[test]
fn wrong_values_name_file_line_and_key() {
    let (rig, error) = Rig::spoilt_node("# mute = \"2 s\"", "mute = \"2\"");
    assert_eq!((error.line, error.key.as_deref()), (line_of(&rig.node, "mute ="), Some("mute")));
    assert!(error.to_string().contains("node.toml:"), "{error}");
    assert!(error.message.contains("number and one of us, ms, s, min"), "{error}");
    let (rig, error) = Rig::spoilt_node("# mute = \"2 s\"", "mute = \"50 ms\"");
    assert_eq!((error.line, error.key.as_deref()), (line_of(&rig.node, "mute ="), Some("mute")));
    assert!(error.message.contains("must be more than stable"), "{error}");
    let (rig, error) = Rig::spoilt_node("# stable = \"100 ms\"", "stable = \"1 us\"");
    assert_eq!(
        (error.line, error.key.as_deref()),
        (line_of(&rig.node, "stable ="), Some("stable"))
    );
    assert!(error.message.contains("must be at least 1 ms"), "{error}");
    let (_, error) = Rig::spoilt_node("# stall = \"5 s\"", "stall = \"1 ms\"");
    assert_eq!(error.key.as_deref(), Some("stall"));
    let (_, error) = Rig::spoilt_node("log = \"info\"", "log = \"loud\"");
    assert_eq!(error.key.as_deref(), Some("log"));
    let (rig, error) = Rig::spoilt_group("# body_max = \"256 KiB\"", "body_max = \"1 B\"");
    assert_eq!(error.line, line_of(&rig.group, "body_max"));
    let (_, error) = Rig::spoilt_group("nonce = \"01", "nonce = \"0x");
    assert_eq!(error.key.as_deref(), Some("nonce"));
    let (_, error) = Rig::spoilt_group("name = \"test\"", "name = \"test");
    assert_eq!(error.line, Some(2));
}

#[test]
fn wrong_members_are_refused_with_a_sentence() {
    let rig = Rig::new();
    let keys: Vec<&str> = rig.group.lines().filter(|line| line.starts_with("public_key")).collect();
    let mut twice = Rig::new();
    twice.group = rig.group.replacen(keys[2], keys[1], 1);
    let error = twice.read();
    // The home's own key is that of another rig: the group is judged first.
    let error = error.unwrap_err();
    assert_eq!(error.key.as_deref(), Some("public_key"));
    assert!(error.message.contains("ranks 1 and 2 have the same public key"), "{error}");

    let (rig, error) = Rig::spoilt_group("127.0.0.1:7402", "127.0.0.1:7401");
    assert_eq!(error.line, line_of(&rig.group, "7401").map(|first| first + 6));
    assert!(error.message.contains("ranks 1 and 2 have the same address"), "{error}");

    let (_, error) = Rig::spoilt_group("127.0.0.1:7402", "localhost:7402");
    assert!(error.message.contains("IP address and a port"), "{error}");
    let (_, error) = Rig::spoilt_group("127.0.0.1:7402", "0.0.0.0:7402");
    assert!(error.message.contains("cannot send to this address"), "{error}");
    let (_, error) = Rig::spoilt_group("name = \"c\"", "name = \"b\"");
    assert!(error.message.contains("two members are called b"), "{error}");
}

#[test]
fn weak_keys_and_empty_groups_are_refused() {
    let mut rig = Rig::new();
    let weak = format!("public_key = \"01{}\"", "00".repeat(31));
    let second = rig.group.lines().filter(|line| line.starts_with("public_key")).nth(1);
    rig.group = rig.group.replacen(&second.unwrap().to_owned(), &weak, 1);
    let error = rig.read().unwrap_err();
    assert_eq!(error.line, line_of(&rig.group, "\"0100"));
    assert!(error.message.contains("rank 1") && error.message.contains("weak"), "{error}");

    let mut rig = Rig::new();
    let end = rig.group.find("[[member]]").unwrap();
    rig.group.truncate(end);
    let error = rig.read().unwrap_err();
    assert!(error.message.contains("no members"), "{error}");
}

#[test]
fn a_key_of_nobody_is_that_of_one_who_may_join() {
    let mut rig = Rig::new();
    rig.node = rig.node.replacen("member = ", "# member = ", 1);
    let path = rig.dir.path().join("a/key.pem");
    fs::remove_file(&path).unwrap();
    let error = rig.read().unwrap_err();
    assert_eq!(error.key.as_deref(), Some("key"));
    SecretKey::generate().unwrap().write(&path).unwrap();
    let home = rig.read().unwrap();
    assert_eq!((home.rank, home.incarnation()), (None, 0));
    assert_eq!(home.config.addr, b"127.0.0.1:7400", "where it listens, if nothing else is said");
    let why = home.start(crate::StartOptions::default()).unwrap_err();
    assert!(why.to_string().contains("start with --join"), "{why}");
}

#[test]
fn who_may_join_is_a_list_or_asked_for() {
    let with = |joiners: &str| {
        let mut rig = Rig::new();
        assert!(rig.node.contains("joiners = []"));
        rig.node = rig.node.replacen("joiners = []", &format!("joiners = {joiners}"), 1);
        rig.read()
    };
    let key = "ab".repeat(32);
    let joiners = |text: &str| with(text).unwrap().config.joiners;
    assert_eq!(joiners("[]"), Joiners::Nobody);
    assert_eq!(joiners("\"ask\""), Joiners::Application);
    let listed = Joiners::Listed(vec![PublicKey([0xab; 32])]);
    assert_eq!(joiners(&format!("[\"{key}\"]")), listed);
    for wrong in ["\"all\"", "[\"abc\"]", "[7]", "true"] {
        let error = with(wrong).unwrap_err();
        assert_eq!(error.key.as_deref(), Some("joiners"), "{error}");
    }
}

/// Whatever can be set stands there with its default.
#[test]
fn the_templates_name_every_setting_with_its_default() {
    let mut rig = Rig::new();
    let plain = rig.read().unwrap();
    // The settings that begin with a comment sign, without it; but those that have no default.
    let uncommented = |text: &str| {
        let line = |line: &str| match line.strip_prefix("# ").filter(|rest| {
            let key = rest.split(" = ").next().unwrap_or_default();
            rest.contains(" = ")
                && !key.contains(' ')
                && !["address", "anchor", "pledge"].contains(&key)
        }) {
            Some(setting) => format!("{setting}\n"),
            None => format!("{line}\n"),
        };
        text.lines().map(line).collect::<String>()
    };
    (rig.node, rig.group) = (uncommented(&rig.node), uncommented(&rig.group));
    let all = rig.read().unwrap();
    assert_eq!((&all.config, &all.group), (&plain.config, &plain.group));
    assert_eq!(all.network.stall, plain.network.stall);
    assert_eq!(all.network.queue_bytes, plain.network.queue_bytes);
    // What an unknown key is told to be one of is all there is.
    for section in ["timeouts", "limits"] {
        let mut wrong = Rig::new();
        let header = format!("[{section}]");
        wrong.node = wrong.node.replacen(&header, &format!("[{section}]\nzzz = 1 #"), 1);
        let message = wrong.read().unwrap_err().message;
        let names = message.split('`').skip(3).step_by(2);
        assert!(names.clone().count() >= 8, "{message}");
        for name in names {
            assert!(rig.node.contains(&format!("\n{name} = ")), "{name} is not in the template");
        }
    }
}
