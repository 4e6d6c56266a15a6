//! A replicated state machine: numbers are added up, in one order, at every member; who joins or
//! comes back is handed the sum.
//!
//! ```sh
//! phalanx-node testnet --members 4 --newcomers 1 --state-transfer --out sums
//! cargo run --example replicated_counter -- sums/alice   # type numbers; and bob, carol, dave
//! cargo run --example replicated_counter -- sums/erin    # later: it begins with the sum so far
//! ```

use std::error::Error;
use std::io::{self, BufRead};
use std::path::Path;
use std::time::Duration;

use phalanx_core::{Event, Order, Refusal};
use phalanx_mio::config::Home;
use phalanx_mio::{Notice, Runtime, Snapshot, StartOptions};

/// The state: what all numbers so far have made. A pure function of them, in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counter {
    /// How many numbers there were.
    pub(crate) count: u64,
    /// Their sum, the one before times three each time: it depends on the order.
    pub(crate) sum: u64,
}

impl Counter {
    fn apply(&mut self, payload: &[u8]) {
        // What is no number counts as nothing, at every member alike.
        let number = payload.try_into().map_or(0, u64::from_le_bytes);
        self.count += 1;
        self.sum = self.sum.wrapping_mul(3).wrapping_add(number);
    }

    fn to_bytes(self) -> Vec<u8> {
        [self.count.to_le_bytes(), self.sum.to_le_bytes()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (count, sum) = bytes.split_first_chunk::<8>()?;
        Some(Self {
            count: u64::from_le_bytes(*count),
            sum: u64::from_le_bytes(sum.try_into().ok()?),
        })
    }
}

/// One replica.
#[derive(Debug)]
pub(crate) struct Replica {
    runtime: Runtime,
    state: Counter,
    /// Whether it has the state; who joins gets it first.
    has_state: bool,
    arriving: Vec<u8>,
}

impl Replica {
    /// Starts the replica with this home.
    ///
    /// # Errors
    /// If it cannot start.
    pub(crate) fn start(home: &Path) -> Result<Self, Box<dyn Error>> {
        let home = Home::read(home)?;
        let options = StartOptions { joins: home.rank.is_none(), ..StartOptions::default() };
        let runtime = home.start(options)?;
        Ok(Self { has_state: false, runtime, state: Counter::default(), arriving: Vec::new() })
    }

    /// The state, once it is there.
    #[must_use]
    pub(crate) fn state(&self) -> Option<Counter> {
        self.has_state.then_some(self.state)
    }

    /// Adds a number, everywhere.
    ///
    /// # Errors
    /// If it is refused: for now if the queue is full or this process is no member yet.
    pub(crate) fn add(&mut self, number: u64) -> Result<(), Refusal> {
        self.runtime.cast(Order::Total, &number.to_le_bytes()).map(|_| ())
    }

    /// Does what there is to do, waiting at most so long for something.
    ///
    /// # Errors
    /// If the system fails it.
    pub(crate) fn turn(&mut self, wait: Duration) -> Result<(), Box<dyn Error>> {
        self.runtime.turn(Some(wait))?;
        while let Some(notice) = self.runtime.next_notice() {
            let Notice::Event(event) = notice else { continue };
            match event {
                // It was there from the beginning.
                Event::View(view) if view.number == 0 => self.has_state = true,
                Event::Cast { payload, .. } => self.state.apply(&payload),
                Event::SnapshotWanted { view } => {
                    self.runtime.offer(view, Snapshot::Bytes(self.state.to_bytes().into()))?;
                }
                Event::StateLost | Event::Excluded { .. } => {
                    self.has_state = false;
                    self.arriving.clear();
                }
                Event::State { offset, bytes, .. } => {
                    if offset == 0 {
                        self.arriving.clear();
                    }
                    self.arriving.extend(bytes);
                }
                Event::StateLoaded { .. } => {
                    let state = Counter::from_bytes(&std::mem::take(&mut self.arriving));
                    self.state = state.ok_or("what was handed over is no counter")?;
                    self.has_state = true;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[allow(dead_code, reason = "the tests run the rest of this file")]
fn main() -> Result<(), Box<dyn Error>> {
    let home = std::env::args().nth(1).ok_or("usage: replicated_counter HOME")?;
    let mut replica = Replica::start(Path::new(&home))?;
    let (sender, numbers) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            match line.trim().parse::<u64>() {
                Ok(number) if sender.send(number).is_err() => return,
                Ok(_) => {}
                Err(why) => eprintln!("{why}"),
            }
        }
    });
    let mut shown = None;
    loop {
        replica.turn(Duration::from_millis(100))?;
        if replica.state().is_some()
            && let Ok(number) = numbers.try_recv()
            && let Err(why) = replica.add(number)
        {
            eprintln!("{number} was not added: {why}");
        }
        let state = replica.state();
        if state.is_some() && state != shown {
            println!("{state:?}");
            shown = state;
        }
    }
}
