//! [`Inputs`]: what a node was handed last, to be told when a bug ends the process.

use std::collections::VecDeque;
use std::fmt;
use std::hash::Hasher;
use std::sync::{Arc, Mutex};

use phalanx_core::{Input, Request, Time};
use siphasher::sip::SipHasher13;

/// Inputs of which the kind is kept.
const LAST: usize = 16;
/// Bytes at either end of an input that are hashed, with its length: the MAC of a frame is among them,
/// and says what the others are. All of them would cost as much as the hash of the casts.
const ENDS: usize = 64;

/// The inputs of one node: their number, a rolling hash over them, and the kinds of the last few.
/// The copies of it show the same. It contains no bytes of any input.
#[derive(Clone, Debug, Default)]
pub struct Inputs(Arc<Mutex<Trace>>);

#[derive(Debug, Default)]
struct Trace {
    count: u64,
    hash: u64,
    last: VecDeque<Taken>,
    view: u64,
    incarnation: u64,
}

#[derive(Clone, Copy, Debug)]
struct Taken {
    at: Time,
    kind: &'static str,
    len: usize,
}

impl Inputs {
    /// Notes an input before the node takes it.
    pub(super) fn note(&self, at: Time, input: &Input<'_>) {
        let (kind, bytes): (_, &[u8]) = match input {
            Input::Frame(bytes) => ("frame", bytes),
            Input::Tick => ("tick", &[]),
            Input::Request(_, request) => match request {
                Request::Cast { payload, .. } => ("cast", payload),
                Request::Send { payload, .. } => ("send", payload),
                Request::Leave => ("leave", &[]),
                Request::Suspect { .. } => ("suspect", &[]),
                Request::Admit { .. } => ("admit", &[]),
                Request::SnapshotReady { .. } => ("snapshot ready", &[]),
                Request::Chunk { bytes, .. } => ("chunk", bytes),
            },
        };
        let Ok(mut trace) = self.0.lock() else { return };
        trace.count = trace.count.wrapping_add(1);
        let mut hasher = SipHasher13::new_with_keys(trace.hash, at.as_micros());
        let (head, tail) = (&bytes[..bytes.len().min(ENDS)], bytes.len().saturating_sub(ENDS));
        hasher.write(kind.as_bytes());
        hasher.write_usize(bytes.len());
        hasher.write(head);
        hasher.write(&bytes[tail..]);
        trace.hash = hasher.finish();
        if trace.last.len() == LAST {
            trace.last.pop_front();
        }
        trace.last.push_back(Taken { at, kind, len: bytes.len() });
    }

    /// Notes where the node stands.
    pub(super) fn stand(&self, view: u64, incarnation: u64) {
        if let Ok(mut trace) = self.0.lock() {
            (trace.view, trace.incarnation) = (view, incarnation);
        }
    }
}

impl fmt::Display for Inputs {
    /// Never waits: a panic may have come while the trace was held.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(trace) = self.0.try_lock() else { return f.write_str("inputs: not readable\n") };
        writeln!(f, "view: {}", trace.view)?;
        writeln!(f, "incarnation: {}", trace.incarnation)?;
        writeln!(f, "inputs: {}, rolling hash {:016x}, the last:", trace.count, trace.hash)?;
        for Taken { at, kind, len } in &trace.last {
            writeln!(f, "    at {} us: {kind}, {len} bytes", at.as_micros())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_inputs_have_equal_hashes_and_the_last_kinds_are_told() {
        let trace = |frames: &[&[u8]]| {
            let inputs = Inputs::default();
            for frame in frames {
                inputs.note(Time::from_micros(7), &Input::Frame(frame));
            }
            inputs.note(Time::from_micros(8), &Input::Tick);
            inputs.stand(3, 2);
            inputs.to_string()
        };
        let told = trace(&[b"a", b"bc"]);
        assert_eq!(told, trace(&[b"a", b"bc"]));
        assert_ne!(told, trace(&[b"a", b"bd"]));
        assert_ne!(told, trace(&[b"ab", b"c"]), "inputs do not run together");
        assert!(told.starts_with("view: 3\nincarnation: 2\ninputs: 3, "), "{told}");
        assert!(told.ends_with("at 7 us: frame, 2 bytes\n    at 8 us: tick, 0 bytes\n"), "{told}");
        let many = trace(&[&b"x"[..]; 99]);
        assert_eq!(many.lines().count(), 3 + LAST);
    }
}
