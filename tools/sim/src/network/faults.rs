//! What goes wrong with connections.

use chronik_model::Mono;
use chronik_model::rng::Rng;

use super::{Network, Piece, Times, Way, WireId, index};
use crate::actor::BrokerId;

impl Network {
    /// Resets some connections of a broker: any part of what is under way arrives, then the end on
    /// both sides. Returns how many.
    pub(crate) fn reset(&mut self, times: &mut Times<'_>, broker: BrokerId, rng: &mut Rng) -> u64 {
        let hit = self.choose(broker, rng);
        for id in &hit {
            self.cut_short(*id, rng);
            self.put(times, *id, Way::Up, Piece::End);
            self.put(times, *id, Way::Down, Piece::End);
        }
        hit.len() as u64
    }

    /// The client's side of some connections is gone, and the broker is never told. Returns how many.
    pub(crate) fn halve(&mut self, times: &mut Times<'_>, broker: BrokerId, rng: &mut Rng) -> u64 {
        let hit = self.choose(broker, rng);
        for id in &hit {
            self.cut_short(*id, rng);
            self.put(times, *id, Way::Down, Piece::End);
            if let Some(wire) = self.wires.get_mut(index(*id)) {
                let from = (wire.actor, wire.link);
                self.by_link.remove(&from);
            }
        }
        hit.len() as u64
    }

    /// Bytes stand still until a time: on their way to the broker, from it, or both.
    pub(crate) fn clog(&mut self, broker: BrokerId, until: Mono, rng: &mut Rng) {
        let ways = 1 + rng.below(3);
        if let Some([up, down]) = self.clogged.get_mut(usize::from(broker.0)) {
            if ways & 1 > 0 {
                *up = until.max(*up);
            }
            if ways & 2 > 0 {
                *down = until.max(*down);
            }
        }
    }

    /// Bytes move again.
    pub(crate) fn unclog(&mut self, broker: BrokerId) {
        if let Some(ways) = self.clogged.get_mut(usize::from(broker.0)) {
            *ways = [Mono(0); 2];
        }
    }

    /// A broker's process is gone: its machine ends all its connections, and any part of what was
    /// under way to the clients arrives.
    pub(crate) fn process_died(&mut self, times: &mut Times<'_>, broker: BrokerId, rng: &mut Rng) {
        for id in self.standing(broker) {
            self.cut_short(id, rng);
            self.close_down(times, id);
        }
    }

    /// A broker's machine is gone: nobody says so to the clients. They learn of it when they write
    /// and the machine is there again.
    pub(crate) fn machine_died(&mut self, broker: BrokerId, rng: &mut Rng) {
        for id in self.standing(broker) {
            self.cut_short(id, rng);
            if let Some(wire) = self.wires.get_mut(index(id)) {
                wire.socket = None;
            }
        }
    }

    fn standing(&self, broker: BrokerId) -> Vec<WireId> {
        let wires = (0..).zip(&self.wires);
        wires
            .filter(|(_, wire)| wire.broker == broker && wire.socket.is_some())
            .map(|(id, _)| WireId(id))
            .collect()
    }

    /// About half of a broker's connections, and at least one where there is one.
    fn choose(&self, broker: BrokerId, rng: &mut Rng) -> Vec<WireId> {
        let standing = self.standing(broker);
        let sure = usize::try_from(rng.below(standing.len() as u64)).unwrap_or(0);
        let chosen = (0..).zip(standing);
        chosen
            .filter(|(place, _)| *place == sure || rng.below(2) == 0)
            .map(|(_, id)| id)
            .collect()
    }

    fn cut_short(&mut self, id: WireId, rng: &mut Rng) {
        if let Some(wire) = self.wires.get_mut(index(id)) {
            for pipe in [&mut wire.up, &mut wire.down] {
                let kept = rng.below(pipe.len() as u64 + 1);
                pipe.truncate(usize::try_from(kept).unwrap_or(0));
            }
        }
    }
}
