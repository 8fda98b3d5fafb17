//! What every client has: one connection, knowledge of topics that is fresh after each reconnect,
//! chance, a budget of operations, and numbers for what it does.

use chronik_model::Mono;
use chronik_protocol::ApiKey;
use chronik_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, Encodable, MetadataResponse, StrBytes,
};

use super::catalog::Catalog;
use super::connection::{Connection, Event, Habits, Reply};
use super::dice::{Dice, MS};
use super::topics::Topics;
use super::versions::Versions;
use crate::actor::{ActorId, ActorInput, ActorOutputs, BrokerId};
use crate::history::{Fact, OpId, Value};

/// What a request of the connection is about.
#[derive(Debug)]
enum Errand<A> {
    Metadata,
    Served,
    Own(A),
}

/// What an actor hears of its desk.
#[derive(Debug)]
pub enum News<A> {
    /// A reply to one of its requests.
    Reply(Reply<A>),
    /// Nobody will answer these.
    Lost(Vec<A>),
    /// The topics are known as they are now.
    Learnt,
}

/// What an actor is made with.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Who it is.
    pub id: ActorId,
    /// Whom it connects to.
    pub broker: BrokerId,
    /// The run's topics.
    pub topics: Topics,
    /// Requests by which it sets its pace. A run without enough of them goes on, and everybody in it.
    pub budget: u64,
    /// When its think times should have used the budget up.
    pub until: Mono,
}

/// See the module.
#[derive(Debug)]
pub struct Desk<A> {
    /// Who it is.
    pub(crate) id: ActorId,
    /// Its chance.
    pub(crate) dice: Dice,
    /// Its versions.
    pub(crate) versions: Versions,
    /// Its topics.
    pub(crate) catalog: Catalog,
    connection: Connection<Errand<A>>,
    budget: u64,
    until: Mono,
    /// Whether Metadata was answered on this link.
    ready: bool,
    refresh_at: Option<Mono>,
    winding_down: bool,
    next_op: u64,
    next_value: u64,
}

impl<A> Desk<A> {
    /// A desk that opens its connection soon.
    #[must_use]
    pub fn new(terms: Terms, mut dice: Dice) -> Self {
        let versions = Versions::draw(&mut dice);
        let mut connection = Connection::new(Habits {
            index: 0,
            of: 2,
            broker: terms.broker,
            timeout: dice.pick(&[700, 2_000, 4_000, 8_000]) * MS,
        });
        connection.open_at(Mono(dice.between(0, 20 * MS)));
        Self {
            id: terms.id,
            dice,
            versions,
            catalog: Catalog::new(terms.topics),
            connection,
            budget: terms.budget,
            until: terms.until,
            ready: false,
            refresh_at: None,
            winding_down: false,
            next_op: 0,
            next_value: 0,
        }
    }

