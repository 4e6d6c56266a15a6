//! The demo passes when all is as promised, and fails when it is not.

mod support;

use support::run;

/// A short demo on slow machines: what it finds does not depend on how long it takes.
fn demo(options: &[&str]) -> (Option<i32>, String) {
    let mut args = vec!["demo", "--secs", "6", "--rate", "50"];
    args.extend(options);
    let (code, stdout, stderr) = run(&args);
    (code, stdout + &stderr)
}

#[test]
fn the_demo_proves_the_liar_guilty_over_tcp() {
    let dir = tempfile::tempdir().unwrap();
    let keep = dir.path().join("keep");
    let (code, out) = demo(&["--keep", keep.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("hold a proof against dave: mutant message"), "{out}");
    assert!(out.contains("-dave (proof: mutant message)"), "{out}");
    assert!(out.contains("ok    dave is expelled by proof"), "{out}");
    assert!(out.contains("installed the same chain of"), "{out}");
    assert!(out.contains("-carol (opinion: "), "{out}");
    assert!(out.contains("+carol (incarnation 2)") && out.contains("+erin"), "{out}");
    for who in ["carol, who was killed, joined as incarnation 2 with the state", "erin, who was no"]
    {
        assert!(out.contains(&format!("ok    {who}")), "{out}");
    }
    assert!(out.contains("ok    they ended with the same state"), "{out}");
    let (proof, group) = (keep.join("liar.proof"), keep.join("group.toml"));
    let verify = |proof: &std::path::Path| {
        let group = group.to_str().unwrap();
        run(&["evidence", "verify", proof.to_str().unwrap(), "--group", group])
    };
    let (code, out, _) = verify(&proof);
    assert_eq!(code, Some(0));
    assert!(out.contains("rank 3 (dave) is proven guilty: mutant message"), "{out}");
    let mut bytes = std::fs::read(&proof).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let spoilt = keep.join("spoilt.proof");
    std::fs::write(&spoilt, bytes).unwrap();
    std::fs::copy(keep.join("liar.view"), keep.join("spoilt.view")).unwrap();
    assert_eq!(verify(&spoilt).0, Some(1));
}

#[test]
fn the_demo_proves_the_liar_guilty_over_udp() {
    let (code, out) = demo(&["--transport", "udp"]);
    assert_eq!(code, Some(0), "{out}");
}

#[test]
fn without_a_liar_there_is_no_proof() {
    let (code, out) = demo(&["--honest"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(!out.contains("holds a proof"), "{out}");
}

#[test]
fn the_demo_fails_when_the_mutants_are_lost() {
    let (code, out) = demo(&["--drop-mutants"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("FAILED") && out.contains("no proof against dave"), "{out}");
}

#[test]
fn the_demo_fails_when_a_sequence_is_altered() {
    let (code, out) = demo(&["--alter", "1"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("FAILED") && out.contains("different sequences"), "{out}");
}

#[test]
fn the_demo_fails_when_a_state_is_wrong() {
    let (code, out) = demo(&["--alter-state", "0"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("different states") || out.contains("differ on the state"), "{out}");
}

#[test]
fn the_demo_fails_when_chains_of_views_differ() {
    let (code, out) = demo(&["--alter-views", "1"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("alice and bob installed different chains of views"), "{out}");
}

#[test]
fn seven_bear_a_crash_and_a_liar_at_once() {
    let (code, out) = demo(&["--members", "7"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("-grace (proof: mutant message)"), "{out}");
    assert!(out.contains("ok    frank, who was killed, was"), "{out}");
    assert!(out.contains("ok    frank, who was killed, joined as incarnation 2"), "{out}");
    assert!(out.contains("ok    heidi, who was no member before, joined"), "{out}");
}
