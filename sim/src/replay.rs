//! Replays a trace, in two ways at once. Fresh nodes get the recorded inputs and nothing else, no
//! randomness, no network and no liars, and must produce the recorded outputs: that is about the
//! core. And the scenario of the first line is played again, with its liars and all oracles, and must
//! write the same trace, line by line, up to the hash and the verdict in the last one: that is about
//! everything else. Nothing that is reported is copied from the trace.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, BufRead, Lines, Write};
use std::rc::Rc;

use phalanx_core::{Input, Node, Order, Rank, Request, Ticket, Time};

use crate::TRACE_VERSION;
use crate::cluster::Group;
use crate::run::{self, Outcome};
use crate::scenario::Scenario;
use crate::trace::{
    First, Last, Step, decode_join, decode_reply, encode_output, from_hex, step_hash,
};

/// A trace that was replayed to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// How many steps it has.
    pub steps: u64,
    /// What came of playing it again: hash and verdict are those that it records.
    pub outcome: Outcome,
}

/// Why a trace does not replay.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It cannot be read.
    #[error("line {line}: {why}")]
    Read {
        /// Which line.
        line: usize,
        /// What the system says.
        why: io::Error,
    },
    /// It is no trace, of another version, or cut short.
    #[error("line {line}: not a trace of this version: {text}")]
    Broken {
        /// Which line.
        line: usize,
        /// What is wrong.
        text: String,
    },
    /// The nodes, given what is recorded, or the run, played again, come to something else.
    #[error("line {line}: diverges at step {}, member {} at {} us, input {}: {text}", .step.step, .step.rank, .step.at, .step.input)]
    Mismatch {
        /// Which line.
        line: usize,
        /// Where, as recorded.
        step: Box<Step>,
        /// How.
        text: String,
    },
    /// All steps are the same, but not what came of the run.
    #[error("line {line}: all steps replay, but {text}")]
    End {
        /// Which line.
        line: usize,
        /// What is recorded and what came of it.
        text: String,
    },
}

/// Replays the trace in `lines`.
///
/// # Errors
/// Where it first diverges, or if it is no trace.
pub fn replay(lines: impl BufRead + 'static) -> Result<Replayed, ReplayError> {
    let mut lines = lines.lines();
    let broken = |text: String| ReplayError::Broken { line: 1, text };
    let text = match lines.next() {
        None => return Err(broken("it is empty".to_owned())),
        Some(text) => text.map_err(|why| ReplayError::Read { line: 1, why })?,
    };
    let scenario = first(&text).map_err(broken)?;
    let group = Group::new(&scenario).map_err(|why| broken(why.to_string()))?;
    let player = Player { group, nodes: BTreeMap::new(), steps: 0 };
    let comparer = Comparer { lines, line: 0, first: Some(text), player, buffer: Vec::new() };
    let judge = Rc::new(RefCell::new(Judge { comparer, found: None }));
    let outcome = run::run(&scenario, Some(Box::new(Pen(Rc::clone(&judge)))));
    let mut judge = judge.borrow_mut();
    if let Some(error) = judge.found.take() {
        return Err(error);
    }
    let outcome = outcome.map_err(|why| broken(why.to_string()))?;
    let Judge { comparer, .. } = &mut *judge;
    let end = comparer.line + 1;
    if outcome.hash.is_empty() {
        let text =
            format!("it is cut short; played again, the run ends there: {}", outcome.verdict);
        return Err(ReplayError::Broken { line: end, text });
    }
    match comparer.lines.next() {
        None => Ok(Replayed { steps: comparer.player.steps, outcome }),
        Some(_) => {
            let text = "it goes on after the end of the run".to_owned();
            Err(ReplayError::Broken { line: end, text })
        }
    }
}

