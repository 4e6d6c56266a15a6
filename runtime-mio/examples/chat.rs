//! A chat room without a server: whoever reads along sees the same lines in the same order.
//!
//! ```sh
//! phalanx-node testnet --members 4 --newcomers 1 --out room
//! cargo run --example chat -- room/alice       # and bob, carol, dave, each in a terminal
//! cargo run --example chat -- room/erin        # later: it joins
//! ```

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use phalanx_core::{Event, Order as CastOrder, PublicKey};
use phalanx_mio::config::Home;
use phalanx_mio::{Notice, StartOptions};

/// Runs one participant until its input ends; what happens is written to `out`.
///
/// # Errors
/// If it cannot start or go on.
pub(crate) fn chat(
    home: &Path,
    input: impl BufRead + Send + 'static,
    mut out: impl Write,
) -> Result<(), Box<dyn Error>> {
    let home = Home::read(home)?;
    // Whose key is not in the group file asks to be taken in.
    let options = StartOptions { joins: home.rank.is_none(), ..StartOptions::default() };
    let mut runtime = home.start(options)?;
    let (handle, typed) = (runtime.handle(), Arc::new(AtomicU64::new(0)));
    let count = Arc::clone(&typed);
    let typist = thread::spawn(move || {
        for line in input.lines().map_while(Result::ok) {
            count.fetch_add(1, Ordering::Release);
            if handle.cast(CastOrder::Total, line.into_bytes()).is_err() {
                return;
            }
        }
        handle.wake();
    });
    let mut members: Vec<PublicKey> = Vec::new();
    let mut done = 0;
    while !typist.is_finished() || done < typed.load(Ordering::Acquire) {
        runtime.turn(Some(Duration::from_millis(100)))?;
        while let Some(notice) = runtime.next_notice() {
            match notice {
                Notice::Event(Event::View(view)) => {
                    members = view.members.iter().map(|member| member.key).collect();
                    let names: Vec<String> =
                        members.iter().map(|key| home.group.name_of(key)).collect();
                    writeln!(out, "* here are: {}", names.join(", "))?;
                }
                Notice::Event(Event::Refused(_, why)) => {
                    done += 1;
                    writeln!(out, "* a line was refused: {why}")?;
                }
                Notice::Event(Event::Cast { sender, payload, own_ticket, .. }) => {
                    done += u64::from(own_ticket.is_some());
                    let key = members.get(sender.index());
                    let name = key.map_or_else(|| "?".to_owned(), |key| home.group.name_of(key));
                    writeln!(out, "{name}: {}", String::from_utf8_lossy(&payload))?;
                }
                Notice::Event(Event::Excluded { lost, .. }) => {
                    done += u64::try_from(lost.len())?;
                    writeln!(out, "* out of the room; {} lines were not heard", lost.len())?;
                }
                Notice::Fault(fault) => {
                    writeln!(out, "* {} lies", home.group.name_of(&fault.key))?;
                }
                _ => {}
            }
        }
        out.flush()?;
    }
    Ok(())
}

#[allow(dead_code, reason = "the tests run the rest of this file")]
fn main() -> Result<(), Box<dyn Error>> {
    let home = std::env::args().nth(1).ok_or("usage: chat HOME")?;
    chat(Path::new(&home), io::BufReader::new(io::stdin()), io::stdout())
}
