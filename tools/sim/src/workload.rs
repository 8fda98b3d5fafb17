//! Who takes part in a run: how many clients of which kind, drawn by the seed. Some runs have no groups
//! and some hardly anything else, since what many do hides what few do.

use chronik_model::Mono;

use crate::actor::{Actor, ActorId, BrokerId};
use crate::client::admin::Admin;
use crate::client::consumer::Consumer;
use crate::client::desk::Terms;
use crate::client::dice::Dice;
use crate::client::group::classic::ClassicMember;
use crate::client::group::consumer::ConsumerMember;
use crate::client::group::{Protocol, protocol_of};
use crate::client::observer::Observer;
use crate::client::odd::{Odd, Oddity};
use crate::client::producer::{Kind, Producer};
use crate::client::scanner::Scanner;
use crate::client::topics::{Role, Topics};
use crate::clock::WALL_START_MS;
use crate::random::{Purpose, Seed};
use crate::run::Setup;

/// The clients of a run.
#[derive(Debug)]
pub struct Workload {
    /// They begin together, in this order, as the first actors of the world.
    pub actors: Vec<Box<dyn Actor>>,
    /// They begin when all others have ended, as the next actors.
    pub scanners: Vec<Box<dyn Actor>>,
}

impl Workload {
    /// Draws the clients of a seed.
    #[must_use]
    pub fn draw(seed: Seed, setup: &Setup) -> Self {
        let mut dice = Dice::new(seed.stream(Purpose::Actor, u16::MAX));
        let topics = Topics::draw(&mut dice, setup.segment_bytes);
        let parts = Parts::draw(&mut dice);
        let roles = parts.roles(&mut dice);
        let total: u64 = roles.iter().map(Part::weight).sum();
        let mut casting = Casting {
            seed,
            setup,
            topics,
            dice,
            next: 0,
        };
        let mut actors: Vec<Box<dyn Actor>> = Vec::with_capacity(roles.len());
        for part in roles {
            let budget = setup.operations * SURPLUS_PERCENT / 100 * part.weight() / total.max(1);
            actors.push(casting.play(part, budget));
        }
        let (terms, dice) = casting.terms(u64::MAX);
        let scanners: Vec<Box<dyn Actor>> = vec![Box::new(Scanner::new(terms, dice))];
        Self { actors, scanners }
    }
}

/// What one actor does.
#[derive(Debug, Clone, Copy)]
enum Part {
    Admin,
    Producer(Kind),
    /// Commits as a group without members, if it has one.
    Consumer(Option<u16>),
    Member(u16),
    Observer,
    Odd(Oddity),
}

impl Part {
    /// Its share of all operations.
    const fn weight(&self) -> u64 {
        match self {
            Self::Admin => 4,
            Self::Producer(Kind::Idempotent) => 18,
            Self::Producer(_) | Self::Consumer(_) => 12,
            Self::Member(_) => 8,
            Self::Observer => 3,
            Self::Odd(_) => 0,
        }
    }
}

/// How many of each there are.
#[derive(Debug, Clone, Copy)]
struct Parts {
    idempotent: u64,
    plain: u64,
    fire_and_forget: u64,
    consumers: u64,
    groups: u16,
    odd: u64,
}

impl Parts {
    fn draw(dice: &mut Dice) -> Self {
        let (groups, consumers) = match dice.between(0, 9) {
            0..=2 => (0, dice.between(1, 4)),
            3 => (3, 0),
            _ => (dice.small(1, 2), dice.between(1, 2)),
        };
        Self {
            idempotent: dice.between(1, 4),
            plain: dice.between(0, 2),
            fire_and_forget: dice.between(0, 1),
            consumers,
            groups: u16::try_from(groups).unwrap_or(0),
            odd: dice.between(0, 2),
        }
    }

