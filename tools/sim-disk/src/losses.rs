//! What a power cut takes of everything that was not synced.

use chronik_model::rng::Rng;

use crate::step::chance;

/// What becomes of unsynced sectors and names.
#[derive(Debug, Clone)]
pub enum Losses {
    /// All of them are lost.
    All,
    /// All of them are there after all.
    Nothing,
    /// Each is lost or not, and some files keep a beginning, everything or nothing.
    Chance(Rng),
}

impl Losses {
    /// Draws what a power cut takes.
    #[must_use]
    pub fn draw(rng: &mut Rng) -> Self {
        match rng.below(8) {
            0 => Self::All,
            1 => Self::Nothing,
            _ => Self::Chance(Rng::new(rng.next_u64())),
        }
    }

    pub(crate) fn keeps_name(&mut self) -> bool {
        match self {
            Self::All => false,
            Self::Nothing => true,
            Self::Chance(rng) => rng.below(2) == 0,
        }
    }

    /// What is spared of a file of so many sectors.
    pub(crate) fn spared(&mut self, sectors: u64) -> Spared {
        let same = |all| Spared {
            rng: Rng::new(0),
            odds: if all { 100 } else { 0 },
            from: usize::MAX,
            cut: all,
            length: all,
        };
        match self {
            Self::All => same(false),
            Self::Nothing => same(true),
            Self::Chance(rng) => {
                let prefix = rng.below(4) == 0;
                let (odds, from) = if prefix {
                    (100, rng.below(sectors + 1))
                } else {
                    (chance(rng), sectors)
                };
                Spared {
                    odds,
                    from: usize::try_from(from).unwrap_or(usize::MAX),
                    cut: rng.below(2) == 0,
                    length: rng.below(8) == 0,
                    rng: Rng::new(rng.next_u64()),
                }
            }
        }
    }
}

/// What a power cut spares of one file.
#[derive(Debug, Clone)]
pub(crate) struct Spared {
    rng: Rng,
    /// Unsynced sectors that are there, of a hundred.
    odds: u64,
    /// The sector from which on all are lost.
    from: usize,
    /// Whether a cut of the file is there.
    pub(crate) cut: bool,
    /// Whether the length is there, with zeros where there is no data.
    pub(crate) length: bool,
}

impl Spared {
    /// Nothing is.
    pub(crate) const NOTHING: Self = Self {
        rng: Rng::new(0),
        odds: 0,
        from: 0,
        cut: false,
        length: false,
    };

    /// Whether an unsynced sector is there.
    pub(crate) fn sector(&mut self, sector: usize) -> bool {
        self.rng.below(100) < self.odds && sector < self.from
    }
}
