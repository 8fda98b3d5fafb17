//! The text that scrapers get.

use std::time::Duration;

use super::*;

struct TwoPartitions;

impl PartitionStats for TwoPartitions {
    fn partitions(&self) -> Vec<PartitionSample> {
        [(0, 5), (1, 7)]
            .map(|(partition, end)| PartitionSample {
                topic: TopicName::new("orders").unwrap(),
                partition: PartitionIndex(partition),
                log_start: Offset(1),
                log_end: Offset(end + 1),
                high_watermark: Offset(end),
                bytes: 4096,
                segments: 2,
            })
            .to_vec()
    }
}

struct TwoGroups;

impl GroupStats for TwoGroups {
    fn groups(&self) -> Vec<GroupSample> {
        let offset = |topic: &str, partition, offset, lag_records, lag_ms| GroupOffset {
            topic: topic.into(),
            partition,
            offset,
            lag_records,
            lag_ms,
        };
        let readers = GroupSample {
            group: "readers".into(),
            state: "Stable",
            group_type: "consumer",
            members: 3,
            offsets: vec![
                offset("orders", 0, 5, 0, 0),
                offset("orders", 1, 4, 3, 2500),
                offset("events", 0, 1, 9, 500),
            ],
        };
        let odd = GroupSample {
            group: "a \"b\" \\ \n".into(),
            state: "Empty",
            group_type: "classic",
            members: 0,
            offsets: Vec::new(),
        };
        vec![readers, odd]
    }
}

fn metrics(view: MetricsView) -> (Metrics, Vec<Arc<LoopCounters>>, Arc<JournalCounters>) {
    let loops = vec![Arc::new(LoopCounters::new()), Arc::new(LoopCounters::new())];
    let journal = Arc::new(JournalCounters::new());
    let store = StoreSample {
        memory_limit_bytes: 1000,
        memory_by_kind: vec![("replies", 7)],
        ..StoreSample::default()
    };
    let sources = Sources {
        loops: loops.clone(),
        journal: Arc::clone(&journal),
        partitions: Arc::new(TwoPartitions),
        groups: Arc::new(TwoGroups),
        store: Arc::new(move || store.clone()),
        clock: Arc::new(|| Mono(2_000_000_000)),
    };
    (Metrics::new(sources, view), loops, journal)
}

const EVERYTHING: MetricsView = MetricsView {
    kafka_names: true,
    partitions: true,
};

fn check_lines(text: &str, expected: &[&str]) {
    for line in expected {
        assert!(
            text.lines().any(|found| found == *line),
            "no line {line:?} in\n{text}"
        );
    }
}

