//! The driver on bare event loops, with our own codec: what a client that costs next to nothing
//! would see. Produce requests are encoded once and sent again and again.

mod connection;
mod consume;
mod event_loop;
mod metadata;
mod produce;
mod timer;

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Instant;

use chronik_cli::BrokerAddress;
use chronik_model::NodeId;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use self::event_loop::{EventLoop, Load};
use crate::args::Mode;
use crate::driver::{Setup, share};
use crate::failure::Failure;
use crate::run::Job;

/// One worker per event loop, with its share of the connections, which stand already.
///
/// # Errors
/// [`Failure::Unreachable`] without all connections in time.
pub(crate) fn jobs(setup: &Setup) -> Result<Vec<Job>, Failure> {
    let args = &setup.plan.args;
    let connections = match args.mode {
        Mode::Consume => args.connections().min(setup.ranges.len()),
        Mode::Produce | Mode::Metadata | Mode::RoundTrip => args.connections(),
    };
    allow_open_files(connections);
    let threads = args.threads.min(connections).max(1);
    let dialer = Dialer {
        setup,
        deadline: Instant::now() + args.timeout,
    };
    let mut jobs: Vec<Job> = Vec::with_capacity(threads);
    let mut first = 0;
    for index in 0..threads {
        let count = share(connections, index, threads);
        let numbers: Vec<usize> = (first..first + count).collect();
        first += count;
        let streams = numbers
            .iter()
            .map(|number| dialer.dial(*number))
            .collect::<Result<Vec<_>, _>>()?;
        let load: Box<dyn Load + Send> = match args.mode {
            Mode::Produce | Mode::RoundTrip => Box::new(produce::Producing::new(setup, &numbers)?),
            Mode::Consume => Box::new(consume::Consuming::new(setup, &numbers, connections)),
            Mode::Metadata => Box::new(metadata::Asking::new(setup)?),
        };
        let event_loop = EventLoop::new(setup, (index, threads), streams, load)
            .map_err(|error| Failure::Unreachable(format!("cannot watch connections: {error}")))?;
        jobs.push(Box::new(move |run, recorder| event_loop.run(run, recorder)));
    }
    Ok(jobs)
}

/// Which partition connection `number` is for.
pub(crate) fn partition_of(setup: &Setup, number: usize) -> Option<&chronik_cli::Partition> {
    let partitions = &setup.cluster.topic.partitions;
    partitions.get(number % partitions.len().max(1))
}

/// Connects to whoever leads the partition of a connection.
struct Dialer<'a> {
    setup: &'a Setup,
    deadline: Instant,
}

impl Dialer<'_> {
    fn dial(&self, number: usize) -> Result<TcpStream, Failure> {
        let partition = partition_of(self.setup, number);
        let leader = partition.and_then(|partition| partition.leader);
        let leader = leader.unwrap_or(NodeId(-1));
        let address =
            self.setup.cluster.brokers.get(&leader).ok_or_else(|| {
                Failure::Unreachable(format!("broker {} has no address", leader.0))
            })?;
        self.connect(address).map_err(|error| {
            Failure::Unreachable(format!("connection {number} to {address}: {error}"))
        })
    }

    fn connect(&self, address: &BrokerAddress) -> io::Result<TcpStream> {
        let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for socket in (address.host.as_str(), address.port).to_socket_addrs()? {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            match TcpStream::connect_timeout(&socket, left) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_nonblocking(true)?;
                    return Ok(stream);
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

/// Raises the soft limit of open files as far as the hard one; dialling says what does not fit.
fn allow_open_files(connections: usize) {
    let limit = getrlimit(Resource::Nofile);
    let wanted = connections as u64 + SPARE_FILES;
    if limit.current.is_some_and(|current| current < wanted) {
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        let _raised = setrlimit(Resource::Nofile, raised);
    }
}

/// Files besides connections.
const SPARE_FILES: u64 = 64;
