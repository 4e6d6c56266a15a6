//! The status of a member, as SIGUSR1 writes it to the log: whatever the level, a line for each part.

use phalanx_core::{Rank, Status};
use phalanx_mio::{Runtime, Stats};

use crate::log;
use crate::naming::Naming;

/// The queues of this process.
pub(crate) struct Waiting {
    /// Bytes of events and their bound, if there is an output of events.
    pub(crate) events: Option<(usize, usize)>,
    /// Proofs that are not written yet.
    pub(crate) proofs: usize,
}

/// Writes the status.
pub(crate) fn write(runtime: &Runtime, naming: &Naming<'_>, waiting: &Waiting) {
    let node = runtime.node();
    let me = runtime.is_member().then(|| node.rank());
    let standing = if runtime.is_member() { "a member" } else { "no member" };
    complain!(
        "status: {}; this process is {standing}, incarnation {}",
        naming.describe(node.view(), me),
        runtime.incarnation()
    );
    let linked: Vec<Rank> = node.peers().filter_map(|(_, rank, _)| rank).collect();
    for (rank, member) in Rank::all(node.view().members.len()).zip(&node.view().members) {
        let status = match member.status {
            Status::Active => "active",
            Status::Silenced => "silenced",
        };
        let link = match (me == Some(rank), linked.contains(&rank)) {
            (true, _) => "this process",
            (false, true) => "linked",
            (false, false) => "its frames are dropped",
        };
        let (name, life) = (naming.name_of(&member.key), member.incarnation);
        let opinion = naming.opinion(&member.key);
        let opinion = opinion.unwrap_or_else(|| "nothing against it".to_owned());
        complain!("status: rank {rank} {name}, incarnation {life}: {status}, {link}; {opinion}");
    }
    let Stats { node: counters, network, turns } = runtime.stats();
    complain!("status: counters: {turns} turns, {counters:?}");
    complain!("status: network: {network:?}");
    let (held, bound) = node.memory();
    complain!("status: memory: {held} of at most {bound} bytes of casts, messages and evidence");
    let events = waiting.events.map(|(held, room)| format!("{held} of {room} bytes of events; "));
    complain!(
        "status: queues: {}{} bytes to peers; {} proofs to be written; {} log lines dropped so far",
        events.unwrap_or_default(),
        network.queued_bytes,
        waiting.proofs,
        log::lost()
    );
}
