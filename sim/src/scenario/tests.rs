use super::*;

fn error(text: &str) -> String {
    Scenario::parse("x.toml", text).unwrap_err().to_string()
}

#[test]
fn what_is_written_reads_back() {
    let mut scenario = Scenario::calm("full", 4, 9);
    scenario.heal_at_us = 2_000_000;
    let (from, to) = (vec![0], vec![1, 2]);
    let cut = Partition { from, to, both: true, from_us: 5, until_us: 9 };
    scenario.partitions.push(cut);
    scenario.crashes.push(Crash { rank: 3, at_casts: Some(7), ..Crash::default() });
    scenario.pauses.push(Pause { rank: 1, at_us: 3, for_us: 10 });
    scenario.expect.suspects = vec![3];
    let after = Signal { sent: Some(Kind::Ack), count: Some(3), ..Signal::default() };
    let (by, of) = (vec![0, 2], vec![1]);
    scenario.suspects.push(Suspect { by, of, at_us: None, after: Some(after.clone()) });
    scenario.frame_max = phalanx_core::Config::FRAME_MAX;
    let (kinds, from) = (vec![Kind::Ready, Kind::Haves], vec![0]);
    let rule = Rule { kinds, from, after: Some(after), fate: Fate::Hold, ..Rule::default() };
    scenario.rules.push(rule);
    scenario.expect.removed = vec![1];
    scenario.membership = Membership::Managed;
    scenario.joins.push(Join { count: 2, every_us: 9, stay_us: Some(8), ..Join::at(4) });
    scenario.leaves.push(Leave { rank: 5, at_us: 9 });
    scenario.restarts.push(Restart { rank: 0, at_us: 6, down_us: 2 });
    scenario.rejoin = true;
    (scenario.state_transfer, scenario.state_bytes) = (true, 200_000);
    (scenario.state_delay_us, scenario.join_buffer) = (5_000, Some(100_000));
    scenario.expect.never = vec![4];
    scenario.expect.marks = vec!["removed".to_owned()];
    assert_eq!((scenario.hosts(), scenario.newcomers()[1].at_us), (6, 13));
    let text = scenario.to_toml();
    assert_eq!(Scenario::parse("x.toml", &text).unwrap(), scenario);
}

#[test]
fn unknown_fields_are_refused_with_line_and_key() {
    let text = error("name = \"x\"\nmembers = 4\nmembres = 5\n");
    assert!(text.starts_with("x.toml: "), "{text}");
    assert!(text.contains("line 3") && text.contains("membres"), "{text}");
    let text = error("name = \"x\"\nmembers = 4\n[network]\nlos = 5\n");
    assert!(text.contains("line 4") && text.contains("los"), "{text}");
}

#[test]
fn membership_is_fixed_unless_said_and_reads_back() {
    let fixed = Scenario::calm("x", 4, 1);
    assert!(fixed.membership.is_fixed() && !fixed.to_toml().contains("membership"));
    let text = "name = \"x\"\nmembers = 4\nmembership = \"managed\"\npledge = 0\n";
    let managed = Scenario::parse("x.toml", text).unwrap();
    assert_eq!((managed.membership, managed.pledge), (Membership::Managed, Some(0)));
    assert_eq!(Scenario::parse("x.toml", &managed.to_toml()).unwrap(), managed);
    let text = error("name = \"x\"\nmembers = 4\npledge = 0\n");
    assert_eq!(text, "x.toml:3: pledge: only a managed group has one");
}

