//! Processes that join, come back and are refused: real ones, on real sockets.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use phalanx_mio::keys::SecretKey;
use serde_json::Value;
use support::{Member, PATIENCE, Testnet, run};

fn start_all(testnet: &Testnet, members: usize) -> Vec<Member> {
    let members: Vec<Member> =
        testnet.homes[..members].iter().map(|home| Member::start(home, &[])).collect();
    for member in &members {
        assert_eq!(member.next("view", PATIENCE).unwrap()["number"], 0);
    }
    members
}

fn size(view: &Value) -> u64 {
    view["n"].as_u64().unwrap()
}

/// A cast of each comes to all.
fn works(members: &mut [Member], what: &str) {
    for (rank, member) in members.iter_mut().enumerate() {
        member.cast(&format!("{what} {rank}"));
    }
    let wanted: BTreeSet<String> =
        (0..members.len()).map(|rank| format!("{what} {rank}")).collect();
    let mut first = None;
    for member in members.iter() {
        let got = member.casts(wanted.len());
        assert_eq!(got.iter().cloned().collect::<BTreeSet<_>>(), wanted);
        assert_eq!(first.get_or_insert(got.clone()), &got, "in one order");
    }
}

fn key_of(home: &Path) -> String {
    SecretKey::read(&home.join("key.pem")).unwrap().public_key().to_string()
}

fn newcomer_joins(transport: &str) {
    let testnet = Testnet::with_newcomers(4, 1, transport);
    let mut members = start_all(&testnet, 4);
    works(&mut members, "before");
    let began = Instant::now();
    members.push(Member::start(&testnet.homes[4], &["--join"]));
    let view = members[4].view("there are five", |view| size(view) == 5);
    println!("{transport}: joined after {:.3} s", began.elapsed().as_secs_f64());
    assert_eq!(view["members"][4], key_of(&testnet.homes[4]));
    for member in &members[..4] {
        member.view("there are five", |view| size(view) == 5);
    }
    works(&mut members, "after");
    // Once a member it needs to be told no more, and comes back when it is started again.
    members.truncate(4);
    members.push(Member::start(&testnet.homes[4], &[]));
    let view = members[4].view("it is back", |view| view["incarnations"][4] == 2);
    assert_eq!(size(&view), 5);
    for member in &members[..4] {
        member.view("it is back", |view| view["incarnations"][4] == 2);
    }
    works(&mut members, "again");
}

#[test]
fn a_newcomer_joins_over_tcp() {
    newcomer_joins("tcp");
}

#[test]
fn a_newcomer_joins_over_udp() {
    newcomer_joins("udp");
}

/// Every member of the group is killed and started again in turn, whatever the order of their peer
/// ids, which says who dials whom.
fn killed_members_come_back(transport: &str) {
    let testnet = Testnet::new(4, transport);
    let mut members = start_all(&testnet, 4);
    works(&mut members, "before");
    for rank in 0..4_usize {
        members[rank].child.kill().unwrap();
        members[rank].child.wait().unwrap();
        let began = Instant::now();
        members[rank] = Member::start(&testnet.homes[rank], &[]);
        let key = key_of(&testnet.homes[rank]);
        let is_back = |view: &Value| {
            let place = (0..4).find(|place| view["members"][*place] == key.as_str());
            place.is_some_and(|place| view["incarnations"][place] == 2)
        };
        for member in &members {
            let view = member.view("the killed one is back", is_back);
            assert_eq!(size(&view), 4);
        }
        let took = began.elapsed();
        println!("{transport}: rank {rank} is back after {:.3} s", took.as_secs_f64());
        assert!(took < Duration::from_secs(10), "replaced at once: {took:?}");
        works(&mut members, &format!("after {rank}"));
    }
}

#[test]
fn killed_members_come_back_over_tcp() {
    killed_members_come_back("tcp");
}

#[test]
fn killed_members_come_back_over_udp() {
    killed_members_come_back("udp");
}

