//! Listeners of well-known set-ups, and the mistakes people make.

use super::super::settings::Origin;
use super::*;

fn resolved(
    lines: &[(&str, &str)],
    port: Option<u16>,
    advertise: Option<&str>,
) -> Result<Vec<Listener>, ConfigFailure> {
    let mut settings = Settings::default();
    for (name, value) in lines {
        let origin = Origin::File {
            file: "f".to_owned(),
            line: None,
        };
        settings.set(Setting::new(name, value, origin));
    }
    let advertise = advertise.map(|text| text.parse().unwrap());
    resolve(
        &settings,
        &Overrides {
            kafka_port: port,
            advertise,
        },
        &mut Vec::new(),
    )
}

/// Each listener as `NAME bind -> advertised`.
fn shown(listeners: &[Listener]) -> Vec<String> {
    listeners
        .iter()
        .map(|listener| {
            let mark = if listener.local_only {
                " (local only)"
            } else {
                ""
            };
            let Listener {
                name,
                bind,
                advertised,
                ..
            } = listener;
            format!("{name} {bind} -> {advertised}{mark}")
        })
        .collect()
}

#[test]
fn addresses_follow_from_the_keys() {
    let check = |lines: &[(&str, &str)], expected: &[&str]| {
        let found = resolved(lines, None, None);
        assert_eq!(
            found.as_deref().map(shown),
            Ok(expected_lines(expected)),
            "{lines:?}"
        );
    };
    check(&[], &["PLAINTEXT :9092 -> localhost:9092 (local only)"]);
    check(
        &[("listeners", "")],
        &["PLAINTEXT :9092 -> localhost:9092 (local only)"],
    );
    check(
        &[("listeners", "PLAINTEXT://0.0.0.0:9092")],
        &["PLAINTEXT 0.0.0.0:9092 -> localhost:9092 (local only)"],
    );
    check(
        &[("listeners", "PLAINTEXT://[::]:9092")],
        &["PLAINTEXT [::]:9092 -> localhost:9092 (local only)"],
    );
    check(
        &[("listeners", "plaintext://192.0.2.1:9092")],
        &["PLAINTEXT 192.0.2.1:9092 -> 192.0.2.1:9092"],
    );
    check(
        &[("advertised.listeners", "PLAINTEXT://example.org:19092")],
        &["PLAINTEXT :9092 -> example.org:19092"],
    );
    // An image inside and outside of a container network.
    check(
        &[
            (
                "listeners",
                "PLAINTEXT_HOST://0.0.0.0:9092,BROKER://0.0.0.0:9093,CONTROLLER://:9094",
            ),
            (
                "advertised.listeners",
                "PLAINTEXT_HOST://localhost:32768,BROKER://kafka:9093",
            ),
            (
                "listener.security.protocol.map",
                "BROKER:PLAINTEXT,PLAINTEXT_HOST:PLAINTEXT,CONTROLLER:PLAINTEXT",
            ),
            ("controller.listener.names", "CONTROLLER"),
        ],
        &[
            "PLAINTEXT_HOST 0.0.0.0:9092 -> localhost:32768",
            "BROKER 0.0.0.0:9093 -> kafka:9093",
        ],
    );
}

#[test]
fn both_families_of_addresses_may_share_a_port() {
    let lines = [
        ("listeners", "FOUR://127.0.0.1:9092,SIX://[::1]:9092"),
        (
            "listener.security.protocol.map",
            "FOUR:PLAINTEXT,SIX:PLAINTEXT",
        ),
    ];
    let expected = [
        "FOUR 127.0.0.1:9092 -> 127.0.0.1:9092",
        "SIX [::1]:9092 -> [::1]:9092",
    ];
    assert_eq!(shown(&resolved(&lines, None, None).unwrap()), expected);
}

