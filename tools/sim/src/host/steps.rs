//! Steps of the machines, and what follows from what they want.

use std::collections::VecDeque;
use std::sync::Arc;

use chronik_model::Mono;
use chronik_node::{
    ClusterView, FrontendId, FrontendInput, FrontendOutput, QuorumInput, QuorumOutput, ShardInput,
    ShardOutputs,
};

use super::mail::Class;
use super::node::{From, Moment, Node};
use super::start::METADATA_SHARD;
use super::{HostEvent, Machine};
use crate::world::{Note, ShardStep, Stage};

/// After which segment writes that found no space are tried again.
const RETRY_WRITES_NS: u64 = 500_000_000;

impl Node {
    pub(super) fn step_quorum(&mut self, stage: &mut Stage, moment: &Moment, input: QuorumInput) {
        follow(stage, "controller", &input);
        let mut out = Vec::new();
        self.quorum.step(moment.now, input, &mut out);
        self.carry_out(stage, moment, out);
        let deadline = self.quorum.deadline();
        self.arm(stage, moment, Machine::Quorum, deadline);
    }

    /// Does what the controller wants, in its order.
    pub(super) fn carry_out(
        &mut self,
        stage: &mut Stage,
        moment: &Moment,
        outputs: Vec<QuorumOutput>,
    ) {
        for output in outputs {
            match output {
                QuorumOutput::Persist {
                    sequence,
                    hard_state,
                    entries,
                } => {
                    let persist = ShardInput::Persist {
                        sequence,
                        hard_state,
                        entries,
                    };
                    self.tell_shard(stage, moment, From::Quorum, METADATA_SHARD, persist);
                }
                QuorumOutput::Snapshot { id, bytes } => {
                    let input = ShardInput::Snapshot { id, bytes };
                    self.tell_shard(stage, moment, From::Quorum, METADATA_SHARD, input);
                }
                QuorumOutput::Trim(trim) => {
                    let input = ShardInput::TrimMetadata(trim);
                    self.tell_shard(stage, moment, From::Quorum, METADATA_SHARD, input);
                }
                QuorumOutput::Publish(view, delta) => {
                    let input = || ShardInput::View(Arc::clone(&view), Arc::clone(&delta));
                    self.tell_shards(stage, moment, From::Quorum, input);
                    self.publications.push_back((view, self.shards.len()));
                }
                QuorumOutput::Reply {
                    ticket,
                    reply,
                    offset,
                } => {
                    let input = FrontendInput::Controller(ticket, reply, offset);
                    let to = (From::Quorum, ticket.frontend.0);
                    self.tell_frontend(stage, moment, to, input);
                }
                QuorumOutput::ProducerIds(frontend, ids) => {
                    let input = FrontendInput::ProducerIds(ids);
                    self.tell_frontend(stage, moment, (From::Quorum, frontend.0), input);
                }
                QuorumOutput::Registered => self.registered = true,
                // Only a directory that is offline gives it a reason.
                QuorumOutput::Halt(_) if self.offline => self.halted = true,
                QuorumOutput::Halt(reason) => panic!("the broker halts: {reason}"),
            }
        }
    }

    pub(super) fn step_shard(
        &mut self,
        stage: &mut Stage,
        moment: &Moment,
        shard: u16,
        input: ShardInput,
    ) {
        follow(stage, "shard", &input);
        let view = if let ShardInput::View(view, _) = &input {
            Some(Arc::clone(view))
        } else {
            None
        };
        // The end of the turn wakes the journal: then the commit holds all of the turn's requests.
        let more_follows = matches!(input, ShardInput::Request(_));
        let mut out = ShardOutputs::default();
        let machine = &mut self.shards[usize::from(shard)];
        machine.step(moment.now, input, &mut out);
        stage.stepped(&ShardStep {
            broker: moment.broker,
            life: moment.life,
            shard,
            machine,
            now: stage.now,
        });
        let deadline = machine.deadline();
        let wants_commit = machine.wants_commit();
        if let Some(view) = view {
            self.view_taken(stage, moment, &view);
        }
        self.shard_outputs(stage, moment, shard, out);
        self.arm(stage, moment, Machine::Shard(shard), deadline);
        if wants_commit && !more_follows {
            self.wake_journal(stage, moment);
        }
    }

    fn shard_outputs(&mut self, stage: &mut Stage, moment: &Moment, shard: u16, out: ShardOutputs) {
        let from = From::Shard(shard);
        for reply in out.replies {
            let to = (from, reply.ticket().frontend.0);
            self.tell_frontend(stage, moment, to, FrontendInput::Shard(reply));
        }
        for request in out.disk {
            let log = request.op.log_id();
            if self.pool.submit(shard, request) {
                self.begin_disk(stage, moment, shard, log);
            }
        }
        if let Some(sequence) = out.persisted {
            self.tell_quorum(stage, moment, from, QuorumInput::Persisted(sequence));
        }
        if let Some(written) = out.snapshot {
            stage
                .counters
                .add("metadata-snapshots", u64::from(written.durable));
            self.tell_quorum(stage, moment, from, QuorumInput::Snapshot(written));
        }
        if out.full && !std::mem::replace(&mut self.retry_pending, true) {
            stage.count("out-of-space");
            let at = Mono(stage.now.0 + RETRY_WRITES_NS);
            moment.at(stage, at, HostEvent::RetryWrites);
        }
        for line in out.warnings {
            stage.note(Note::Says(moment.broker, line.into()));
        }
        if let Some(answer) = out.trimmed {
            self.trim_answer(stage, moment, answer);
        }
        if let Some(reason) = out.offline {
            self.go_offline(stage, moment, &reason);
        }
    }