#[test]
fn what_loops_count_is_summed() {
    let (metrics, loops, journal) = metrics(EVERYTHING);
    for one in &loops {
        one.request(0, 9);
        one.request(1, 12);
        one.request(-7, 0);
        one.received(100);
        one.sent(10);
        one.connection_opened();
        one.produced(3, 300);
        one.produce_failed(50);
        one.fetched(200);
        one.fetch_failed();
        one.error();
        one.produce_done(AcksLabel::All, Duration::from_millis(2));
    }
    loops[0].connection_closed();
    loops[1].woke(Mono(1_000_000_000));
    journal.committed(6, 600, Duration::from_micros(300));
    journal.queued(4);
    let text = metrics.render().unwrap();
    check_lines(
        &text,
        &[
            "chronik_requests_total{api=\"Produce\"} 2",
            "chronik_requests_total{api=\"Other\"} 2",
            "chronik_request_errors_total 2",
            "chronik_network_received_bytes_total 200",
            "chronik_network_sent_bytes_total 20",
            "chronik_connections 1",
            "chronik_produced_records_total 6",
            "chronik_produced_bytes_total 600",
            "chronik_produce_latency_seconds_count{acks=\"all\"} 2",
            "chronik_produce_latency_seconds_bucket{le=\"0.001\",acks=\"all\"} 0",
            "chronik_produce_latency_seconds_bucket{le=\"0.002\",acks=\"all\"} 2",
            "chronik_produce_latency_seconds_bucket{le=\"+Inf\",acks=\"all\"} 2",
            "chronik_event_loop_stall_seconds{loop=\"0\"} 0.0",
            "chronik_event_loop_stall_seconds{loop=\"1\"} 1.0",
            "chronik_journal_commit_duration_seconds_sum 0.0003",
            "chronik_journal_commit_records_bucket{le=\"10.0\"} 1",
            "chronik_journal_commit_bytes_count 1",
            "chronik_journal_queue_depth 4",
            "chronik_memory_limit_bytes 1000",
            "chronik_memory_held_bytes{kind=\"replies\"} 7",
            "chronik_partitions 2",
            "chronik_partition_high_watermark{topic=\"orders\",partition=\"1\"} 7",
            "kafka_server_brokertopicmetrics_messagesin_total 6",
            "kafka_server_brokertopicmetrics_bytesin_total 600",
            "kafka_server_brokertopicmetrics_bytesout_total 400",
            "kafka_server_brokertopicmetrics_bytesrejected_total 100",
            "kafka_server_brokertopicmetrics_failedproducerequests_total 2",
            "kafka_server_brokertopicmetrics_totalproducerequests_total 2",
            "kafka_server_brokertopicmetrics_totalfetchrequests_total 2",
            "kafka_network_requestmetrics_requests_total{request=\"Fetch\",version=\"12\"} 2",
            "kafka_server_replicamanager_leadercount 2",
            "kafka_server_replicamanager_underreplicatedpartitions 0",
            "kafka_controller_kafkacontroller_globaltopiccount 1",
            "kafka_topic_partitions{topic=\"orders\"} 2",
            "kafka_log_log_size{topic=\"orders\",partition=\"0\"} 4096",
            "kafka_log_log_logendoffset{topic=\"orders\",partition=\"0\"} 6",
            "kafka_log_log_numlogsegments{topic=\"orders\",partition=\"1\"} 2",
            "kafka_topic_partition_current_offset{topic=\"orders\",partition=\"0\"} 5",
        ],
    );
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn lag_is_told_by_partition_and_by_topic() {
    let text = metrics(EVERYTHING).0.render().unwrap();
    check_lines(
        &text,
        &[
            "chronik_group_state{group=\"readers\",type=\"consumer\",state=\"Stable\"} 1",
            "chronik_group_members{group=\"readers\"} 3",
            "chronik_group_topic_lag_records{group=\"readers\",topic=\"orders\"} 3",
            "chronik_group_topic_lag_seconds{group=\"readers\",topic=\"orders\"} 2.5",
            "chronik_group_lag_records{group=\"readers\",topic=\"orders\",partition=\"0\"} 0",
            "chronik_group_lag_records{group=\"readers\",topic=\"orders\",partition=\"1\"} 3",
            "chronik_group_lag_seconds{group=\"readers\",topic=\"orders\",partition=\"0\"} 0.0",
            "chronik_group_lag_seconds{group=\"readers\",topic=\"events\",partition=\"0\"} 0.5",
            "kafka_consumergroup_members{consumergroup=\"readers\"} 3",
            "kafka_consumergroup_current_offset_sum{consumergroup=\"readers\",topic=\"orders\"} 9",
            "kafka_consumergroup_lag_sum{consumergroup=\"readers\",topic=\"events\"} 9",
            "kafka_consumergroup_current_offset{consumergroup=\"readers\",topic=\"orders\",partition=\"1\"} 4",
            "kafka_consumergroup_lag{consumergroup=\"readers\",topic=\"orders\",partition=\"1\"} 3",
            // What a client made up stays within its label.
            r#"chronik_group_members{group="a \"b\" \\ \n"} 0"#,
        ],
    );
}

#[test]
fn families_are_declared_once_and_before_their_series() {
    let text = metrics(EVERYTHING).0.render().unwrap();
    let mut declared = std::collections::BTreeSet::new();
    let mut family = "";
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            family = rest.split(' ').next().unwrap();
            assert!(declared.insert(family), "{family} is declared twice");
        } else if !line.starts_with('#') {
            assert!(line.starts_with(family), "{line} follows {family}");
        }
    }
}

#[test]
fn what_is_switched_off_is_left_out() {
    let check = |view: MetricsView, per_partition: bool, kafka: bool| {
        let text = metrics(view).0.render().unwrap();
        let has = |part: &str| text.contains(part);
        assert_eq!(
            has("chronik_partition_high_watermark"),
            per_partition,
            "{view:?}"
        );
        assert_eq!(
            has("kafka_log_log_size"),
            per_partition && kafka,
            "{view:?}"
        );
        assert_eq!(has("chronik_group_lag_"), per_partition, "{view:?}");
        assert_eq!(
            has("kafka_consumergroup_lag{"),
            per_partition && kafka,
            "{view:?}"
        );
        assert_eq!(has("kafka_consumergroup_lag_sum{"), kafka, "{view:?}");
        assert!(has("chronik_group_topic_lag_seconds{"), "{view:?}");
        assert_eq!(has("kafka_server_"), kafka, "{view:?}");
        assert!(has("chronik_partitions 2"), "{view:?}");
    };
    check(EVERYTHING, true, true);
    check(
        MetricsView {
            kafka_names: false,
            ..EVERYTHING
        },
        true,
        false,
    );
    check(
        MetricsView {
            partitions: false,
            ..EVERYTHING
        },
        false,
        true,
    );
}
