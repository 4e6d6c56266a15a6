//! The record of a run: a rolling SHA-256 over all inputs and outputs of all members, and, if
//! wanted, a file of JSON lines from which the run can be replayed.
//!
//! First line: version, seed and scenario. Then one line for each step of a correct member: its
//! number, local time, rank, input, and of its outputs how many there were, their hash, and what
//! the application was told. Last line: number of steps, hash, verdict. Integers only, keys in a
//! fixed order, bytes in hexadecimal. The hash begins with the first line, so that it is that of one
//! scenario, too; steps of liars have no lines, but enter it.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use phalanx_core::{Event, Hash32, Input, Order, Output, Request, Time};

use crate::TRACE_VERSION;
use crate::adversary::Sent;
use crate::application::Reply;
use crate::scenario::Scenario;
use crate::verdict::Verdict;

/// Bytes gathered before they are hashed.
const CHUNK: usize = 64 * 1024;

/// The first line of a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct First {
    /// Version of the format.
    pub version: u32,
    /// Seed of the run.
    pub seed: u64,
    /// The run.
    pub scenario: Scenario,
}

/// One step of a correct member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Its number in the trace.
    pub step: u64,
    /// Local time in microseconds.
    pub at: u64,
    /// Number of the process: of a member of the genesis view its rank there.
    pub rank: u16,
    /// `boot`, `join`, `frame`, `tick`, `fifo`, `total`, `suspect`, `leave`, `snapshot` or `chunk`.
    pub input: String,
    /// Of a cast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<u64>,
    /// Of a frame or a cast, or of what a process that joins is told, in hexadecimal.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub bytes: String,
    /// How many outputs there were.
    pub outputs: u64,
    /// The first eight bytes of their hash.
    pub hash: String,
    /// What the application was told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
}

/// The last line of a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Last {
    /// How many steps there were.
    pub steps: u64,
    /// Hash over everything.
    pub hash: String,
    /// How the run ended.
    pub verdict: String,
}

/// Writes bytes in hexadecimal.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Reads bytes in hexadecimal; `None` if they are not.
#[must_use]
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}

/// Appends the canonical bytes of an output.
pub fn encode_output(output: &Output, out: &mut Vec<u8>) {
    match output {
        Output::Transmit(transmit) => {
            out.push(1);
            out.extend(transmit.to.0.to_le_bytes());
            out.extend((transmit.len() as u64).to_le_bytes());
            transmit.append_to(out);
        }
        Output::Event(Event::Cast { view, sender, number, order, slot, own_ticket, payload }) => {
            out.push(2);
            out.extend(view.to_le_bytes());
            out.extend(sender.value().to_le_bytes());
            out.extend(number.value().to_le_bytes());
            out.push(u8::from(*order == Order::Total));
            let (round, place) = slot.map_or((u64::MAX, 0), |s| (s.round.value(), s.place));
            out.extend(round.to_le_bytes());
            out.extend(place.to_le_bytes());
            out.extend(own_ticket.map_or(u64::MAX, |ticket| ticket.0).to_le_bytes());
            out.extend((payload.len() as u64).to_le_bytes());
            out.extend_from_slice(payload);
        }
        Output::Event(Event::State { offset, bytes, total }) => {
            out.push(5);
            out.extend(offset.to_le_bytes());
            out.extend(total.to_le_bytes());
            out.extend((bytes.len() as u64).to_le_bytes());
            out.extend_from_slice(bytes);
        }
        Output::Event(event) => {
            out.push(3);
            // Writing into a vector cannot fail.
            let _ = write!(out, "{event:?}");
        }
        Output::Fault(fault) => {
            out.push(4);
            out.extend(fault.proof.to_bytes());
        }
    }
}

