//! Where a broker's machines meet connections and the disk.

use chronik_model::{LogId, Mono};
use chronik_node::{ConnectionId, FrontendInput, Peer, Pieces};
use chronik_sim_disk::SimDisk;
use chronik_storage::disk::{DiskErrorKind, DiskOp};

use super::HostEvent;
use super::doors::Read;
use super::journal::Begun;
use super::mail::Class;
use super::node::{From, Moment, Node};
use super::pool;
use crate::network::{Piece, Socket, WireId};
use crate::world::{Note, Stage, Trace};

/// A checkpoint that failed is tried again after this time.
const CHECKPOINT_RETRY_NS: u64 = 1_000_000_000;

impl Node {
    /// A connection comes in.
    pub(super) fn accept(&mut self, stage: &mut Stage, moment: &Moment, wire: WireId) {
        stage.count("connections");
        let (frontend, id) = self.doors.open(wire);
        let peer = Peer {
            listener: 0,
            host: "client.sim".into(),
        };
        self.step_frontend(stage, moment, frontend, FrontendInput::Connected(id, peer));
        let socket = Socket { frontend, id };
        stage.on_network(|network, times| network.accepted(times, wire, socket));
    }

    /// Something comes in on a connection.
    pub(super) fn receive(
        &mut self,
        stage: &mut Stage,
        moment: &Moment,
        socket: Socket,
        piece: Piece,
    ) {
        if let Some(door) = self.doors.get(socket.frontend, socket.id) {
            door.put(piece);
            self.read(stage, moment, socket.frontend, socket.id);
        }
    }

    /// Hands in requests for as long as the frontend takes them.
    pub(super) fn read(
        &mut self,
        stage: &mut Stage,
        moment: &Moment,
        frontend: u16,
        id: ConnectionId,
    ) {
        loop {
            let Some(door) = self.doors.get(frontend, id) else {
                return;
            };
            match door.next_frame() {
                Ok(Some(frame)) => {
                    stage.count("requests");
                    let input = FrontendInput::Frame(id, frame);
                    self.step_frontend(stage, moment, frontend, input);
                    continue;
                }
                Ok(None) => {}
                Err(error) => {
                    let line = format!("connection closed: {error}");
                    stage.note(Note::Says(moment.broker, line.into()));
                    return self.hang_up(stage, moment, frontend, id);
                }
            }
            let machine = self.frontends.get_mut(usize::from(frontend));
            if self.stop.is_some() || !machine.is_some_and(|it| it.accepts(id)) {
                return;
            }
            match door.read() {
                Read::Some => {}
                Read::Nothing => return,
                Read::End => return self.hang_up(stage, moment, frontend, id),
            }
        }
    }

    fn hang_up(&mut self, stage: &mut Stage, moment: &Moment, frontend: u16, id: ConnectionId) {
        if let Some(input) = self.close(stage, frontend, id) {
            self.step_frontend(stage, moment, frontend, input);
        }
    }

    /// Writes a reply.
    pub(super) fn send(&mut self, stage: &mut Stage, to: (u16, ConnectionId), pieces: Pieces) {
        let (frontend, id) = to;
        let Some(door) = self.doors.get(frontend, id) else {
            return;
        };
        let wire = door.wire;
        // The simulated disk reads: it never pins a file.
        let bytes = pieces.joined().unwrap_or_default();
        stage.trace.bytes(&bytes);
        stage.counters.add("bytes-sent", bytes.len() as u64);
        if let Some((actor, link)) = stage.network.ends(wire) {
            stage.note(Note::Down(actor, link, bytes.len()));
        }
        stage.on_network(|network, times| network.send_down(times, wire, bytes));
    }

    /// Closes a connection; what the frontend is to hear of it is returned.
    pub(super) fn close(
        &mut self,
        stage: &mut Stage,
        frontend: u16,
        id: ConnectionId,
    ) -> Option<FrontendInput> {
        let door = self.doors.close(frontend, id)?;
        stage.on_network(|network, times| network.close_down(times, door.wire));
        Some(FrontendInput::Closed(id))
    }

    /// Something may wait for the journal.
    pub(super) fn wake_journal(&mut self, stage: &mut Stage, moment: &Moment) {
        if self.journal.is_asleep() {
            self.journal.awake = true;
            let at = self.delays.message(stage.now, Class::Committed);
            moment.at(stage, at, HostEvent::CommitBegin);
        }
    }

    /// The journal takes what waits.
    pub(super) fn commit_begin(&mut self, stage: &mut Stage, moment: &Moment) {
        let begun = self.journal.begin(&mut self.shards);
        self.begun(stage, moment, begun);
    }

    /// The journal has room again, or nothing to do.
    fn go_on(&mut self, stage: &mut Stage, moment: &Moment) {
        let begun = self.journal.go_on();
        self.begun(stage, moment, begun);
        if self.shards.iter().any(chronik_node::Shard::wants_commit) {
            self.wake_journal(stage, moment);
        }
    }