    fn roles(self, dice: &mut Dice) -> Vec<Part> {
        let mut roles = vec![Part::Admin];
        roles.extend((0..self.idempotent).map(|_| Part::Producer(Kind::Idempotent)));
        for _ in 0..self.plain {
            let acks = dice.pick(&[1, -1]);
            roles.push(Part::Producer(Kind::Plain { acks }));
        }
        let kind = Kind::FireAndForget;
        roles.extend((0..self.fire_and_forget).map(|_| Part::Producer(kind)));
        for number in 0..self.consumers {
            let group = FIRST_OUTSIDE + u16::try_from(number).unwrap_or(0);
            let group = dice.chance(40).then_some(group);
            roles.push(Part::Consumer(group));
        }
        let first = u16::try_from(dice.between(0, 3)).unwrap_or(0);
        for group in first..first + self.groups {
            let members = dice.between(1, 4);
            roles.extend((0..members).map(|_| Part::Member(group)));
        }
        roles.push(Part::Observer);
        for _ in 0..self.odd {
            roles.push(Part::Odd(dice.pick(&[
                Oddity::Hasty,
                Oddity::Deaf,
                Oddity::HalfHearted,
                Oddity::Babbling,
            ])));
        }
        roles
    }
}

/// Hands out numbers and terms.
#[derive(Debug)]
struct Casting<'a> {
    seed: Seed,
    setup: &'a Setup,
    topics: Topics,
    dice: Dice,
    next: u16,
}

impl Casting<'_> {
    fn terms(&mut self, budget: u64) -> (Terms, Dice) {
        let id = self.next;
        self.next += 1;
        let broker = self.dice.index(usize::from(self.setup.brokers));
        let terms = Terms {
            id: ActorId(id),
            broker: BrokerId(u16::try_from(broker).unwrap_or(0)),
            topics: self.topics.clone(),
            budget,
            until: Mono(self.setup.duration_ns),
        };
        (terms, Dice::new(self.seed.stream(Purpose::Actor, id)))
    }

    fn play(&mut self, part: Part, budget: u64) -> Box<dyn Actor> {
        let (terms, dice) = self.terms(budget);
        match part {
            Part::Admin => Box::new(Admin::new(terms, dice)),
            Part::Producer(kind) => Box::new(Producer::new(terms, kind, WALL_START_MS, dice)),
            Part::Consumer(group) => Box::new(Consumer::new(terms, group, WALL_START_MS, dice)),
            Part::Member(group) => {
                let plans = self.plans_of(group);
                match protocol_of(group) {
                    Protocol::Eager | Protocol::Cooperative => {
                        Box::new(ClassicMember::new(terms, group, plans, dice))
                    }
                    Protocol::Consumer => {
                        let group = (group, self.session_ms());
                        Box::new(ConsumerMember::new(terms, group, plans, dice))
                    }
                }
            }
            Part::Observer => {
                let groups = (0..OBSERVED).chain([FIRST_OUTSIDE]);
                let groups = groups.map(|group| (group, self.plans_of(group)));
                Box::new(Observer::new(terms, groups.collect(), dice))
            }
            Part::Odd(oddity) => {
                let times = self.dice.between(1, 12);
                Box::new(Odd::new(oddity, terms.broker, times, dice))
            }
        }
    }

    /// The topics of a group, by convention: groups commit by name, so those that last.
    fn plans_of(&self, group: u16) -> Vec<usize> {
        let lasting = self.topics.which(|plan| plan.role == Role::Lasting);
        let mut some = lasting.clone();
        some.retain(|plan| (plan + usize::from(group)) % 3 != 0);
        if some.is_empty() || group >= FIRST_OUTSIDE {
            lasting
        } else {
            some
        }
    }

    /// After how long the brokers take members of the consumer protocol for dead.
    fn session_ms(&self) -> u64 {
        let settings = self.setup.settings.iter();
        let mut found = settings.filter(|(key, _)| key == "group.consumer.session.timeout.ms");
        let value = found.next().and_then(|(_, value)| value.parse().ok());
        value.unwrap_or(DEFAULT_SESSION_MS)
    }
}

/// Budgets are a little larger than what is asked for, as not all of them can be used up.
const SURPLUS_PERCENT: u64 = 120;
/// Groups from this number on have no members.
const FIRST_OUTSIDE: u16 = 1_000;
/// Groups with members have smaller numbers.
const OBSERVED: u16 = 6;
const DEFAULT_SESSION_MS: u64 = 45_000;