/// What a process that joins is told when it starts, as bytes.
fn encode_join((host, incarnation): (u16, u64), contacts: &[u16]) -> Vec<u8> {
    let mut bytes = host.to_le_bytes().to_vec();
    bytes.extend(incarnation.to_le_bytes());
    contacts.iter().for_each(|contact| bytes.extend(contact.to_le_bytes()));
    bytes
}

/// Reads them back: host, incarnation and contacts; `None` if they are none.
#[must_use]
pub fn decode_join(bytes: &[u8]) -> Option<(u16, u64, Vec<u16>)> {
    let (host, rest) = bytes.split_first_chunk::<2>()?;
    let (incarnation, rest) = rest.split_first_chunk::<8>()?;
    let (contacts, rest) = rest.as_chunks::<2>();
    let contacts = contacts.iter().map(|contact| u16::from_le_bytes(*contact)).collect();
    let is_whole = rest.is_empty();
    let found = (u16::from_le_bytes(*host), u64::from_le_bytes(*incarnation), contacts);
    is_whole.then_some(found)
}

/// A snapshot that an application announces, as bytes.
fn encode_snapshot(view: u64, length: u64, chunks: &[Hash32]) -> Vec<u8> {
    let mut bytes = view.to_le_bytes().to_vec();
    bytes.extend(length.to_le_bytes());
    chunks.iter().for_each(|hash| bytes.extend(hash.0));
    bytes
}

/// A chunk that it hands over, as bytes.
fn encode_chunk(view: u64, index: u32, chunk: &[u8]) -> Vec<u8> {
    let mut bytes = view.to_le_bytes().to_vec();
    bytes.extend(index.to_le_bytes());
    bytes.extend_from_slice(chunk);
    bytes
}

/// Reads either back, by the kind of the input; `None` if it is none.
#[must_use]
pub fn decode_reply(input: &str, bytes: &[u8]) -> Option<Reply> {
    let (view, rest) = bytes.split_first_chunk::<8>()?;
    let view = u64::from_le_bytes(*view);
    match input {
        "snapshot" => {
            let (length, rest) = rest.split_first_chunk::<8>()?;
            let (chunks, rest) = rest.as_chunks::<32>();
            let chunks = chunks.iter().map(|hash| Hash32(*hash)).collect();
            rest.is_empty().then(|| Reply::Ready(view, u64::from_le_bytes(*length), chunks))
        }
        "chunk" => {
            let (index, rest) = rest.split_first_chunk::<4>()?;
            Some(Reply::Chunk(view, u32::from_le_bytes(*index), rest.to_vec()))
        }
        _ => None,
    }
}

/// What an application is told, for people.
fn told(event: &Event) -> String {
    match event {
        Event::State { offset, bytes, total } => {
            format!("State {{ offset: {offset}, bytes: {}, total: {total} }}", bytes.len())
        }
        event => format!("{event:?}"),
    }
}

/// The first eight bytes of the hash of a step's outputs.
#[must_use]
pub fn step_hash(outputs: &[u8]) -> String {
    to_hex(Sha256::digest(outputs).get(..8).unwrap_or_default())
}

/// Records a run.
pub struct Recorder {
    state: Sha256,
    pending: Vec<u8>,
    /// Where the outputs of the present step begin in `pending`.
    outputs_at: usize,
    steps: u64,
    file: Option<Box<dyn Write>>,
    line: Option<Step>,
    error: Option<io::Error>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("steps", &self.steps).finish_non_exhaustive()
    }
}

impl Recorder {
    /// A recorder of a run of `scenario`, into `file` if there is one.
    #[must_use]
    pub fn new(scenario: &Scenario, file: Option<Box<dyn Write>>) -> Self {
        let mut recorder = Self {
            state: Sha256::new(),
            pending: Vec::with_capacity(2 * CHUNK),
            outputs_at: 0,
            steps: 0,
            file,
            line: None,
            error: None,
        };
        let scenario = scenario.clone();
        let first = First { version: TRACE_VERSION, seed: scenario.seed, scenario };
        // Writing into a vector cannot fail.
        let _ = serde_json::to_writer(&mut recorder.pending, &first);
        recorder.write(&first);
        recorder
    }

