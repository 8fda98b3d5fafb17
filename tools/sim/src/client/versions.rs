//! Which version of each API one client speaks: the newest, or an older one that is served.

use chronik_node::api::served_versions;
use chronik_protocol::{ApiKey, ApiVersionRange};

use super::dice::Dice;

/// The versions of one client, of those that the server serves.
#[derive(Debug, Clone)]
pub struct Versions(Vec<(ApiVersionRange, i16)>);

impl Versions {
    /// Draws them.
    #[must_use]
    pub fn draw(dice: &mut Dice) -> Self {
        let is_new = dice.chance(40);
        let mut drawn = Vec::new();
        for range in served_versions() {
            let version = if is_new || dice.chance(30) {
                range.max_version
            } else {
                let (low, high) = (i32::from(range.min_version), i32::from(range.max_version));
                i16::try_from(dice.small(low, high)).unwrap_or(range.max_version)
            };
            drawn.push((range, version));
        }
        Self(drawn)
    }

    /// The version that was drawn.
    #[must_use]
    pub fn of(&self, key: ApiKey) -> (ApiKey, i16) {
        self.within(key, 0, i16::MAX)
    }

    /// The version that was drawn, or the nearest one that is not older.
    #[must_use]
    pub fn from(&self, key: ApiKey, oldest: i16) -> (ApiKey, i16) {
        self.within(key, oldest, i16::MAX)
    }

    /// The version that was drawn, or the nearest one between these.
    ///
    /// # Panics
    /// For an API that is not served.
    #[must_use]
    pub fn within(&self, key: ApiKey, oldest: i16, newest: i16) -> (ApiKey, i16) {
        let found = self.0.iter().find(|(range, _)| range.api_key == key);
        let (_, version) = found.expect("clients use what is served");
        (key, (*version).clamp(oldest, newest))
    }

    /// What the server should say of itself.
    #[must_use]
    pub fn are_served(&self, told: &[(i16, i16, i16)]) -> bool {
        self.0.iter().all(|(range, _)| {
            let wanted = (range.api_key.code(), range.min_version, range.max_version);
            told.contains(&wanted)
        })
    }
}
