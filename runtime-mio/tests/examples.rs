//! The examples do what they show.

mod support;

#[path = "../examples/chat.rs"]
mod chat;
#[path = "../examples/replicated_counter.rs"]
mod replicated_counter;

use std::io::{BufReader, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use replicated_counter::{Counter, Replica};
use support::{PATIENCE, Testnet};

/// A screen that the test looks at.
#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Screen {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[test]
fn all_in_the_room_read_the_same() {
    let testnet = Testnet::new(4, "tcp");
    let mut keyboards = Vec::new();
    let mut screens = Vec::new();
    let mut people = Vec::new();
    for home in &testnet.homes {
        let (reader, writer) = std::io::pipe().unwrap();
        let screen = Screen::default();
        keyboards.push(writer);
        screens.push(screen.clone());
        let home = home.clone();
        people.push(std::thread::spawn(move || {
            chat::chat(&home, BufReader::new(reader), screen).unwrap();
        }));
    }
    for (i, keyboard) in keyboards.iter_mut().enumerate() {
        writeln!(keyboard, "hello from {i}").unwrap();
    }
    let lines = |screen: &Screen| -> Vec<String> {
        screen.text().lines().filter(|line| !line.starts_with('*')).map(str::to_owned).collect()
    };
    let end = Instant::now() + PATIENCE;
    while screens.iter().any(|screen| lines(screen).len() < 4) {
        assert!(Instant::now() < end, "{:?}", screens.iter().map(Screen::text).collect::<Vec<_>>());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(screens[0].text().starts_with("* here are: alice, bob, carol, dave\n"));
    assert!(lines(&screens[0]).contains(&"bob: hello from 1".to_owned()));
    assert!(screens.iter().all(|screen| lines(screen) == lines(&screens[0])));
    drop(keyboards);
    people.into_iter().for_each(|person| person.join().unwrap());
}

#[test]
fn replicas_agree_and_a_newcomer_begins_with_the_sum() {
    let testnet = Testnet::with(4, 1, "tcp", &["--state-transfer"]);
    let start = |home: &std::path::PathBuf| Replica::start(home).unwrap();
    let mut replicas: Vec<Replica> = testnet.homes[..4].iter().map(start).collect();
    let until = |replicas: &mut Vec<Replica>, what: &str, is_so: &dyn Fn(&[Replica]) -> bool| {
        let end = Instant::now() + PATIENCE;
        while !is_so(replicas) {
            assert!(Instant::now() < end, "{what}");
            replicas.iter_mut().for_each(|one| one.turn(Duration::from_millis(1)).unwrap());
        }
    };
    let has = |count: u64| {
        move |replicas: &[Replica]| {
            let counts = |one: &Replica| one.state().map(|state| state.count) == Some(count);
            replicas.iter().all(counts)
        }
    };
    for number in 0..40_u64 {
        replicas[usize::try_from(number % 4).unwrap()].add(number).unwrap();
    }
    until(&mut replicas, "all have 40", &has(40));
    replicas.push(start(&testnet.homes[4]));
    until(&mut replicas, "the newcomer has the sum", &has(40));
    for replica in &mut replicas {
        replica.add(1_000).unwrap();
    }
    until(&mut replicas, "all have 45", &has(45));
    let states: Vec<Option<Counter>> = replicas.iter().map(Replica::state).collect();
    assert!(states.iter().all(|state| *state == states[0]), "{states:?}");
}