#[test]
fn nonsense_is_refused_with_line_and_key() {
    let four = "name = \"x\"\nmembers = 4\n";
    let lies = "strategy = \"twins\"\n";
    let text = error(&format!("{four}[liars]\nranks = [2, 2]\n{lies}"));
    assert_eq!(text, "x.toml:4: ranks: rank 2 stands there twice");
    let text = error(&format!("{four}[liars]\nranks = []\n{lies}"));
    assert_eq!(text, "x.toml:4: ranks: there are no liars; leave the table out");
    let text = error(&format!("{four}[liars]\nranks = [2]\n{lies}victims = [1, 0, 1]\n"));
    assert_eq!(text, "x.toml:6: victims: rank 1 stands there twice");
    let text = error(&format!("{four}[liars]\nranks = [0, 1, 2, 3]\n{lies}"));
    assert_eq!(text, "x.toml:4: ranks: nobody is left that is correct and stays");
    let crash = "[[crash]]\nrank = 1\nat_us = 5\n";
    let text = error(&format!("{four}{crash}{crash}"));
    assert_eq!(text, "x.toml:3: crash: rank 1 does so twice, which happens once");
    let text = error(&format!("{four}[[suspect]]\nby = [0, 1, 0]\nof = [2]\nat_us = 1\n"));
    assert_eq!(text, "x.toml:4: by: rank 0 stands there twice");
    let text = error(&format!("{four}[expect]\nremoved = [1]\nkept = [0, 1]\n"));
    assert_eq!(text, "x.toml:5: kept: rank 1 is to be removed, too");
    let text = error(&format!("{four}[expect]\nviews = 3\nviews_max = 2\n"));
    assert!(text.starts_with("x.toml:5: views_max: is less"), "{text}");
    let text = error(&format!("{four}[expect]\nfires = true\n"));
    assert_eq!(text, "x.toml:4: fires: there are no liars");
    let text = error(&format!("{four}[expect]\nproof_against = [1]\n"));
    assert!(text.starts_with("x.toml:4: proof_against: rank 1 is no liar"), "{text}");
    let text = error(&format!("{four}bound_us = 900000000000000\n"));
    assert!(text.starts_with("x.toml:3: bound_us: 900000000000000 us is later"), "{text}");
    let managed = format!("{four}membership = \"managed\"\n");
    let text =
        error(&format!("{managed}[[join]]\nat_us = 1\ncount = 3\nevery_us = {}\n", i64::MAX));
    assert!(text.starts_with("x.toml:4: join: "), "{text}");
}

#[test]
fn wrong_values_are_refused_with_line_and_key() {
    let text = error("name = \"x\"\nmembers = 4\n[network]\nloss_permille = 1200\n");
    assert_eq!(text, "x.toml:4: loss_permille: 1200 is more than 1000");
    let text = error("name = \"x\"\nmembers = 4\n[[crash]]\nrank = 4\nat_us = 1\n");
    assert_eq!(text, "x.toml:4: rank: there is no rank 4 among 4 members");
    let text = error("name = \"x\"\nmembers = 4\n[[crash]]\nrank = 3\n");
    assert_eq!(text, "x.toml:3: crash: needs exactly one of at_us, at_casts and after");
    let text = error("name = \"x\"\nmembers = 4\n[liars]\nranks = [1]\nstrategy = \"no\"\n");
    assert!(text.starts_with("x.toml:5: strategy: there is no strategy `no`"), "{text}");
    let text = error("name = \"x\"\nmembers = 4\n[[join]]\nat_us = 4\n");
    assert!(text.starts_with("x.toml:3: join: only"), "{text}");
    let managed = "name = \"x\"\nmembers = 4\nmembership = \"managed\"\n";
    let text = error(&format!("{managed}[[join]]\nat_us = 4\ncount = 10\n"));
    assert!(text.starts_with("x.toml:4: join: "), "{text}");
    let text = error("name = \"x\"\nmembers = 4\nstate_transfer = true\n");
    assert!(text.starts_with("x.toml:3: state_transfer: only"), "{text}");
    let text = error(&format!("{managed}state_bytes = 9\n"));
    assert!(text.starts_with("x.toml:4: state_bytes: only"), "{text}");
    let text = error(&format!("{managed}[[leave]]\nat_us = 4\nrank = 4\n"));
    assert_eq!(text, "x.toml:6: rank: there is no rank 4 among 4 members");
    let text = error(&format!("{managed}[expect]\nmarks = [\"no\"]\n"));
    assert_eq!(text, "x.toml:5: marks: there is no mark `no`");
}
