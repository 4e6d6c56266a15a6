//! What happens to a node, as lines of JSON.

use phalanx_core::crypto::Reason;
use phalanx_core::{Event, Exclusion, Fault, FaultKind, Order, Rank, Status, View};
use phalanx_mio::{Notice, Runtime, Stats};
use serde_json::{Map, Value, json};

/// One notice as one object.
pub(crate) fn notice(notice: &Notice) -> Value {
    match notice {
        Notice::Event(event) => self::event(event),
        Notice::Fault(fault) => self::fault(fault),
        Notice::ComesBack { incarnation } => {
            json!({"event": "comes_back", "incarnation": incarnation})
        }
        Notice::StaysOut { why } => json!({"event": "stays_out", "why": why}),
    }
}

/// What a member has counted, as far as operators look at it.
pub(crate) fn stats(runtime: &Runtime) -> Value {
    let Stats { node, network, turns } = runtime.stats();
    let (held, bound) = runtime.node().memory();
    json!({"event": "stats", "view": runtime.node().view().number, "turns": turns,
           "is_member": runtime.is_member(), "joins_refused": node.joins_refused,
           "strangers_limited": node.strangers_limited, "malformed": node.malformed,
           "frames_in": node.frames_in, "frames_out": node.frames_out,
           "dropped_unauthenticated": node.dropped_unauthenticated,
           "connected": network.connected, "reconnects": network.reconnects,
           "strangers_closed": network.strangers_closed, "mismatched": network.mismatched,
           "held_bytes": held,
           "bound_bytes": bound})
}

fn event(event: &Event) -> Value {
    match event {
        Event::Accepted(ticket) => json!({"event": "accepted", "ticket": ticket.0}),
        Event::Refused(ticket, why) => {
            json!({"event": "refused", "ticket": ticket.0, "why": why.to_string()})
        }
        Event::Writable => json!({"event": "writable"}),
        Event::View(view) => self::view(view),
        Event::Cast { .. } | Event::Send { .. } => message(event),
        Event::SendFailed { to, ticket } => {
            json!({"event": "send_failed", "to": to.value(), "ticket": ticket.0})
        }
        Event::Suspected { subject, by, reason } => {
            json!({"event": "suspected", "subject": subject.value(), "by": by.value(),
                   "reason": reason_name(*reason)})
        }
        Event::LinkClosed { peer, why } => {
            json!({"event": "link_closed", "peer": peer.value(), "why": words(*why)})
        }
        Event::Alarm { sender, number } => {
            json!({"event": "alarm", "sender": sender.value(), "number": number.value()})
        }
        Event::Spent { highest } => json!({"event": "spent", "highest": highest}),
        Event::Fork { known, other } => {
            json!({"event": "fork", "known": known.view.id().to_string(),
                   "other": other.view.id().to_string()})
        }
        Event::Joining { view, refusals } => {
            let refusals: Vec<Value> = refusals
                .iter()
                .map(|(rank, why)| json!({"rank": rank.value(), "why": why.to_string()}))
                .collect();
            json!({"event": "joining", "view": view, "refusals": refusals})
        }
        Event::JoinWanted { key, incarnation, addr } => {
            let addr = String::from_utf8_lossy(addr);
            json!({"event": "join_wanted", "key": key.to_string(), "incarnation": incarnation,
                   "address": addr})
        }
        Event::Block => json!({"event": "block"}),
        Event::MustStay => json!({"event": "must_stay"}),
        Event::StateLost => json!({"event": "state_lost"}),
        Event::Resumed { view } => json!({"event": "resumed", "view": view}),
        Event::Unblock => json!({"event": "unblock"}),
        Event::TransitionalView { attempt } => {
            json!({"event": "transitional_view", "attempt": attempt.value()})
        }
        Event::Excluded { why, decision, lost } => {
            let why = exclusion_name(*why);
            let lost: Vec<u64> = lost.iter().map(|ticket| ticket.0).collect();
            json!({"event": "excluded", "why": why, "next": decision.view.number,
                   "decision": hex(&decision.to_bytes()), "lost": lost})
        }
        Event::Resilience { spare } => json!({"event": "resilience", "spare": spare}),
        Event::NoQuorum { missing } => {
            let missing: Vec<u16> = missing.iter().map(|rank| rank.value()).collect();
            json!({"event": "no_quorum", "missing": missing})
        }
        Event::BeyondRepair { gone, quorum } => {
            let gone: Vec<u16> = gone.iter().map(|rank| rank.value()).collect();
            json!({"event": "beyond_repair", "gone": gone, "quorum": quorum})
        }
        Event::SnapshotWanted { .. }
        | Event::ChunkWanted { .. }
        | Event::SnapshotReleased { .. }
        | Event::State { .. }
        | Event::StateLoaded { .. }
        | Event::SnapshotDiverged { .. }
        | Event::StateTooLarge { .. }
        | Event::StateStalled { .. } => state(event),
    }
}

/// The state of the application on its way.
fn state(event: &Event) -> Value {
    match event {
        Event::SnapshotWanted { view } => json!({"event": "snapshot_wanted", "view": view}),
        Event::ChunkWanted { view, index } => {
            json!({"event": "chunk_wanted", "view": view, "index": index})
        }
        Event::SnapshotReleased { view } => json!({"event": "snapshot_released", "view": view}),
        Event::State { offset, bytes, total } => {
            json!({"event": "state", "offset": offset, "bytes": bytes.len(), "total": total})
        }
        Event::StateLoaded { view, total } => {
            json!({"event": "state_loaded", "view": view, "total": total})
        }
        Event::SnapshotDiverged { view } => json!({"event": "snapshot_diverged", "view": view}),
        Event::StateTooLarge { length } => json!({"event": "state_too_large", "length": length}),
        Event::StateStalled { view } => json!({"event": "state_stalled", "view": view}),
        _ => Value::Null,
    }
}

