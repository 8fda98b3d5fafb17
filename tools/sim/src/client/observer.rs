//! Somebody outside of all groups who asks what they have committed, and looks at them.

use chronik_model::Mono;
use chronik_protocol::ApiKey;
use chronik_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DescribeGroupsRequest,
    DescribeGroupsResponse, GroupId, ListGroupsRequest, ListGroupsResponse, OffsetFetchResponse,
};

use super::catalog::Spot;
use super::connection::Reply;
use super::desk::{Desk, News, Terms};
use super::dice::Dice;
use super::offsets::{committed, committed_request, group_name};
use crate::actor::{Actor, ActorInput, ActorOutputs};
use crate::history::Fact;

#[derive(Debug)]
enum About {
    Committed(u16, Vec<Spot>),
    List,
    Classic,
    Consumer,
}

/// See the module.
#[derive(Debug)]
pub struct Observer {
    desk: Desk<About>,
    /// Groups, and the topics that they read.
    groups: Vec<(u16, Vec<usize>)>,
    next_at: Mono,
}

impl Observer {
    /// Looks at these groups, each with the topics that it reads.
    #[must_use]
    pub fn new(terms: Terms, groups: Vec<(u16, Vec<usize>)>, dice: Dice) -> Self {
        let mut desk = Desk::new(terms, dice);
        let next_at = desk.dice.later(Mono(0), 500, 2_000);
        Self {
            desk,
            groups,
            next_at,
        }
    }

    fn act(&mut self, now: Mono, out: &mut ActorOutputs) {
        if !self.desk.is_ready() || self.next_at > now || !self.desk.may_begin() {
            return;
        }
        self.next_at = self.desk.think(now);
        if self.groups.is_empty() {
            return;
        }
        let index = self.desk.dice.index(self.groups.len());
        let Some((group, plans)) = self.groups.get(index).cloned() else {
            return;
        };
        let versions = &self.desk.versions;
        let name = GroupId(group_name(group));
        match self.desk.dice.between(0, 9) {
            0 => {
                let (key, version) = versions.of(ApiKey::ListGroups);
                let request = ListGroupsRequest::default();
                self.desk
                    .send(now, (key, version), &request, About::List, out);
            }
            1 => {
                let api = versions.of(ApiKey::DescribeGroups);
                let request = DescribeGroupsRequest::default().with_groups(vec![name]);
                self.desk.send(now, api, &request, About::Classic, out);
            }
            2 => {
                let api = versions.of(ApiKey::ConsumerGroupDescribe);
                let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![name]);
                self.desk.send(now, api, &request, About::Consumer, out);
            }
            _ => self.ask(now, group, &plans, out),
        }
    }

    fn ask(&mut self, now: Mono, group: u16, plans: &[usize], out: &mut ActorOutputs) {
        let catalog = &self.desk.catalog;
        let spots: Vec<Spot> = plans.iter().flat_map(|plan| catalog.spots(*plan)).collect();
        if spots.is_empty() {
            return;
        }
        let api = self.desk.versions.of(ApiKey::OffsetFetch);
        let request = committed_request((group, api.1), None, &spots, catalog);
        let about = About::Committed(group, spots);
        self.desk.send(now, api, &request, about, out);
    }

    fn take(&mut self, reply: &Reply<About>, out: &mut ActorOutputs) {
        match &reply.about {
            About::Committed(group, spots) => {
                let response = self.desk.read::<OffsetFetchResponse>(reply, out);
                let Some(response) = response else { return };
                if let Ok(offsets) = committed(&response, spots, &self.desk.catalog) {
                    out.facts.push(Fact::CommitsRead {
                        group: *group,
                        asked: reply.sent_at,
                        offsets,
                    });
                }
            }
            About::List => drop(self.desk.read::<ListGroupsResponse>(reply, out)),
            About::Classic => drop(self.desk.read::<DescribeGroupsResponse>(reply, out)),
            About::Consumer => drop(self.desk.read::<ConsumerGroupDescribeResponse>(reply, out)),
        }
    }
}

impl Actor for Observer {
    fn step(&mut self, now: Mono, input: ActorInput, out: &mut ActorOutputs) {
        for news in self.desk.step(now, &input, out) {
            if let News::Reply(reply) = news {
                self.take(&reply, out);
            }
        }
        self.act(now, out);
        if self.is_done() {
            self.desk.close(out);
        }
    }

    fn deadline(&self) -> Option<Mono> {
        let next = Some(self.next_at).filter(|_| self.desk.is_ready() && self.desk.may_begin());
        [self.desk.deadline(), next].into_iter().flatten().min()
    }

    fn is_done(&self) -> bool {
        self.desk.is_winding_down() && self.desk.in_flight() == 0
    }

    fn state(&self) -> String {
        let (in_flight, ready) = (self.desk.in_flight(), self.desk.is_ready());
        format!("observer, {in_flight} requests in flight, ready: {ready}")
    }

    fn operations(&self) -> u64 {
        self.desk.operations()
    }
}