#[test]
fn who_is_not_authorised_is_told_why_and_counted() {
    let testnet = Testnet::with_newcomers(4, 1, "tcp");
    let mut members = start_all(&testnet, 4);
    // Another key than the one that they were told of.
    fs::remove_file(testnet.homes[4].join("key.pem")).unwrap();
    SecretKey::generate().unwrap().write(&testnet.homes[4].join("key.pem")).unwrap();
    testnet.edit(4, "member = ", "# member = ");
    let (code, _, stderr) = run(&["run", "--home", testnet.homes[4].to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("start with --join"), "{stderr}");
    let stranger = Member::start(&testnet.homes[4], &["--join"]);
    let mut refusals = BTreeSet::new();
    let end = Instant::now() + PATIENCE;
    while refusals.len() < 4 {
        assert!(Instant::now() < end, "{refusals:?}");
        let joining = stranger.next("joining", PATIENCE).unwrap();
        for refusal in joining["refusals"].as_array().unwrap() {
            assert_eq!(refusal["why"], "it is not authorised to join");
            refusals.insert(refusal["rank"].as_u64().unwrap());
        }
    }
    for member in &mut members {
        assert!(member.stats()["joins_refused"].as_u64().unwrap() > 0);
    }
    works(&mut members, "undisturbed");
}

#[test]
fn the_application_is_asked_and_answers() {
    let testnet = Testnet::with_newcomers(4, 1, "tcp");
    let key = key_of(&testnet.homes[4]);
    testnet.edit_all(&format!("joiners = [\"{key}\"]"), "joiners = \"ask\"");
    let mut members = start_all(&testnet, 4);
    let newcomer = Member::start(&testnet.homes[4], &["--join"]);
    for member in &members {
        let wanted = member.next("join_wanted", PATIENCE).unwrap();
        assert_eq!(
            (wanted["key"].as_str(), wanted["incarnation"].as_u64()),
            (Some(&*key), Some(1))
        );
        assert_eq!(wanted["address"], format!("127.0.0.1:{}", testnet.base_port + 4));
    }
    members[0].cast(&format!("/refuse {key}"));
    // One voice is not enough to let it in, two are.
    members[1].cast(&format!("/admit {key}"));
    assert!(newcomer.next("view", Duration::from_secs(2)).is_none());
    members[2].cast(&format!("/admit {key}"));
    newcomer.view("there are five", |view| size(view) == 5);
    members.push(newcomer);
    works(&mut members, "together");
}

#[test]
fn an_incarnation_below_the_one_in_the_view_is_refused_with_the_reason() {
    let testnet = Testnet::new(4, "tcp");
    let mut members = start_all(&testnet, 4);
    // Who has met nobody yet has used up no incarnation.
    works(&mut members, "before");
    for _ in 0..2 {
        members[3].child.kill().unwrap();
        members[3].child.wait().unwrap();
        members[3] = Member::start(&testnet.homes[3], &[]);
        members[3].next("view", PATIENCE).unwrap();
    }
    members[3].child.kill().unwrap();
    members[3].child.wait().unwrap();
    let state = testnet.homes[3].join("state");
    let find = |what: &str| {
        let mut files = fs::read_dir(&state).unwrap().map(|file| file.unwrap().path());
        files.find(|file| file.file_name().unwrap().to_str().unwrap().starts_with(what)).unwrap()
    };
    let record = fs::read_dir(&state).unwrap().map(|file| file.unwrap().path());
    let record = record.into_iter().find(|file| {
        let name = file.file_name().unwrap().to_str().unwrap();
        name.starts_with("incarnation-") && !name.contains('.')
    });
    let record = record.unwrap();
    assert_eq!(fs::read_to_string(&record).unwrap(), "3\n");
    // Set back, as from a copy of the disk, or lost: the group knows better, and it comes back above
    // all that was used.
    for is_lost in [false, true] {
        fs::remove_file(find("view-")).unwrap();
        if is_lost {
            fs::remove_file(&record).unwrap();
        } else {
            fs::write(&record, "1\n").unwrap();
        }
        members[3] = Member::start(&testnet.homes[3], if is_lost { &["--join"] } else { &[] });
        let used = if is_lost { 4 } else { 3 };
        assert_eq!(members[3].next("spent", PATIENCE).unwrap()["highest"], used);
        assert_eq!(members[3].next("comes_back", PATIENCE).unwrap()["incarnation"], used + 1);
        members[3].next("view", PATIENCE).unwrap();
        works(&mut members, if is_lost { "lost" } else { "set back" });
        members[3].child.kill().unwrap();
        members[3].child.wait().unwrap();
    }
    // Spoilt: it does not start at all, and says which file it is.
    for spoilt in ["three\n", "4"] {
        fs::write(&record, spoilt).unwrap();
        let (code, _, stderr) = run(&["run", "--home", testnet.homes[3].to_str().unwrap()]);
        assert_eq!(code, Some(1));
        assert!(stderr.contains(record.to_str().unwrap()), "{stderr}");
        assert!(stderr.contains("not a boot record"), "{stderr}");
    }
    members.truncate(3);
    works(&mut members, "without it");
}

#[test]
fn a_state_directory_that_cannot_be_written_is_told() {
    let testnet = Testnet::new(4, "tcp");
    let home = testnet.homes[0].to_str().unwrap();
    // Also for who may do everything.
    testnet.edit(0, "state = \"state\"", "state = \"/proc/no-such-state\"");
    let (code, _, stderr) = run(&["run", "--home", home]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("without its boot record this member must not start"), "{stderr}");
    let member = Member::start(&testnet.homes[1], &[]);
    assert!(member.next("view", PATIENCE).is_some());
    let (code, _, stderr) = run(&["run", "--home", testnet.homes[1].to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("another process runs with this state directory"), "{stderr}");
}

#[test]
fn who_is_put_out_by_opinion_comes_back_by_itself() {
    let testnet = Testnet::new(5, "tcp");
    let mut members = start_all(&testnet, 5);
    works(&mut members, "before");
    members[0].cast("/suspect 4");
    members[1].cast("/suspect 4");
    let out = members[4].next("excluded", PATIENCE).expect("it is removed");
    assert_eq!(out["why"], "opinion");
    assert_eq!(members[4].next("comes_back", PATIENCE).unwrap()["incarnation"], 2);
    for member in &members {
        member.view("it is back", |view| size(view) == 5 && view["incarnations"][4] == 2);
    }
    works(&mut members, "after");
    // Who is told to stay out does.
    members[4].child.kill().unwrap();
    members[4].child.wait().unwrap();
    testnet.edit(4, "rejoin = true", "rejoin = false");
    members[4] = Member::start(&testnet.homes[4], &[]);
    for member in &members {
        member.view("it is back", |view| size(view) == 5 && view["incarnations"][4] == 3);
    }
    members[2].cast("/suspect 4");
    members[3].cast("/suspect 4");
    assert!(members[4].next("excluded", PATIENCE).is_some());
    members[4].stdin = None;
    assert_eq!(members[4].child.wait().unwrap().code(), Some(4));
}
