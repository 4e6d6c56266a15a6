//! Which connections are closed, and what follows from it.

use std::time::{Duration, Instant};

use phalanx_core::Config;

use super::{SWEEP, Tcp};
use crate::net::conn::Owner;

/// How long a connection that was accepted may prove nothing.
const STRANGER_TIME: Duration = Duration::from_secs(3);
/// Memory for what all of them have sent.
const STRANGER_BYTES: usize = 2 * Config::FRAME_MAX;
/// How long to wait for a dialled connection.
const DIAL_TIME: Duration = Duration::from_secs(3);

impl Tcp {
    /// Closes what has had its time: strangers, dials without an answer, peers that take nothing.
    pub(super) fn sweep(&mut self, now: Instant) {
        self.sweep_at = now + SWEEP;
        let mut over = Vec::new();
        for (token, conn) in &self.conns {
            let age = now.saturating_duration_since(conn.opened);
            match conn.owner {
                Owner::Stranger if age > STRANGER_TIME => over.push((*token, "it proved nothing")),
                Owner::Dialling(_) if age > DIAL_TIME => over.push((*token, "no answer")),
                Owner::Dialled(id) | Owner::Proven(id)
                    if self.peers.get(&id).is_some_and(|peer| !peer.queue.is_empty())
                        && now.saturating_duration_since(conn.took) > self.stall =>
                {
                    self.stats.cut_slow += 1;
                    over.push((*token, "it takes nothing"));
                }
                Owner::Guest(_)
                    if self.guests.as_ref().is_none_or(|guests| guests.is_idle(*token, now)) =>
                {
                    over.push((*token, "it has no more to say"));
                }
                Owner::Stranger
                | Owner::Guest(_)
                | Owner::Dialling(_)
                | Owner::Dialled(_)
                | Owner::Proven(_) => {}
            }
        }
        for (token, why) in over {
            self.close(token, now, why);
        }
    }

    /// The strangers' memory is bounded together: the one that holds most goes first.
    pub(super) fn bound_strangers(&mut self, now: Instant) {
        loop {
            let unproven = || self.conns.iter().filter(|(_, conn)| conn.owner.is_unproven());
            let held: usize = unproven().map(|(_, conn)| conn.held()).sum();
            if held <= STRANGER_BYTES {
                return;
            }
            let largest = unproven().max_by_key(|(_, conn)| conn.held());
            let Some(token) = largest.map(|(token, _)| *token) else { return };
            self.close(token, now, "strangers hold too much");
        }
    }

    pub(super) fn close(&mut self, token: usize, now: Instant, why: &str) {
        let Some(conn) = self.conns.remove(&token) else { return };
        let Some(id) = conn.owner.peer() else {
            tracing::debug!(why, "closed a stranger's connection");
            self.stats.strangers_closed += 1;
            self.forget_guest(token);
            return;
        };
        if let Some(peer) = self.peers.get_mut(&id)
            && peer.conn == Some(token)
        {
            match conn.owner {
                Owner::Dialling(_) => tracing::debug!(peer = %id, why, "cannot connect"),
                Owner::Dialled(_) | Owner::Proven(_) | Owner::Stranger | Owner::Guest(_) => {
                    tracing::info!(peer = %id, why, "lost the connection");
                }
            }
            // It may have come by another one.
            let other = self
                .conns
                .iter()
                .find(|(_, conn)| conn.owner.peer() == Some(id) && conn.is_authentic());
            peer.conn = other.map(|(token, _)| *token);
            peer.queue.restart();
            // The pause before the next dial was set when this one began; it runs from now.
            peer.dial_at = peer.dial_at.max(now + peer.pause(&mut self.jitter));
        }
    }
}