/// A cast, or a message from one member.
fn message(event: &Event) -> Value {
    let (mut line, payload) = match event {
        Event::Cast { view, sender, number, order, slot, own_ticket, payload } => {
            let mut line = json!({"event": "cast", "view": view, "sender": sender.value(),
                                  "number": number.value(), "order": order_name(*order)});
            if let Value::Object(line) = &mut line {
                let slot = slot.map(|slot| ("slot".to_owned(), json!(slot)));
                let ticket = own_ticket.map(|ticket| ("ticket".to_owned(), json!(ticket.0)));
                line.extend(slot.into_iter().chain(ticket));
            }
            (line, &**payload)
        }
        Event::Send { sender, payload } => {
            (json!({"event": "send", "sender": sender.value()}), payload.as_slice())
        }
        _ => return Value::Null,
    };
    if let Value::Object(line) = &mut line {
        insert_bytes(line, payload);
    }
    line
}

fn view(view: &View) -> Value {
    let quorum = view.quorum();
    let keys: Vec<String> = view.members.iter().map(|m| m.key.to_string()).collect();
    let lives: Vec<u64> = view.members.iter().map(|m| m.incarnation).collect();
    let silenced: Vec<u16> = Rank::all(view.members.len())
        .zip(&view.members)
        .filter(|(_, member)| member.status == Status::Silenced)
        .map(|(rank, _)| rank.value())
        .collect();
    let departed: Vec<Value> = view
        .departed
        .iter()
        .map(|(rank, why)| json!({"rank": rank.value(), "why": words(*why)}))
        .collect();
    json!({"event": "view", "number": view.number, "id": view.id().to_string(),
           "n": quorum.n(), "f": quorum.f(),
           "q": quorum.q(), "members": keys, "incarnations": lives, "silenced": silenced, "departed": departed})
}

fn fault(fault: &Fault) -> Value {
    json!({"event": "fault", "culprit": fault.culprit.value(), "key": fault.key.to_string(),
           "kind": fault_name(fault.proof.kind()), "proof": hex(&fault.proof.to_bytes())})
}

/// Bytes that are text go out as `text`, others as `hex`.
fn insert_bytes(line: &mut Map<String, Value>, bytes: &[u8]) {
    let (key, value) = match std::str::from_utf8(bytes) {
        Ok(text) => ("text", text.to_owned()),
        Err(_) => ("hex", hex(bytes)),
    };
    line.insert(key.to_owned(), Value::String(value));
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of hexadecimal digits.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|letter| letter.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    digits.chunks_exact(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).ok()).collect()
}

const fn order_name(order: Order) -> &'static str {
    match order {
        Order::Fifo => "fifo",
        Order::Total => "total",
    }
}

/// What a fault is called in results.
pub(crate) const fn fault_name(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::MutantMessage => "mutant message",
        FaultKind::TwoReplies => "two replies",
        FaultKind::TwoRows => "two rows",
        FaultKind::TwoFlushes => "two flushes",
        FaultKind::TwoNeedMoreChanges => "two need-more-changes",
        FaultKind::TwoNewViews => "two new-views",
        FaultKind::TwoAcks => "two acks",
        FaultKind::TwoCommits => "two commits",
        FaultKind::TwoReadys => "two readys",
        FaultKind::ForgottenLock => "forgotten lock",
        FaultKind::TwoSnapshots => "two snapshots",
        FaultKind::InvalidNewView => "invalid new-view",
        FaultKind::InvalidCommit => "invalid commit",
    }
}

/// What it is called in results that a process is out.
pub(crate) fn exclusion_name(why: Exclusion) -> String {
    match why {
        Exclusion::Departed(how) => words(how),
        Exclusion::Overtaken => words(why),
    }
}

/// What a reason is called in results.
pub(crate) fn reason_name(reason: Reason) -> String {
    words(reason)
}

/// The name of a variant as words: `ImpedingOrder` reads "impeding order".
fn words(variant: impl std::fmt::Debug) -> String {
    let mut name = String::new();
    for letter in format!("{variant:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push(' ');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use phalanx_core::{Number, Payload, Rank, Ticket};

    #[test]
    fn bytes_that_are_no_text_survive() {
        let bytes = [0xff, 0x00, 0x10];
        let cast = Event::Cast {
            view: 0,
            sender: Rank::new(2),
            number: Number::ZERO.next(),
            order: Order::Fifo,
            slot: None,
            own_ticket: Some(Ticket(9)),
            payload: Payload::new(bytes.into(), &(0..3)),
        };
        let line = event(&cast).to_string();
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["hex"], "ff0010");
        assert_eq!((value["sender"].as_u64(), value["ticket"].as_u64()), (Some(2), Some(9)));
        assert_eq!(from_hex("ff0010").as_deref(), Some(&bytes[..]));
        assert_eq!(from_hex("ff001"), None);
    }

    #[test]
    fn reasons_read_as_words() {
        assert_eq!(reason_name(Reason::ImpedingOrder), "impeding order");
        assert_eq!(reason_name(Reason::Mute), "mute");
    }
}
