//! Before the load: is everybody there, under the addresses that clients will be told, and is the
//! topic as it should be? Whatever is waited for is named, and nothing is waited for longer than the
//! deadline.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use chronik_cli::{
    BrokerAddress, CliError, Client, Connection, IfMissing, LATEST, Target, Topic, is_transient,
    list_offset, wire_name,
};
use chronik_model::{ErrorCode, NodeId};
use chronik_protocol::messages::create_topics_request::CreatableTopic;
use chronik_protocol::messages::{
    CreateTopicsRequest, FetchRequest, MetadataRequest, ProduceRequest,
};

use crate::args::Args;
use crate::failure::Failure;

/// A cluster that is ready for the load.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// Its brokers, under the addresses that they give out.
    pub(crate) brokers: BTreeMap<NodeId, BrokerAddress>,
    /// The topic, every partition with a leader.
    pub(crate) topic: Topic,
    /// What all of its brokers speak.
    pub(crate) versions: ApiVersions,
}

/// API versions that this client and all brokers have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ApiVersions {
    /// Of Produce.
    pub(crate) produce: i16,
    /// Of Fetch.
    pub(crate) fetch: i16,
    /// Of Metadata.
    pub(crate) metadata: i16,
}

/// Makes sure that the load can begin; says on `out` what it waits for.
///
/// # Errors
/// [`Failure::Unreachable`] when the deadline passes, [`Failure::Usage`] for a topic that is not as
/// the arguments say.
pub(crate) fn prepare(args: &Args, out: &mut dyn Write) -> Result<Cluster, Failure> {
    let mut wait = Wait::new(args.timeout, out);
    let answering = bootstrap(&args.bootstrap_servers, &mut wait)?;
    let mut client = Client::for_brokers(answering, wait.left().max(SHORTEST_ATTEMPT));
    let brokers = client.brokers()?;
    let versions = advertised(&brokers, args, &mut wait)?;
    if args.creates_topic() {
        create_topic(args, &mut client, &mut wait)?;
    }
    let topic = led_topic(args, &mut client, &mut wait)?;
    check_partitions(args, &topic)?;
    // Metadata may name a leader that does not know it yet.
    for partition in &topic.partitions {
        list_offset(&mut client, &args.topic, partition.index, LATEST)?;
    }
    Ok(Cluster {
        brokers,
        topic,
        versions,
    })
}

/// The addresses that answer. As a client would, it goes on when one of several does.
fn bootstrap(
    addresses: &[BrokerAddress],
    wait: &mut Wait<'_>,
) -> Result<Vec<BrokerAddress>, Failure> {
    loop {
        let mut answering = Vec::new();
        let mut problems = Vec::new();
        for address in addresses {
            match Connection::open(address, wait.attempt()) {
                Ok(_) => answering.push(address.clone()),
                Err(error) => problems.push(format!("{address}: {}", reason(&error))),
            }
        }
        if !answering.is_empty() {
            for problem in problems {
                wait.say(&format!("warning: {problem}; going on with the others"));
            }
            return Ok(answering);
        }
        wait.pause(&problems.join("; "))?;
    }
}

/// Clients are told these addresses, and all of them must be reachable from here: a client that
/// gets one it can not reach hangs.
fn advertised(
    brokers: &BTreeMap<NodeId, BrokerAddress>,
    args: &Args,
    wait: &mut Wait<'_>,
) -> Result<ApiVersions, Failure> {
    let mut common: Option<ApiVersions> = None;
    for (node, address) in brokers {
        let connection = loop {
            match Connection::open(address, wait.attempt()) {
                Ok(connection) => break connection,
                Err(error) => wait.pause(&format!(
                    "broker {}, which is advertised as {address}: {}",
                    node.0,
                    reason(&error)
                ))?,
            }
        };
        let found = ApiVersions {
            produce: connection.version_of::<ProduceRequest>()?,
            fetch: connection.version_of::<FetchRequest>()?,
            metadata: connection.version_of::<MetadataRequest>()?,
        };
        let lowest = |common: ApiVersions| ApiVersions {
            produce: common.produce.min(found.produce),
            fetch: common.fetch.min(found.fetch),
            metadata: common.metadata.min(found.metadata),
        };
        common = Some(common.map_or(found, lowest));
    }
    common.ok_or_else(|| {
        let servers: Vec<_> = args
            .bootstrap_servers
            .iter()
            .map(ToString::to_string)
            .collect();
        Failure::Unreachable(format!("{} knows of no broker", servers.join(",")))
    })
}

