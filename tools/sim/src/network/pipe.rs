//! One direction of a connection.

use std::collections::VecDeque;

use chronik_model::Mono;

use super::Piece;

/// Which direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// From the actor to the broker.
    Up = 0,
    /// From the broker to the actor.
    Down = 1,
}

/// What is on its way, oldest first. Every piece has an event of its own in the schedule, and none is
/// later than that of the piece behind it.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    pieces: VecDeque<Piece>,
    last_at: Mono,
    /// Nothing more goes in.
    ended: bool,
}

impl Pipe {
    /// Puts a piece in and says when it arrives; none where the end has been put in before.
    pub(super) fn put(&mut self, piece: Piece, at: Mono) -> Option<Mono> {
        if self.ended {
            return None;
        }
        self.ended = matches!(piece, Piece::End);
        self.pieces.push_back(piece);
        self.last_at = self.last_at.max(at);
        Some(self.last_at)
    }

    /// Takes what arrives.
    pub(super) fn take(&mut self) -> Option<Piece> {
        self.pieces.pop_front()
    }

    /// What was taken has to make its way once more.
    pub(super) fn put_back(&mut self, piece: Piece, at: Mono) {
        self.pieces.push_front(piece);
        self.wait_for(at);
    }

    /// Nothing arrives before `at`.
    pub(super) fn wait_for(&mut self, at: Mono) {
        self.last_at = self.last_at.max(at);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Pieces that are on their way.
    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Only the oldest `count` pieces arrive.
    pub(super) fn truncate(&mut self, count: usize) {
        self.pieces.truncate(count);
        self.ended = false;
    }

    /// Nothing of what is on its way arrives, and nothing more goes in.
    pub(super) fn clear(&mut self) {
        self.pieces.clear();
        self.ended = true;
    }
}
