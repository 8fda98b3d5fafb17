//! Asking for the topic's metadata, one request after the other.

use std::sync::Arc;

use rdkafka::producer::Producer as _;

use super::native_calls::Producer;
use super::{producer_config, with_properties};
use crate::driver::Setup;
use crate::failure::Failure;
use crate::run::{Gate, Job, Run};
use crate::stats::Recorder;

/// As many workers as requests in flight; they share the handles.
pub(super) fn jobs(setup: &Setup) -> Result<Vec<Job>, Failure> {
    let args = &setup.plan.args;
    let config = with_properties(producer_config(args, 1), args);
    let topic = args.topic.as_str();
    let handles: Vec<Arc<Producer>> = (0..args.connections().min(args.concurrency))
        .map(|_| Producer::open(&config, topic).map(Arc::new))
        .collect::<Result<_, _>>()?;
    let asking = handles.iter().cycle().take(args.concurrency).enumerate();
    let job = |(index, handle): (usize, &Arc<Producer>)| -> Job {
        let asking = Asking {
            handle: Arc::clone(handle),
            gate: Gate::new(&setup.plan, index, args.concurrency),
            topic: args.topic.to_string(),
            timeout: args.timeout,
        };
        Box::new(move |run, recorder| {
            asking.run(run, recorder);
            Ok(Vec::new())
        })
    };
    Ok(asking.map(job).collect())
}

struct Asking {
    handle: Arc<Producer>,
    gate: Gate,
    topic: String,
    timeout: std::time::Duration,
}

impl Asking {
    fn run(mut self, run: &Run, recorder: &Recorder) {
        loop {
            let sent_ns = run.now_ns();
            if run.is_abandoned() || self.gate.pass(run, sent_ns, 1) == 0 {
                return;
            }
            let client = self.handle.client().client();
            let answer = client.fetch_metadata(Some(&self.topic), self.timeout);
            let mut entry = recorder.entry(run.now_ns());
            match answer {
                Ok(_) => entry.answered(sent_ns, 1, 0),
                Err(error) => entry.failed(sent_ns, 1, &error.to_string()),
            }
        }
    }
}
