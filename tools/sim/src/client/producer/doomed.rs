//! Batches that have to be refused: of an epoch that is over, as from a producer that has not heard of
//! the next one, and of a sequence that leaves a gap, as from one that has lost what came before.

use chronik_model::Mono;

use super::lane::Pending;
use super::{About, Producer};
use crate::actor::ActorOutputs;
use crate::client::catalog::Spot;
use crate::history::{End, Fact, OpId, Safety};

/// Of a hundred settled batches, those behind which a gap is tried.
const GAP_PERCENT: u64 = 2;

impl Producer {
    /// A batch was settled just now, so the brokers know where its producer stands.
    pub(super) fn try_doomed(&mut self, now: Mono, spot: Spot, out: &mut ActorOutputs) {
        let Some((id, epoch)) = self.producer_id else {
            return;
        };
        let lane = self.lanes.iter_mut().find(|lane| lane.spot == spot);
        let Some(lane) = lane else { return };
        let gap = (id, epoch, lane.distant_sequence());
        let former = lane.take_former();
        let sequence = former.or_else(|| self.desk.dice.chance(GAP_PERCENT).then_some(gap));
        if let Some(sequence) = sequence.filter(|_| !self.desk.is_winding_down()) {
            self.send_doomed(now, spot, sequence, out);
        }
    }

    fn send_doomed(
        &mut self,
        now: Mono,
        spot: Spot,
        sequence: (i64, i16, i32),
        out: &mut ActorOutputs,
    ) {
        let values = vec![self.desk.new_value()];
        let batch = self.batch((now, spot), values, Some(sequence));
        let chosen = vec![(spot, batch.op)];
        let lane = self.lanes.iter_mut().find(|lane| lane.spot == spot);
        let Some(lane) = lane else { return };
        lane.pending.push_back(Pending {
            doomed: true,
            ..batch
        });
        let request = self.request(&chosen, out);
        let (api, about) = (self.manner.version, About::Batches(chosen));
        self.desk.send(now, api, &request, about, out);
    }

    /// What is not synced may be gone with all that was known of its producers.
    pub(super) fn settle_doomed(
        &mut self,
        (spot, op): (Spot, OpId),
        end: End<i64>,
        out: &mut ActorOutputs,
    ) {
        let lane = self.lanes.iter_mut().find(|lane| lane.spot == spot);
        let Some(lane) = lane else { return };
        let sequence = lane.find(op).and_then(|batch| batch.sequence);
        lane.remove(op);
        let plan = self.desk.catalog.topics().get(spot.plan);
        let durable = plan.is_some_and(|plan| plan.safety == Safety::Durable);
        if durable && matches!(end, End::Done(_)) {
            let what = format!("{sequence:?} is taken in {:?}", spot.place);
            out.facts.push(Fact::Protocol(what));
        }
    }
}