    /// Whether requests can be sent: the link stands, and topics are known as they are now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready && self.connection.is_open()
    }

    /// Whether new work may begin.
    #[must_use]
    pub const fn may_begin(&self) -> bool {
        !self.winding_down
    }

    /// Whether the end of the run was announced.
    #[must_use]
    pub const fn is_winding_down(&self) -> bool {
        self.winding_down
    }

    /// Requests sent.
    #[must_use]
    pub const fn operations(&self) -> u64 {
        self.connection.operations()
    }

    /// Requests without reply.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.connection.in_flight()
    }

    /// When the desk itself wants a tick.
    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        let refresh = self.refresh_at.filter(|_| self.connection.is_open());
        [self.connection.deadline(), refresh]
            .into_iter()
            .flatten()
            .min()
    }

    /// When to do the next thing, so that the budget lasts as long as the run; behind its end, at once.
    pub fn think(&mut self, now: Mono) -> Mono {
        let left = self.budget.saturating_sub(self.operations()).max(1);
        let time = self.until.0.saturating_sub(now.0);
        let mean = (time / left).clamp(MS, 2_000 * MS);
        Mono(now.0 + self.dice.between(mean / 4, mean * 7 / 4))
    }

    /// The number of a new operation.
    pub const fn new_op(&mut self) -> OpId {
        self.next_op += 1;
        OpId(self.next_op)
    }

    /// A value that nobody has written yet.
    pub const fn new_value(&mut self) -> Value {
        self.next_value += 1;
        Value {
            actor: self.id,
            number: self.next_value,
        }
    }

    /// Asks for the topics again, soon.
    pub fn refresh(&mut self, now: Mono) {
        if self.refresh_at.is_none() {
            self.refresh_at = Some(self.dice.later(now, 20, 200));
        }
    }

    /// Sends a request that will be answered.
    pub fn send<Q: Encodable>(
        &mut self,
        now: Mono,
        api: (ApiKey, i16),
        request: &Q,
        about: A,
        out: &mut ActorOutputs,
    ) {
        self.connection
            .send(now, api, request, Errand::Own(about), out);
    }

    /// Sends a request that may take so many ms.
    pub fn send_patiently<Q: Encodable>(
        &mut self,
        (now, ms): (Mono, u64),
        api: (ApiKey, i16),
        request: &Q,
        about: A,
        out: &mut ActorOutputs,
    ) {
        let errand = Errand::Own(about);
        self.connection
            .send_patiently((now, ms * MS), api, request, errand, out);
    }

    /// Sends a request that will not be answered.
    pub fn post<Q: Encodable>(&mut self, api: (ApiKey, i16), request: &Q, out: &mut ActorOutputs) {
        self.connection.post(api, request, out);
    }

    /// Hangs up and connects again after a while; returns what nobody will answer.
    pub fn reconnect(&mut self, at: Mono, out: &mut ActorOutputs) -> Vec<A> {
        let lost = self.connection.close(out);
        self.ready = false;
        self.connection.open_at(at);
        own(lost)
    }

    /// Hangs up for good.
    pub fn close(&mut self, out: &mut ActorOutputs) -> Vec<A> {
        self.ready = false;
        own(self.connection.close(out))
    }

    /// Takes an input of the actor.
    pub fn step(&mut self, now: Mono, input: &ActorInput, out: &mut ActorOutputs) -> Vec<News<A>> {
        if matches!(input, ActorInput::WindDown) {
            self.winding_down = true;
        }
        let events = self.connection.step((now, &mut self.dice), input, out);
        let mut news = Vec::with_capacity(events.len());
        for event in events {
            match event {
                Event::Opened => self.greet(now, out),
                Event::Broken(what) => out.facts.push(Fact::Protocol(what)),
                Event::Lost(abouts) => {
                    self.ready = false;
                    news.push(News::Lost(own(abouts)));
                }
                Event::Reply(reply) => news.extend(self.sort(now, reply, out)),
            }
        }
        if self.connection.is_open() && self.refresh_at.is_some_and(|at| at <= now) {
            self.ask_metadata(now, out);
        }
        news
    }

    /// A reply that can not be read is told, and gone.
    pub fn read<T: chronik_protocol::messages::Decodable>(
        &self,
        reply: &Reply<A>,
        out: &mut ActorOutputs,
    ) -> Option<T> {
        let decoded = reply.decode();
        decoded
            .map_err(|error| out.facts.push(Fact::Protocol(error)))
            .ok()
    }

    fn greet(&mut self, now: Mono, out: &mut ActorOutputs) {
        if self.dice.chance(40) {
            let mut request = ApiVersionsRequest::default();
            let (key, version) = self.versions.of(ApiKey::ApiVersions);
            if version >= 3 {
                request = request
                    .with_client_software_name(StrBytes::from_static_str("sim"))
                    .with_client_software_version(StrBytes::from_static_str("1"));
            }
            let errand = Errand::Served;
            self.connection
                .send(now, (key, version), &request, errand, out);
        }
        self.ask_metadata(now, out);
    }

    fn ask_metadata(&mut self, now: Mono, out: &mut ActorOutputs) {
        self.refresh_at = None;
        let api = self.versions.from(ApiKey::Metadata, WITH_TOPIC_IDS);
        let request = self.catalog.question();
        self.connection
            .send(now, api, &request, Errand::Metadata, out);
    }

    fn sort(
        &mut self,
        now: Mono,
        reply: Reply<Errand<A>>,
        out: &mut ActorOutputs,
    ) -> Option<News<A>> {
        let outcome = match reply.about {
            Errand::Own(_) => {
                let reply = reply.map(|errand| match errand {
                    Errand::Own(about) => Some(about),
                    Errand::Metadata | Errand::Served => None,
                });
                return reply.flatten().map(News::Reply);
            }
            Errand::Metadata => reply.decode::<MetadataResponse>().map(|response| {
                self.catalog.learn(&response, out);
                if !self.catalog.is_complete() {
                    self.refresh(now);
                }
                self.ready = true;
                Some(News::Learnt)
            }),
            Errand::Served => reply.decode::<ApiVersionsResponse>().and_then(|response| {
                let keys = response.api_keys.iter();
                let told: Vec<_> = keys
                    .map(|it| (it.api_key, it.min_version, it.max_version))
                    .collect();
                if response.error_code == 0 && self.versions.are_served(&told) {
                    Ok(None)
                } else {
                    Err(format!("ApiVersions tells {told:?}"))
                }
            }),
        };
        outcome.unwrap_or_else(|error| {
            out.facts.push(Fact::Protocol(error));
            None
        })
    }
}

fn own<A>(errands: Vec<Errand<A>>) -> Vec<A> {
    let own = errands.into_iter().filter_map(|errand| match errand {
        Errand::Own(about) => Some(about),
        Errand::Metadata | Errand::Served => None,
    });
    own.collect()
}

/// First version of Metadata that tells topic ids, and can ask for them.
const WITH_TOPIC_IDS: i16 = 10;