    pub(super) fn begin_disk(
        &mut self,
        stage: &mut Stage,
        moment: &Moment,
        shard: u16,
        log: chronik_model::LogId,
    ) {
        let at = self.delays.segment(stage.now);
        moment.at(stage, at, HostEvent::Disk(shard, log));
    }

    /// A shard has acted on a view; behind the last one the frontends get it.
    fn view_taken(&mut self, stage: &mut Stage, moment: &Moment, view: &Arc<ClusterView>) {
        let mut publications = self.publications.iter_mut();
        if let Some((_, left)) = publications.find(|(published, _)| Arc::ptr_eq(published, view)) {
            *left -= 1;
        }
        while let Some((view, _)) = self.publications.pop_front_if(|(_, left)| *left == 0) {
            for frontend in 0..self.frontend_count {
                let input = FrontendInput::View(Arc::clone(&view));
                self.tell_frontend(stage, moment, (From::Quorum, frontend), input);
            }
            self.view = Some(view);
        }
    }

    /// The directory is offline for all who write to it.
    pub(super) fn go_offline(&mut self, stage: &mut Stage, moment: &Moment, reason: &str) {
        if std::mem::replace(&mut self.offline, true) {
            return;
        }
        stage.count("offline");
        let line = format!("the data directory is offline: {reason}");
        stage.note(Note::Says(moment.broker, line.into()));
        let failed = || ShardInput::JournalFailed(reason.to_owned());
        self.tell_shards(stage, moment, From::Journal, failed);
        self.tell_quorum(stage, moment, From::Journal, QuorumInput::Offline);
    }

    pub(super) fn retry_writes(&mut self, stage: &mut Stage, moment: &Moment) {
        self.retry_pending = false;
        self.tell_shards(stage, moment, From::Journal, || ShardInput::RetryWrites);
    }

    pub(super) fn step_frontend(
        &mut self,
        stage: &mut Stage,
        moment: &Moment,
        frontend: u16,
        input: FrontendInput,
    ) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let Some(machine) = self.frontends.get_mut(usize::from(frontend)) else {
                return;
            };
            follow(stage, "frontend", &input);
            let mut out = Vec::new();
            machine.step(moment.now, input, &mut out);
            for output in out {
                self.frontend_output(stage, moment, (frontend, output), &mut inputs);
            }
        }
        if let Some(machine) = self.frontends.get_mut(usize::from(frontend)) {
            drop(machine.take_observations());
            let deadline = machine.deadline();
            self.arm(stage, moment, Machine::Frontend(frontend), deadline);
        }
    }

    fn frontend_output(
        &mut self,
        stage: &mut Stage,
        moment: &Moment,
        (frontend, output): (u16, FrontendOutput),
        inputs: &mut VecDeque<FrontendInput>,
    ) {
        match output {
            FrontendOutput::Send(id, pieces) => self.send(stage, (frontend, id), pieces),
            FrontendOutput::Close(id, reason) => {
                let line = format!("connection closed: {reason}");
                stage.note(Note::Says(moment.broker, line.into()));
                inputs.extend(self.close(stage, frontend, id));
            }
            FrontendOutput::Resume(id) => {
                let at = self.delays.message(stage.now, Class::Turn);
                moment.at(stage, at, HostEvent::Read(frontend, id));
            }
            FrontendOutput::Shard(shard, request) => {
                let from = From::Frontend(frontend);
                let input = ShardInput::Request(request);
                self.tell_shard(stage, moment, from, shard.0, input);
                let turn = &mut self.turns[usize::from(frontend)];
                if *turn == 0 {
                    let at = self.delays.message(stage.now, Class::Turn);
                    moment.at(stage, at, HostEvent::EndTurn(frontend));
                }
                *turn |= 1 << shard.0;
            }
            FrontendOutput::Controller(ticket, request) => {
                let input = QuorumInput::Request { ticket, request };
                self.tell_quorum(stage, moment, From::Frontend(frontend), input);
            }
            FrontendOutput::ProducerIds => {
                let input = QuorumInput::ProducerIds(FrontendId(frontend));
                self.tell_quorum(stage, moment, From::Frontend(frontend), input);
            }
        }
    }

    pub(super) fn end_turn(&mut self, stage: &mut Stage, moment: &Moment, frontend: u16) {
        let asked = std::mem::take(&mut self.turns[usize::from(frontend)]);
        for shard in (0..self.shard_count()).filter(|shard| asked & 1 << shard > 0) {
            let from = From::Frontend(frontend);
            self.tell_shard(stage, moment, from, shard, ShardInput::EndTurn);
        }
    }
}

fn follow(stage: &mut Stage, machine: &str, input: &dyn std::fmt::Debug) {
    if stage.trace.is_followed() {
        let detail = format!("{machine} is told {input:?}");
        stage.trace.detail(stage.now, &detail);
    }
}
