//! The commands that need no network: keys, testnets, checks; and their exit codes.

mod support;

use std::fs;
use std::path::Path;
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
    assert!(stdout.contains("others can use"), "{stdout}");
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

/// A change to a file, and what is said of it by `check` and by `run`.
fn refused(file: &str, old: &str, new: &str, parts: &[&str]) {
    let testnet = Testnet::new(4, "tcp");
    let path = testnet.homes[0].join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(old), "{old}");
    let line = text[..text.find(old).unwrap()].matches('\n').count() + 1;
    fs::write(&path, text.replacen(old, new, 1)).unwrap();
    for command in ["check", "run"] {
        let (code, _, stderr) = run(&[command, "--home", testnet.homes[0].to_str().unwrap()]);
        assert_eq!(code, Some(1), "{command} with {new}: {stderr}");
        let place = format!("{}:{line}: ", Path::new(file).file_name().unwrap().to_str().unwrap());
        for part in parts.iter().chain([&place.as_str()]) {
            assert!(stderr.contains(part), "{command} with {new}: {part} is not in {stderr}");
        }
    }
}

#[test]
fn nonsense_in_a_file_is_refused_with_its_line_and_what_to_do() {
    let group = |old: &str, new: &str, parts: &[&str]| refused("../group.toml", old, new, parts);
    group("# pledge = 1 ", "pledge = 2 #", &["pledge: ", "4 members bear 1 liars", "lower it"]);
    for wrong in ["0", "18446744073709551615", "-1"] {
        group("incarnation = 1", &format!("incarnation = {wrong}"), &["incarnation: "]);
    }
    for (wrong, kind) in [
        ("224.0.0.1:7400", "which is multicast"),
        ("[ff02::1]:7400", "which is multicast"),
        ("255.255.255.255:7400", "which is broadcast"),
        ("0.0.0.0:7400", "which is unspecified"),
        ("[::]:7400", "which is unspecified"),
        ("[::ffff:0.0.0.0]:7400", "which is unspecified"),
        ("127.0.0.1:0", "port 0"),
    ] {
        let new = format!("address = \"{wrong}\" # ");
        group("address = ", &new, &["address: other members cannot send", kind, "give"]);
        if kind != "port 0" {
            let new = format!("address = \"{wrong}\" # ");
            refused("node.toml", "# address = ", &new, &["address: other members", kind]);
        }
    }
    refused("node.toml", "bind = ", "bind = \"224.0.0.1:7400\" # ", &["bind: ", "multicast"]);
    let (old, new) = ("# stable = \"100 ms\"", "stable = \"999 us\"");
    refused("node.toml", old, new, &["stable: ", "at least 1 ms"]);
    refused("node.toml", "member = \"alice\"", "member = \"zoe\"", &["no such member"]);
}

#[test]
fn the_key_of_another_member_is_refused() {
    let testnet = Testnet::new(4, "tcp");
    let (home, key) = (&testnet.homes[0], testnet.homes[0].join("key.pem"));
    fs::remove_file(&key).unwrap();
    fs::copy(testnet.homes[1].join("key.pem"), &key).unwrap();
    let told = |command| {
        let (code, _, stderr) = run(&[command, "--home", home.to_str().unwrap()]);
        assert_eq!(code, Some(1), "{stderr}");
        stderr
    };
    for command in ["check", "run"] {
        let stderr = told(command);
        assert!(
            stderr.contains("node.toml:4: key: the key in key.pem is that of bob, not of alice")
        );
        assert!(stderr.contains("copy the right key file here"), "{stderr}");
    }
    // A home that does not say whose it is listens at somebody's address.
    testnet.edit(0, "member = ", "# member = ");
    for command in ["check", "run"] {
        let stderr = told(command);
        assert!(stderr.contains("node.toml:5: bind: this is the address of alice"), "{stderr}");
    }
}

#[cfg(unix)]
#[test]
fn a_key_that_others_can_use_is_not_run_with() {
    use std::os::unix::fs::PermissionsExt;
    let testnet = Testnet::new(1, "tcp");
    let key = testnet.homes[0].join("key.pem");
    for mode in [0o604, 0o640, 0o660] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let (code, _, stderr) = run(&["run", "--home", testnet.homes[0].to_str().unwrap()]);
        assert_eq!(code, Some(1));
        assert!(stderr.contains("node.toml:4: key: others can use"), "{stderr}");
        assert!(stderr.contains("chmod 600"), "{stderr}");
    }
}

#[test]
fn what_is_damaged_in_the_state_directory_is_told() {
    let testnet = Testnet::new(4, "tcp");
    let (home, state) = (&testnet.homes[0], testnet.homes[0].join("state"));
    let group = phalanx_mio::config::Group::read(&testnet.group()).unwrap().genesis.group();
    let record = phalanx_mio::boot::record_path(&state, &group);
    let view = phalanx_mio::boot::ViewFile::new(&state, &group);
    fs::create_dir(&state).unwrap();
    for (file, text, what) in [
        (record.as_path(), "0\n", "incarnation 0 is none"),
        (&record, "18446744073709551615\n", "start with a new key"),
        (&record, "seven\n", "not a boot record"),
        (view.path(), "rubbish", "delete the file"),
        (view.path(), "", "not a view of this group"),
    ] {
        fs::write(file, text).unwrap();
        for command in ["check", "run"] {
            let (code, _, stderr) = run(&[command, "--home", home.to_str().unwrap()]);
            assert_eq!(code, Some(1), "{command}: {stderr}");
            let name = file.file_name().unwrap().to_str().unwrap();
            assert!(stderr.contains(name) && stderr.contains(what), "{command}: {stderr}");
        }
        fs::remove_file(file).unwrap();
    }
    // A state directory that cannot be used.
    fs::remove_dir_all(&state).unwrap();
    fs::write(&state, b"in the way").unwrap();
    for command in ["check", "run"] {
        let (code, _, stderr) = run(&[command, "--home", home.to_str().unwrap()]);
        assert_eq!(code, Some(1), "{command}: {stderr}");
        assert!(stderr.contains("/state"), "{command}: {stderr}");
    }
}