    fn begun(&mut self, stage: &mut Stage, moment: &Moment, begun: Begun) {
        match begun {
            Begun::Nothing => {}
            Begun::Writing => {
                let at = self.delays.journal(stage.now);
                moment.at(stage, at, HostEvent::CommitEnd);
            }
            Begun::Stuck => {
                stage.count("journal-stuck");
                self.ask_for_trim(stage, moment);
            }
        }
    }

    /// The journal's write is done.
    pub(super) fn commit_end(&mut self, stage: &mut Stage, moment: &Moment, disk: &mut SimDisk) {
        let mut bytes = 0;
        let ended = self.journal.end(disk, |written| {
            bytes += written.len();
            stage.trace.bytes(written);
        });
        match ended {
            Ok(told) => {
                stage.count("commits");
                stage.note(Note::Journal(moment.broker, bytes));
                for (shard, input) in told {
                    self.tell_shard(stage, moment, From::Journal, shard, input);
                }
                self.ask_for_trim(stage, moment);
                self.go_on(stage, moment);
            }
            Err(error) => self.go_offline(stage, moment, &error.to_string()),
        }
    }

    pub(super) fn ask_for_trim(&mut self, stage: &mut Stage, moment: &Moment) {
        if let Some(chronik_node::ShardInput::Trim(sequence)) = self.journal.ask_for_trim() {
            let input = || chronik_node::ShardInput::Trim(sequence);
            // Behind the frames that were committed before: what they hold may not be overlooked.
            self.tell_shards(stage, moment, From::Journal, input);
        }
    }

    /// The checkpoint has reached the disk, or can not.
    pub(super) fn checkpoint_end(
        &mut self,
        stage: &mut Stage,
        moment: &Moment,
        disk: &mut SimDisk,
    ) {
        match self.journal.checkpointed(disk) {
            Ok(()) => {
                stage.count("checkpoints");
                self.go_on(stage, moment);
            }
            Err(error) => {
                stage.count("checkpoints-failed");
                let line = format!("a checkpoint can not be written: {error}");
                stage.note(Note::Says(moment.broker, line.into()));
                let at = Mono(stage.now.0 + CHECKPOINT_RETRY_NS);
                moment.at(stage, at, HostEvent::CheckpointRetry);
            }
        }
    }

    /// Carries out the first operation of a log.
    pub(super) fn disk_operation(
        &mut self,
        stage: &mut Stage,
        moment: &Moment,
        disk: &mut SimDisk,
        (shard, log): (u16, LogId),
    ) {
        let Some((request, done, more)) = self.pool.carry_out(disk, shard, log) else {
            return;
        };
        let success = done.result.is_ok();
        stage.note(Note::Disk(
            moment.broker,
            pool::name(&request.op),
            log.0,
            success,
        ));
        count(stage, &request.op);
        hash(&mut stage.trace, &request.op);
        let harmless = |kind| matches!(kind, DiskErrorKind::NotFound);
        if done
            .result
            .as_ref()
            .is_err_and(|error| !harmless(error.kind))
        {
            stage.count("disk-failures");
        }
        let input = chronik_node::ShardInput::Disk(done);
        self.tell_shard(stage, moment, From::Disk, shard, input);
        if more {
            self.begin_disk(stage, moment, shard, log);
        }
    }
}

fn count(stage: &mut Stage, op: &DiskOp) {
    stage.count("disk-operations");
    let name = match op {
        DiskOp::Write { .. } | DiskOp::WriteIndex { .. } | DiskOp::ReplaceFile { .. } => {
            "disk-writes"
        }
        DiskOp::Sync { .. } => "disk-syncs",
        DiskOp::Read { .. } | DiskOp::FindTimestamp { .. } | DiskOp::ReadIndex { .. } => {
            "disk-reads"
        }
        DiskOp::Compact { .. } => "disk-compactions",
        DiskOp::Truncate { .. }
        | DiskOp::RemoveSegment { .. }
        | DiskOp::RemoveFile { .. }
        | DiskOp::RemoveLog { .. } => "disk-removals",
    };
    stage.count(name);
}

/// What goes to the disk is a part of the trace.
fn hash(trace: &mut Trace, op: &DiskOp) {
    match op {
        DiskOp::Write {
            position, buffers, ..
        } => {
            trace.number(*position);
            buffers.iter().for_each(|buffer| trace.bytes(buffer));
        }
        DiskOp::WriteIndex { bytes, .. } | DiskOp::ReplaceFile { bytes, .. } => {
            trace.bytes(bytes);
        }
        DiskOp::Truncate { length, .. } => trace.number(*length),
        DiskOp::Sync { .. }
        | DiskOp::Read { .. }
        | DiskOp::FindTimestamp { .. }
        | DiskOp::Compact { .. }
        | DiskOp::ReadIndex { .. }
        | DiskOp::RemoveSegment { .. }
        | DiskOp::RemoveFile { .. }
        | DiskOp::RemoveLog { .. } => {}
    }
}
