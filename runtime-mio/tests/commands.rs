//! The commands that need no network: keys, testnets, checks; and their exit codes.

mod support;

use std::fs;
use std::process::Command;

use support::{Testnet, run};

#[test]
fn a_key_is_private_readable_by_openssl_and_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key.pem");
    let file = path.to_str().unwrap();
    let (code, public, _) = run(&["keygen", "--out", file]);
    assert_eq!((code, public.trim().len()), (Some(0), 64));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(run(&["pubkey", file]), (Some(0), public.clone(), String::new()));
    let before = fs::read(&path).unwrap();
    let (code, _, stderr) = run(&["keygen", "--out", file]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("not overwritten"), "{stderr}");
    assert_eq!(fs::read(&path).unwrap(), before);
    match Command::new("openssl").args(["pkey", "-noout", "-text", "-in", file]).output() {
        Ok(output) => {
            assert!(output.status.success());
            let text = String::from_utf8(output.stdout).unwrap();
            let digits: String =
                text.split("pub:").nth(1).unwrap().split([':', ' ', '\n']).collect();
            assert_eq!(digits, public.trim());
        }
        Err(why) => eprintln!("SKIPPED: openssl cannot be run here: {why}"),
    }
}

#[test]
fn a_key_made_by_openssl_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key.pem");
    let file = path.to_str().unwrap();
    match Command::new("openssl").args(["genpkey", "-algorithm", "ed25519", "-out", file]).output()
    {
        Ok(output) => {
            assert!(output.status.success());
            let (code, public, _) = run(&["pubkey", file]);
            assert_eq!((code, public.trim().len()), (Some(0), 64));
        }
        Err(why) => eprintln!("SKIPPED: openssl cannot be run here: {why}"),
    }
}

#[test]
fn check_says_what_the_group_bears_and_what_is_weak() {
    for (members, line, weakness) in [
        (1, "n=1 f=0 q=1  [alice*]", Some("tolerates nothing")),
        (3, "n=3 f=0 q=2  [alice* bob carol]", Some("one crash and no liar")),
        (4, "n=4 f=1 q=3  [alice* bob carol dave]", None),
        (5, "n=5 f=1 q=4", Some("n = 5 tolerates 1 as n = 4 does")),
    ] {
        let testnet = Testnet::new(members, "udp");
        let (code, stdout, stderr) = run(&["check", "--home", testnet.homes[0].to_str().unwrap()]);
        assert_eq!(code, Some(0), "{stderr}");
        assert!(stdout.contains(line) && stdout.contains("udp"), "{stdout}");
        assert!(stdout.contains("membership managed"), "{stdout}");
        let pledge = format!("pledge     {} liars", (members - 1) / 3);
        assert!(stdout.contains(&pledge), "{stdout}");
        let found = stdout.lines().find(|line| line.contains("tolerates"));
        assert_eq!(found.is_some(), weakness.is_some(), "{stdout}");
        assert!(found.unwrap_or_default().contains(weakness.unwrap_or_default()), "{stdout}");
    }
}

#[cfg(unix)]
#[test]
fn check_warns_of_a_key_that_others_can_read() {
    use std::os::unix::fs::PermissionsExt;
    let testnet = Testnet::new(4, "tcp");
    let key = testnet.homes[1].join("key.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let (_, stdout, _) = run(&["check", "--home", testnet.homes[1].to_str().unwrap()]);
    assert!(stdout.contains("others can read"), "{stdout}");
}

#[test]
fn wrong_configuration_is_an_error_with_file_and_line() {
    let testnet = Testnet::new(4, "tcp");
    let group = fs::read_to_string(testnet.group()).unwrap();
    fs::write(testnet.group(), group.replacen("address", "adress", 1)).unwrap();
    let (code, _, stderr) = run(&["check", "--home", testnet.homes[0].to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(
        stderr.contains("group.toml:") && stderr.contains("did you mean `address`?"),
        "{stderr}"
    );
}

#[test]
fn a_testnet_needs_an_empty_directory() {
    let testnet = Testnet::new(4, "tcp");
    let out = testnet.dir.path().join("net");
    let (code, _, stderr) = run(&["testnet", "--members", "4", "--out", out.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("not empty"), "{stderr}");
}

#[test]
fn wrong_usage_is_told_apart_from_errors() {
    assert_eq!(run(&["testnet", "--members", "0", "--out", "x"]).0, Some(2));
    assert_eq!(run(&["no-such-command"]).0, Some(2));
    assert_eq!(run(&[]).0, Some(2));
    assert_eq!(run(&["check", "--home", "no-such-home"]).0, Some(1));
    let (code, help, _) = run(&["--help"]);
    assert_eq!(code, Some(0));
    assert!(help.contains("4 this member has left the group"), "{help}");
}

#[test]
fn bytes_that_are_no_proof_prove_nothing() {
    let testnet = Testnet::new(4, "tcp");
    let file = testnet.dir.path().join("x.proof");
    fs::write(&file, b"guilty").unwrap();
    let group = testnet.group();
    let args = ["evidence", "verify", file.to_str().unwrap(), "--group", group.to_str().unwrap()];
    let (code, _, stderr) = run(&args);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("no proof"), "{stderr}");
}