fn create_topic(args: &Args, client: &mut Client, wait: &mut Wait<'_>) -> Result<(), Failure> {
    let mut topic = CreatableTopic::default();
    topic.name = wire_name(&args.topic);
    topic.num_partitions = args.partitions.unwrap_or(BROKER_DEFAULT);
    topic.replication_factor = args.replication_factor.unwrap_or(-1);
    let mut request = CreateTopicsRequest::default();
    request.topics = vec![topic];
    request.timeout_ms = client.broker_timeout_ms();
    loop {
        let answer = client.call(Target::Controller, &request)?;
        let Some(topic) = answer.topics.first() else {
            return Ok(());
        };
        let code = topic.error_code;
        if code == ErrorCode::None.code() {
            wait.say(&format!("topic {} is created", args.topic));
            return Ok(());
        }
        if code == ErrorCode::TopicAlreadyExists.code() {
            return Ok(());
        }
        let message = topic.error_message.as_deref();
        let refused = CliError::refused(format!("create topic {}", args.topic), code, message);
        if !is_transient(code) {
            return Err(refused.into());
        }
        client.forget_controller();
        wait.pause(&refused.to_string())?;
    }
}

/// The topic, once every partition has a leader. Brokers may create it on being asked.
fn led_topic(args: &Args, client: &mut Client, wait: &mut Wait<'_>) -> Result<Topic, Failure> {
    loop {
        let topic = client.topic(&args.topic, IfMissing::Create)?;
        let led = topic.partitions.iter().filter(|p| p.leader.is_some());
        let (led, all) = (led.count(), topic.partitions.len());
        if led == all && all > 0 {
            return Ok(topic);
        }
        client.forget_topic(&args.topic);
        wait.pause(&format!(
            "leaders of {}: {led} of {all} partitions have one",
            args.topic
        ))?;
    }
}

fn check_partitions(args: &Args, topic: &Topic) -> Result<(), Failure> {
    let found = topic.partitions.len();
    match args.partitions.map(usize::try_from) {
        Some(Ok(wanted)) if wanted != found => Err(Failure::Usage(format!(
            "topic {} is there already, with {found} partitions instead of {wanted}: use another \
             --topic, or leave out --partitions",
            args.topic
        ))),
        Some(_) | None => Ok(()),
    }
}

/// The time that is left, and words about what it is spent on.
struct Wait<'a> {
    deadline: Instant,
    timeout: Duration,
    pause: Duration,
    out: &'a mut dyn Write,
    said: String,
}

impl<'a> Wait<'a> {
    fn new(timeout: Duration, out: &'a mut dyn Write) -> Self {
        Self {
            deadline: Instant::now() + timeout,
            timeout,
            pause: FIRST_PAUSE,
            out,
            said: String::new(),
        }
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// How long one attempt may take.
    fn attempt(&self) -> Duration {
        self.left().clamp(SHORTEST_ATTEMPT, LONGEST_ATTEMPT)
    }

    /// Waits a little for `what`, which is named once.
    fn pause(&mut self, what: &str) -> Result<(), Failure> {
        if self.left() <= self.pause {
            let seconds = self.timeout.as_secs_f64();
            return Err(Failure::Unreachable(format!(
                "not ready within {seconds} s (--timeout): {what}"
            )));
        }
        if self.said != what {
            let left = self.left().as_secs();
            self.say(&format!("waiting up to {left} s for {what}"));
            what.clone_into(&mut self.said);
        }
        std::thread::sleep(self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }

    /// Nobody may be reading; that changes nothing.
    fn say(&mut self, text: &str) {
        drop(writeln!(self.out, "{text}"));
    }
}

/// A connection's problem without the advice, which is for other commands.
fn reason(error: &CliError) -> String {
    match error {
        CliError::Connect { reason, .. } | CliError::Lost { reason, .. } => reason.clone(),
        CliError::TimedOut { seconds, .. } => format!("no answer within {seconds:.1} s"),
        CliError::Usage(_)
        | CliError::Unreachable { .. }
        | CliError::Unsupported { .. }
        | CliError::Malformed { .. }
        | CliError::Refused { .. }
        | CliError::Several { .. }
        | CliError::Input(_)
        | CliError::Output(_) => error.to_string(),
    }
}

const BROKER_DEFAULT: i32 = -1;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const SHORTEST_ATTEMPT: Duration = Duration::from_millis(100);
const LONGEST_ATTEMPT: Duration = Duration::from_secs(5);