fn expected_lines(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

#[test]
fn flags_move_the_first_listener() {
    let check = |lines: &[(&str, &str)], port: u16, advertise: Option<&str>, expected: &str| {
        let found = resolved(lines, Some(port), advertise).unwrap();
        assert_eq!(shown(&found), [expected], "{lines:?}");
    };
    check(
        &[],
        9192,
        None,
        "PLAINTEXT :9192 -> localhost:9192 (local only)",
    );
    check(&[], 0, None, "PLAINTEXT :0 -> localhost:0 (local only)");
    check(
        &[],
        9192,
        Some("example.org"),
        "PLAINTEXT :9192 -> example.org:9192",
    );
    check(
        &[],
        9192,
        Some("example.org:1"),
        "PLAINTEXT :9192 -> example.org:1",
    );
    let same = [("advertised.listeners", "PLAINTEXT://example.org:9092")];
    check(&same, 9192, None, "PLAINTEXT :9192 -> example.org:9192");
    let mapped = [("advertised.listeners", "PLAINTEXT://example.org:19092")];
    check(&mapped, 9192, None, "PLAINTEXT :9192 -> example.org:19092");
}

fn check_refused(lines: &[(&str, &str)], status: u8, part: &str) {
    let failure = resolved(lines, None, None).expect_err(part);
    assert!(failure.to_string().contains(part), "{failure}");
    assert_eq!(failure.exit_status(), status, "{failure}");
}

#[test]
fn listeners_that_can_not_work_are_refused() {
    check_refused(&[("listeners", "localhost:9092")], 78, "NAME://HOST:PORT");
    check_refused(
        &[("listeners", "://localhost:9092")],
        78,
        "NAME://HOST:PORT",
    );
    check_refused(&[("listeners", "PLAINTEXT://localhost")], 78, "no port");
    check_refused(
        &[("listeners", "PLAINTEXT://:1,PLAINTEXT://:2")],
        78,
        "two listeners called PLAINTEXT",
    );
    check_refused(
        &[("listeners", "CONTROLLER://:9093")],
        78,
        "no listener for clients",
    );
    check_refused(
        &[("listeners", "EXTERNAL://:9092")],
        78,
        "EXTERNAL:PLAINTEXT",
    );
    check_refused(&[("listeners", "SSL://:9092")], 2, "SSL is not built yet");
    check_refused(
        &[("listeners", "SASL_PLAINTEXT://:9092")],
        2,
        "SASL_PLAINTEXT is not built yet",
    );
    let twice = ("listeners", "A://:1,B://:1");
    let map = ("listener.security.protocol.map", "A:PLAINTEXT,B:PLAINTEXT");
    check_refused(&[twice, map], 78, "two listeners have port 1");
    let on_two_hosts = ("listeners", "A://127.0.0.1:1,B://127.0.0.2:1");
    check_refused(&[on_two_hosts, map], 78, "two listeners have port 1");
    let three = ("listeners", "A://127.0.0.1:1,B://[::1]:1,C://[::2]:1");
    let map_of_three = (
        "listener.security.protocol.map",
        "A:PLAINTEXT,B:PLAINTEXT,C:PLAINTEXT",
    );
    check_refused(&[three, map_of_three], 78, "two listeners have port 1");
    let one_is_tls = (
        "listener.security.protocol.map",
        "A:PLAINTEXT,B:SSL,C:PLAINTEXT",
    );
    let on_three_ports = ("listeners", "A://:1,B://:2,C://:3");
    check_refused(
        &[on_three_ports, one_is_tls],
        2,
        "listener B: SSL is not built yet",
    );
    check_refused(
        &[("listener.security.protocol.map", "PLAINTEXT")],
        78,
        "NAME:PROTOCOL",
    );
    check_refused(
        &[("listener.security.protocol.map", "PLAINTEXT:TLS")],
        78,
        "TLS",
    );
}

#[test]
fn addresses_that_nobody_can_use_are_refused() {
    check_refused(
        &[("advertised.listeners", "PLAINTEXT://0.0.0.0:9092")],
        78,
        "can not connect",
    );
    check_refused(
        &[("advertised.listeners", "PLAINTEXT://:9092")],
        78,
        "can not connect",
    );
    check_refused(
        &[("advertised.listeners", "PLAINTEXT://[::]:9092")],
        78,
        "can not connect",
    );
    check_refused(
        &[("advertised.listeners", "EXTERNAL://a:9092")],
        78,
        "listeners does not have",
    );
    check_refused(
        &[("advertised.listeners", "PLAINTEXT://a:1,PLAINTEXT://b:1")],
        78,
        "twice",
    );
}
