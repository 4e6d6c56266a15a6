//! Replays a trace: fresh nodes get the recorded inputs and nothing else, no randomness, no network
//! and no liars, and must produce the recorded outputs.

use std::collections::BTreeMap;
use std::io::BufRead;

use phalanx_core::{Input, Node, Order, Rank, Request, Ticket, Time};

use crate::TRACE_VERSION;
use crate::cluster::Group;
use crate::trace::{
    First, Last, Step, decode_join, decode_reply, encode_output, from_hex, step_hash,
};

/// A trace that was replayed to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// How many steps it has.
    pub steps: u64,
    /// The hash and verdict it records.
    pub last: Last,
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
        why: std::io::Error,
    },
    /// It is no trace, of another version, or cut short.
    #[error("line {line}: not a trace of this version: {text}")]
    Broken {
        /// Which line.
        line: usize,
        /// What is wrong.
        text: String,
    },
    /// The outputs of a step differ.
    #[error("diverges at step {}, member {} at {} us, input {}: {text}", .step.step, .step.rank, .step.at, .step.input)]
    Mismatch {
        /// Where.
        step: Box<Step>,
        /// How.
        text: String,
    },
}

/// The nodes of a replay.
struct Player {
    group: Group,
    nodes: BTreeMap<u16, Node>,
    steps: u64,
}

/// Replays the trace in `lines`.
///
/// # Errors
/// At the first step whose outputs differ, or if it is no trace.
pub fn replay(lines: impl BufRead) -> Result<Replayed, ReplayError> {
    let mut player: Option<Player> = None;
    let mut line_number = 0;
    for text in lines.lines() {
        line_number += 1;
        let line = line_number;
        let text = text.map_err(|why| ReplayError::Read { line, why })?;
        let broken = |text: String| ReplayError::Broken { line, text };
        let Some(player) = &mut player else {
            player = Some(start(&text).map_err(broken)?);
            continue;
        };
        if let Ok(last) = serde_json::from_str::<Last>(&text) {
            if last.steps != player.steps {
                return Err(broken(format!("{} steps, not {}", player.steps, last.steps)));
            }
            return Ok(Replayed { steps: player.steps, last });
        }
        let step: Step = serde_json::from_str(&text).map_err(|why| broken(why.to_string()))?;
        player.step(step).map_err(|error| match error {
            Wrong::Broken(text) => broken(text),
            Wrong::Mismatch(step, text) => ReplayError::Mismatch { step, text },
        })?;
    }
    Err(ReplayError::Broken { line: line_number, text: "it is cut short".to_owned() })
}

enum Wrong {
    Broken(String),
    Mismatch(Box<Step>, String),
}

fn start(text: &str) -> Result<Player, String> {
    let first: First = serde_json::from_str(text).map_err(|why| why.to_string())?;
    if first.version != TRACE_VERSION {
        return Err(format!("version {}, not {TRACE_VERSION}", first.version));
    }
    let group = Group::new(&first.scenario).map_err(|why| why.to_string())?;
    Ok(Player { group, nodes: BTreeMap::new(), steps: 0 })
}

impl Player {
    fn step(&mut self, step: Step) -> Result<(), Wrong> {
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
            return Err(Wrong::Mismatch(Box::new(step), text));
        }
        if step_hash(&outputs) != step.hash {
            let text = "the outputs differ in content".to_owned();
            return Err(Wrong::Mismatch(Box::new(step), text));
        }
        Ok(())
    }
}
