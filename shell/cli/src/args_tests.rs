use std::time::Duration;

use chronik_model::{NodeId, Offset, PartitionIndex, TopicName};
use clap::Parser;

use super::{
    Acks, BrokerAddress, ClientCommand, CompressionArg, ConfigCommand, ConfigResource, GlobalArgs,
    KeyValue, OutputFormat, StartOffset, TopicCommand, parse_duration,
};

/// A binary as the server's: global options and the client's subcommands.
#[derive(Debug, Parser)]
struct Binary {
    #[command(flatten)]
    globals: GlobalArgs,
    #[command(subcommand)]
    command: ClientCommand,
}

fn parse(line: &str) -> Result<Binary, clap::Error> {
    Binary::try_parse_from(["chronik"].into_iter().chain(line.split_whitespace()))
}

#[test]
fn the_definition_is_consistent() {
    <Binary as clap::CommandFactory>::command().debug_assert();
}

#[test]
fn global_options_stand_before_or_after_the_command() {
    for line in [
        "-X a:1,b -o json topic list",
        "topic list --brokers a:1,b --output json",
    ] {
        let globals = parse(line).unwrap().globals;
        let brokers: Vec<_> = globals.brokers.iter().map(ToString::to_string).collect();
        assert_eq!(brokers, ["a:1", "b:9092"], "{line}");
        assert_eq!(globals.output, OutputFormat::Json, "{line}");
    }
}

#[test]
fn wrong_lines_are_refused() {
    let check = |line: &str| assert!(parse(line).is_err(), "{line}");
    check("");
    check("topic create");
    check("topic create t -p 0");
    check("topic create t -r 40000");
    check("topic create a/b");
    check("topic create t -c novalue");
    check("produce");
    check("produce t -p -1");
    check("produce t --acks 2");
    check("produce t -K :  -k key");
    check("consume t -n 0");
    check("consume t --offset middle");
    check("consume t --from-beginning --offset 5");
    check("config get");
    check("config get --topic t --broker 1");
    check("config set --topic t");
    check("config set --topic t key");
    check("config delete --broker-default");
    check("-X host:0 topic list");
    check("--timeout soon topic list");
}

#[test]
fn topics_are_created_as_asked() {
    let line = "topic create a b -p 3 -r 2 -c retention.ms=1 -c x==y --if-not-exists";
    let ClientCommand::Topic(TopicCommand::Create(args)) = parse(line).unwrap().command else {
        panic!("{line}");
    };
    assert_eq!(
        args.topics,
        [TopicName::new("a").unwrap(), TopicName::new("b").unwrap()]
    );
    assert_eq!(
        (args.partitions, args.replicas, args.if_not_exists),
        (Some(3), Some(2), true)
    );
    let key_value = |key: &str, value: &str| KeyValue {
        key: key.into(),
        value: value.into(),
    };
    assert_eq!(
        args.config,
        [key_value("retention.ms", "1"), key_value("x", "=y")]
    );
}

#[test]
fn produce_takes_values_or_lines() {
    let line = "produce t a b -K : -p 2 --acks 1 -z zstd -H trace=1";
    let ClientCommand::Produce(args) = parse(line).unwrap().command else {
        panic!("{line}")
    };
    assert_eq!(args.values, ["a", "b"]);
    assert_eq!(args.key_separator.as_deref(), Some(":"));
    assert_eq!(args.partition, Some(PartitionIndex(2)));
    assert_eq!(
        (args.acks, args.compression),
        (Acks::Leader, CompressionArg::Zstd)
    );
    assert_eq!(args.headers.len(), 1);
    let ClientCommand::Produce(args) = parse("produce t").unwrap().command else {
        panic!()
    };
    assert_eq!(
        (args.acks, args.compression),
        (Acks::All, CompressionArg::None)
    );
    assert!(args.values.is_empty());
}

#[test]
fn consume_starts_where_it_is_told() {
    let check = |line: &str, expected: StartOffset| {
        let ClientCommand::Consume(args) = parse(line).unwrap().command else {
            panic!("{line}")
        };
        assert_eq!(args.start(), expected, "{line}");
    };
    check("consume t", StartOffset::Latest);
    check("consume t --offset latest", StartOffset::Latest);
    check("consume t --from-beginning", StartOffset::Earliest);
    check("consume t --offset earliest", StartOffset::Earliest);
    check("consume t --offset 42", StartOffset::At(Offset(42)));
}

#[test]
fn config_names_one_resource() {
    let check = |options: &str, expected: ConfigResource| {
        let line = format!("config delete {options} key");
        let ClientCommand::Config(ConfigCommand::Delete { resource, .. }) =
            parse(&line).unwrap().command
        else {
            panic!("{line}");
        };
        assert_eq!(resource.resource(), expected, "{line}");
    };
    check(
        "--topic t",
        ConfigResource::Topic(TopicName::new("t").unwrap()),
    );
    check("--broker 0", ConfigResource::Broker(NodeId(0)));
    check("--broker-default", ConfigResource::BrokerDefault);
}

#[test]
fn addresses_have_a_host_and_maybe_a_port() {
    let check = |text: &str, expected: Option<(&str, u16)>| {
        let parsed = text.parse::<BrokerAddress>().ok();
        let expected = expected.map(|(host, port)| BrokerAddress {
            host: host.into(),
            port,
        });
        assert_eq!(parsed, expected, "{text}");
    };
    check("localhost", Some(("localhost", 9092)));
    check("10.0.0.1:1", Some(("10.0.0.1", 1)));
    check("[::1]:9093", Some(("::1", 9093)));
    check("[::1]", Some(("::1", 9092)));
    check("::1", None);
    check("[::1", None);
    check("[::1]9092", None);
    check("", None);
    check(":9092", None);
    check("h:", None);
    check("h:65536", None);
    check("h:x", None);
}

#[test]
fn durations_have_units_and_limits() {
    let check = |text: &str, expected_ms: Option<u64>| {
        assert_eq!(
            parse_duration(text).ok(),
            expected_ms.map(Duration::from_millis),
            "{text}"
        );
    };
    check("500ms", Some(500));
    check("10s", Some(10_000));
    check("10", Some(10_000));
    check("2m", Some(120_000));
    check("24h", Some(86_400_000));
    check("25h", None);
    check("0s", None);
    check("s", None);
    check("1.5s", None);
    check("-1s", None);
    check("99999999999999999999s", None);
}