/// The scenario of the first line.
fn first(text: &str) -> Result<Scenario, String> {
    let first: First = serde_json::from_str(text).map_err(|why| why.to_string())?;
    if first.version != TRACE_VERSION {
        return Err(format!("version {}, not {TRACE_VERSION}", first.version));
    }
    if first.seed != first.scenario.seed {
        return Err(format!("seed {}, but {} in the scenario", first.seed, first.scenario.seed));
    }
    first.scenario.validate().map_err(|(key, why)| format!("{key}: {why}"))?;
    Ok(first.scenario)
}

/// Compares what the run writes with what is recorded, and remembers the first difference.
struct Judge<R> {
    comparer: Comparer<R>,
    found: Option<ReplayError>,
}

/// What the recorder of the run writes to.
struct Pen<R>(Rc<RefCell<Judge<R>>>);

impl<R: BufRead> Write for Pen<R> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut judge = self.0.borrow_mut();
        for byte in bytes {
            if *byte != b'\n' {
                judge.comparer.buffer.push(*byte);
                continue;
            }
            let written = std::mem::take(&mut judge.comparer.buffer);
            if let Err(error) = judge.comparer.line(&written) {
                judge.found = Some(error);
                // The run ends, for its trace cannot be written.
                return Err(io::Error::other("the trace diverges"));
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Comparer<R> {
    lines: Lines<R>,
    /// How many were compared.
    line: usize,
    first: Option<String>,
    player: Player,
    /// What was written of the present line.
    buffer: Vec<u8>,
}

impl<R: BufRead> Comparer<R> {
    /// The run has written this line, without its end.
    fn line(&mut self, written: &[u8]) -> Result<(), ReplayError> {
        self.line += 1;
        let line = self.line;
        let broken = |text: &str| ReplayError::Broken { line, text: text.to_owned() };
        if let Some(first) = self.first.take() {
            let is_same = first.as_bytes() == written;
            return is_same.then_some(()).ok_or_else(|| broken("not as a trace is written"));
        }
        let recorded = match self.lines.next() {
            None => return Err(broken("it is cut short")),
            Some(text) => text.map_err(|why| ReplayError::Read { line, why })?,
        };
        if let Ok(last) = serde_json::from_str::<Last>(&recorded) {
            return self.last(&last, &recorded, written);
        }
        let step: Step = serde_json::from_str(&recorded).map_err(|why| broken(&why.to_string()))?;
        self.player.step(&step).map_err(|wrong| match wrong {
            Wrong::Broken(text) => broken(&text),
            Wrong::Mismatch(text) => {
                ReplayError::Mismatch { line, step: Box::new(step.clone()), text }
            }
        })?;
        if recorded.as_bytes() == written {
            return Ok(());
        }
        let text = difference(&step, written);
        Err(ReplayError::Mismatch { line, step: Box::new(step), text })
    }

    fn last(&self, last: &Last, recorded: &str, written: &[u8]) -> Result<(), ReplayError> {
        let line = self.line;
        let Ok(again) = serde_json::from_slice::<Last>(written) else {
            let text = "it is cut short: the run goes on".to_owned();
            return Err(ReplayError::Broken { line, text });
        };
        let text = if last.hash != again.hash {
            format!("the hash is {}, not {}", again.hash, last.hash)
        } else if last.verdict != again.verdict {
            format!("the verdict is {}, not {}", again.verdict, last.verdict)
        } else if last.steps != again.steps {
            format!("there are {} steps, not {}", again.steps, last.steps)
        } else if recorded.as_bytes() != written {
            "the last line is not as it is written".to_owned()
        } else {
            return Ok(());
        };
        Err(ReplayError::End { line, text })
    }
}

/// In what a recorded step differs from the same one of the run, as that was written.
fn difference(step: &Step, written: &[u8]) -> String {
    let Ok(again) = serde_json::from_slice::<Step>(written) else {
        return "the run is over there".to_owned();
    };
    let names = [
        ("step", step.step == again.step),
        ("at", step.at == again.at),
        ("rank", step.rank == again.rank),
        ("input", step.input == again.input),
        ("ticket", step.ticket == again.ticket),
        ("bytes", step.bytes == again.bytes),
        ("outputs", step.outputs == again.outputs),
        ("hash", step.hash == again.hash),
        ("events", step.events == again.events),
    ];
    let other: Vec<&str> = names.iter().filter(|(_, same)| !same).map(|(name, _)| *name).collect();
    if other.is_empty() {
        return "the line is not as it is written".to_owned();
    }
    let (at, rank, input) = (again.at, again.rank, &again.input);
    format!(
        "played again, the run has another {} there (member {rank} at {at} us, input {input})",
        other.join(", ")
    )
}

/// The nodes of a replay.
struct Player {
    group: Group,
    nodes: BTreeMap<u16, Node>,
    steps: u64,
}

enum Wrong {
    Broken(String),
    Mismatch(String),
}

impl Player {
    fn step(&mut self, step: &Step) -> Result<(), Wrong> {
        let broken = |text: &str| Wrong::Broken(text.to_owned());
        if step.step != self.steps {
            return Err(Wrong::Broken(format!("step {} where {} is due", step.step, self.steps)));
        }
        self.steps += 1;
        let now = Time::from_micros(step.at);
        let mut outputs = Vec::new();
        let mut count = 0;
        if step.input == "boot" {
            if usize::from(step.rank) >= self.group.genesis.members.len() {
                return Err(broken("a rank that the group does not have"));
            }
            let node = self.group.node(step.rank, now);
            let node = node.map_err(|why| Wrong::Broken(why.to_string()))?;
            self.nodes.insert(step.rank, node);
        } else if step.input == "join" {
            let told = from_hex(&step.bytes).and_then(|bytes| decode_join(&bytes));
            let (host, incarnation, contacts) =
                told.ok_or_else(|| broken("a process that joins is told nothing"))?;
            if contacts.iter().chain([&host]).any(|host| *host >= self.group.hosts()) {
                return Err(broken("a host that the group does not have"));
            }
            let node = self.group.joiner(host, incarnation, &contacts, now);
            let node = node.map_err(|why| Wrong::Broken(why.to_string()))?;
            self.nodes.insert(step.rank, node);
        } else {
            let node = self.nodes.get_mut(&step.rank);
            let node = node.ok_or_else(|| broken("a step of a member that did not start"))?;
            let bytes = from_hex(&step.bytes).ok_or_else(|| broken("bytes are not hexadecimal"))?;
            let ticket = Ticket(step.ticket.unwrap_or(0));
            let cast = |order| Input::Request(ticket, Request::Cast { order, payload: &bytes });
            let reply = decode_reply(&step.input, &bytes);
            let input = match step.input.as_str() {
                "frame" => Input::Frame(&bytes),
                "tick" => Input::Tick,
                "fifo" => cast(Order::Fifo),
                "total" => cast(Order::Total),
                "snapshot" | "chunk" => {
                    let reply = reply.as_ref().ok_or_else(|| broken("nothing is handed over"))?;
                    Input::Request(ticket, reply.request())
                }
                "leave" => Input::Request(ticket, Request::Leave),
                "suspect" => {
                    let rank = <[u8; 2]>::try_from(&bytes[..]);
                    let rank = rank.map_err(|_| broken("a suspicion of no rank"))?;
                    let member = Rank::new(u16::from_le_bytes(rank));
                    Input::Request(ticket, Request::Suspect { member })
                }
                _ => return Err(broken("an input of unknown kind")),
            };
            for output in node.step(now, input) {
                count += 1;
                encode_output(&output, &mut outputs);
            }
        }
        if count != step.outputs {
            let text = format!("{count} outputs, {} recorded", step.outputs);
            return Err(Wrong::Mismatch(text));
        }
        if step_hash(&outputs) != step.hash {
            return Err(Wrong::Mismatch("the outputs differ in content".to_owned()));
        }
        Ok(())
    }
}