    fn write(&mut self, line: &impl Serialize) {
        let Some(file) = &mut self.file else { return };
        let written = serde_json::to_writer(&mut *file, line)
            .map_err(io::Error::from)
            .and_then(|()| file.write_all(b"\n"));
        if let Err(error) = written {
            self.error.get_or_insert(error);
            self.file = None;
        }
    }

    /// Whether the file could not be written: what follows is in vain.
    #[must_use]
    pub const fn has_failed(&self) -> bool {
        self.error.is_some()
    }

    /// A correct member starts.
    pub fn boot(&mut self, rank: u16, local: Time) {
        self.begin(rank, local, 0, "boot", None, &[], true);
        self.end();
    }

    /// A correct process starts that wants to be a member: on a host, in this life, with these hosts
    /// as contacts.
    pub fn join(&mut self, rank: u16, local: Time, life: (u16, u64), contacts: &[u16]) {
        let bytes = encode_join(life, contacts);
        self.begin(rank, local, 8, "join", None, &bytes, true);
        self.end();
    }

    /// A member, a liar if not `is_correct`, takes an input.
    pub fn input(&mut self, rank: u16, local: Time, input: &Input<'_>, is_correct: bool) {
        match input {
            Input::Frame(frame) => self.begin(rank, local, 1, "frame", None, frame, is_correct),
            Input::Tick => self.begin(rank, local, 2, "tick", None, &[], is_correct),
            Input::Request(ticket, Request::Cast { order: Order::Fifo, payload }) => {
                self.begin(rank, local, 3, "fifo", Some(ticket.0), payload, is_correct);
            }
            Input::Request(ticket, Request::Cast { order: Order::Total, payload }) => {
                self.begin(rank, local, 4, "total", Some(ticket.0), payload, is_correct);
            }
            Input::Request(ticket, Request::Suspect { member }) => {
                let bytes = member.value().to_le_bytes();
                self.begin(rank, local, 6, "suspect", Some(ticket.0), &bytes, is_correct);
            }
            Input::Request(ticket, Request::Leave) => {
                self.begin(rank, local, 7, "leave", Some(ticket.0), &[], is_correct);
            }
            Input::Request(ticket, Request::SnapshotReady { view, length, chunks }) => {
                let bytes = encode_snapshot(*view, *length, chunks);
                self.begin(rank, local, 10, "snapshot", Some(ticket.0), &bytes, is_correct);
            }
            Input::Request(ticket, Request::Chunk { view, index, bytes }) => {
                let bytes = encode_chunk(*view, *index, bytes);
                self.begin(rank, local, 11, "chunk", Some(ticket.0), &bytes, is_correct);
            }
            // The workload makes no other requests.
            Input::Request(ticket, Request::Send { .. } | Request::Admit { .. }) => {
                self.begin(rank, local, 5, "other", Some(ticket.0), &[], is_correct);
            }
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of one line")]
    fn begin(
        &mut self,
        rank: u16,
        local: Time,
        tag: u8,
        name: &str,
        ticket: Option<u64>,
        bytes: &[u8],
        is_correct: bool,
    ) {
        self.pending.push(tag);
        self.pending.extend(rank.to_le_bytes());
        self.pending.extend(local.as_micros().to_le_bytes());
        self.pending.extend(ticket.unwrap_or(u64::MAX).to_le_bytes());
        self.pending.extend((bytes.len() as u64).to_le_bytes());
        self.pending.extend_from_slice(bytes);
        self.outputs_at = self.pending.len();
        if self.file.is_some() && is_correct {
            self.line = Some(Step {
                step: self.steps,
                at: local.as_micros(),
                rank,
                input: name.to_owned(),
                ticket,
                bytes: to_hex(bytes),
                outputs: 0,
                hash: String::new(),
                events: Vec::new(),
            });
        }
    }

    /// An output of the member that took the last input.
    pub fn output(&mut self, output: &Output) {
        encode_output(output, &mut self.pending);
        if let Some(line) = &mut self.line {
            line.outputs += 1;
            match output {
                Output::Event(event) => line.events.push(told(event)),
                Output::Fault(fault) => line.events.push(format!(
                    "Fault {{ culprit: {}, kind: {:?} }}",
                    fault.culprit,
                    fault.proof.kind()
                )),
                Output::Transmit(_) => {}
            }
        }
    }

    /// A frame of the liar that took the last input.
    pub fn sent(&mut self, sent: &Sent) {
        self.pending.push(9);
        self.pending.extend(sent.to.0.to_le_bytes());
        self.pending.extend((sent.frame.len() as u64).to_le_bytes());
        self.pending.extend_from_slice(&sent.frame);
    }

    /// All outputs of the step were given.
    pub fn end(&mut self) {
        if let Some(mut line) = self.line.take() {
            line.hash = step_hash(self.pending.get(self.outputs_at..).unwrap_or_default());
            self.write(&line);
            self.steps += 1;
        }
        if self.pending.len() >= CHUNK {
            self.state.update(&self.pending);
            self.pending.clear();
        }
    }

    /// The run is over: its hash.
    ///
    /// # Errors
    /// If the file could not be written.
    pub fn finish(mut self, verdict: &Verdict) -> io::Result<String> {
        self.state.update(&self.pending);
        let hash = to_hex(&self.state.clone().finalize());
        let verdict = verdict.word().to_owned();
        self.write(&Last { steps: self.steps, hash: hash.clone(), verdict });
        if let Some(file) = &mut self.file {
            file.flush()?;
        }
        self.error.map_or(Ok(hash), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_reads_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(from_hex(&to_hex(&bytes)), Some(bytes));
        assert_eq!((from_hex("0"), from_hex("0g"), from_hex("")), (None, None, Some(Vec::new())));
    }

    #[test]
    fn what_a_joiner_is_told_reads_back() {
        let told = (5, 1 << 40, vec![0, 3]);
        let bytes = encode_join((told.0, told.1), &told.2);
        assert_eq!(decode_join(&bytes), Some(told));
        assert_eq!((decode_join(&bytes[..9]), decode_join(&bytes[..11])), (None, None));
    }

    #[test]
    fn what_an_application_hands_over_reads_back() {
        let ready = Reply::Ready(3, 70_000, vec![Hash32([1; 32]), Hash32([2; 32])]);
        let Reply::Ready(view, length, chunks) = &ready else { unreachable!() };
        let bytes = encode_snapshot(*view, *length, chunks);
        assert_eq!(decode_reply("snapshot", &bytes), Some(ready));
        assert_eq!(decode_reply("snapshot", &bytes[..50]), None);
        let bytes = encode_chunk(3, 1, b"piece");
        assert_eq!(decode_reply("chunk", &bytes), Some(Reply::Chunk(3, 1, b"piece".to_vec())));
        assert_eq!(
            (decode_reply("chunk", &bytes[..9]), decode_reply("tick", &bytes)),
            (None, None)
        );
    }

    #[test]
    fn every_byte_of_a_step_enters_the_hash() {
        let hash = |rank, at, bytes: &[u8]| {
            let mut recorder = Recorder::new(&Scenario::calm("hash", 1, 1), None);
            recorder.input(rank, Time::from_micros(at), &Input::Frame(bytes), true);
            recorder.end();
            recorder.finish(&Verdict::Held).unwrap()
        };
        let base = hash(0, 1, b"ab");
        assert_eq!(base, hash(0, 1, b"ab"));
        assert!(
            [hash(1, 1, b"ab"), hash(0, 2, b"ab"), hash(0, 1, b"ac")].iter().all(|h| *h != base)
        );
    }
}
