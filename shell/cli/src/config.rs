//! `config get|set|delete`: KIP-133 and KIP-339.

use std::io::Write;

use chronik_model::ErrorCode;
use chronik_protocol::messages::describe_configs_request::DescribeConfigsResource;
use chronik_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use chronik_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use chronik_protocol::messages::{
    DescribeConfigsRequest, IncrementalAlterConfigsRequest, StrBytes,
};
use serde_json::json;

use crate::args::{ConfigCommand, ConfigResource, OutputFormat, ResourceArgs};
use crate::client::{Client, Target};
use crate::error::CliError;
use crate::output::{Table, plain};
use crate::retry::Retry;

/// One key of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigEntry {
    pub(crate) name: String,
    /// `None` for sensitive and for unset values.
    pub(crate) value: Option<String>,
    source: i8,
    sensitive: bool,
    read_only: bool,
}

impl ConfigEntry {
    /// Whether the value is other than the built-in default, whoever set it.
    const fn is_changed(&self) -> bool {
        self.source != SOURCE_DEFAULT
    }

    /// Whether the topic has a value of its own.
    pub(crate) const fn is_set_on_topic(&self) -> bool {
        self.source == SOURCE_TOPIC
    }

    /// `key=value` for people.
    pub(crate) fn assignment(&self) -> String {
        format!("{}={}", self.name, plain(self.shown().unwrap_or("")))
    }

    fn shown(&self) -> Option<&str> {
        if self.sensitive {
            Some("(hidden)")
        } else {
            self.value.as_deref()
        }
    }
}

/// Runs a `config` command.
pub(crate) fn run(
    command: &ConfigCommand,
    client: &mut Client,
    format: OutputFormat,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    match command {
        ConfigCommand::Get {
            resource,
            keys,
            changed,
        } => {
            let mut entries = entries(&resource.resource(), keys, client)?;
            entries.retain(|entry| !changed || entry.is_changed());
            Ok(entry_table(&entries).write(format, out)?)
        }
        ConfigCommand::Set { resource, entries } => {
            let values = entries
                .iter()
                .map(|entry| (entry.key.as_str(), Some(entry.value.as_str())));
            alter(resource, &values.collect::<Vec<_>>(), client, format, out)
        }
        ConfigCommand::Delete { resource, keys } => {
            let values = keys.iter().map(|key| (key.as_str(), None));
            alter(resource, &values.collect::<Vec<_>>(), client, format, out)
        }
    }
}

/// The configuration of a resource in the order of the keys; all keys when none are given.
pub(crate) fn entries(
    resource: &ConfigResource,
    keys: &[String],
    client: &mut Client,
) -> Result<Vec<ConfigEntry>, CliError> {
    let mut wanted = DescribeConfigsResource::default();
    wanted.resource_type = resource_type(resource);
    wanted.resource_name = resource_name(resource);
    let names = keys.iter().map(|key| StrBytes::from_string(key.clone()));
    wanted.configuration_keys = (!keys.is_empty()).then(|| names.collect());
    let mut request = DescribeConfigsRequest::default();
    request.resources = vec![wanted];

    let what = || format!("read the configuration of {}", title(resource));
    let answer = client.call(target(resource), &request)?;
    let Some(result) = answer.results.first() else {
        return Err(CliError::refused(
            what(),
            ErrorCode::UnknownServerError.code(),
            None,
        ));
    };
    if result.error_code != ErrorCode::None.code() {
        let message = result.error_message.as_deref();
        return Err(CliError::refused(what(), result.error_code, message));
    }
    let mut entries: Vec<_> = result.configs.iter().map(entry_of).collect();
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    match keys
        .iter()
        .find(|key| !entries.iter().any(|entry| entry.name == **key))
    {
        Some(missing) => Err(CliError::Refused {
            what: what(),
            why: format!("there is no key {missing}"),
            next: ". See the keys with: config get".into(),
        }),
        None => Ok(entries),
    }
}

/// Sets the keys with a value, returns those without one to their default, and says so.
fn alter(
    resource: &ResourceArgs,
    values: &[(&str, Option<&str>)],
    client: &mut Client,
    format: OutputFormat,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let resource = resource.resource();
    let mut altered = AlterConfigsResource::default();
    altered.resource_type = resource_type(&resource);
    altered.resource_name = resource_name(&resource);
    let mut table = Table::new(["key", "result"]);
    for (key, value) in values {
        let mut config = AlterableConfig::default();
        config.name = StrBytes::from_string((*key).to_owned());
        config.config_operation = if value.is_some() {
            OPERATION_SET
        } else {
            OPERATION_DELETE
        };
        config.value = value.map(|value| StrBytes::from_string(value.to_owned()));
        altered.configs.push(config);
        table.push(vec![
            json!(key),
            json!(if value.is_some() { "set" } else { "at default" }),
        ]);
    }
    let mut request = IncrementalAlterConfigsRequest::default();
    request.resources = vec![altered];
    send_alteration(&resource, &request, client)?;
    Ok(table.write(format, out)?)
}

/// Sends to the controller, or the broker concerned, and again while the controller is moving.
fn send_alteration(
    resource: &ConfigResource,
    request: &IncrementalAlterConfigsRequest,
    client: &mut Client,
) -> Result<(), CliError> {
    let what = || format!("change the configuration of {}", title(resource));
    let mut retry = Retry::within(client.timeout());
    loop {
        let answer = client.call(target(resource), request)?;
        let Some(result) = answer.responses.first() else {
            return Err(CliError::refused(
                what(),
                ErrorCode::UnknownServerError.code(),
                None,
            ));
        };
        if result.error_code == ErrorCode::None.code() {
            return Ok(());
        }
        let moved = result.error_code == ErrorCode::NotController.code();
        if !moved || !retry.again() {
            let message = result.error_message.as_deref();
            return Err(CliError::refused(what(), result.error_code, message));
        }
        client.forget_controller();
    }
}

fn entry_table(entries: &[ConfigEntry]) -> Table {
    let mut table = Table::new(["key", "value", "source", "read_only"]);
    for entry in entries {
        table.push(vec![
            json!(entry.name),
            json!(entry.shown()),
            json!(source_name(entry.source)),
            json!(entry.read_only),
        ]);
    }
    table
}

fn entry_of(config: &DescribeConfigsResourceResult) -> ConfigEntry {
    ConfigEntry {
        name: config.name.to_string(),
        value: config.value.as_ref().map(ToString::to_string),
        source: config.config_source,
        sensitive: config.is_sensitive,
        read_only: config.read_only,
    }
}

/// One broker answers for itself; everything else is the controller's.
const fn target(resource: &ConfigResource) -> Target {
    match resource {
        ConfigResource::Broker(node) => Target::Broker(*node),
        ConfigResource::Topic(_) | ConfigResource::BrokerDefault => Target::Controller,
    }
}

const fn resource_type(resource: &ConfigResource) -> i8 {
    match resource {
        ConfigResource::Topic(_) => 2,
        ConfigResource::Broker(_) | ConfigResource::BrokerDefault => 4,
    }
}

fn resource_name(resource: &ConfigResource) -> StrBytes {
    match resource {
        ConfigResource::Topic(name) => StrBytes::from_string(name.to_string()),
        ConfigResource::Broker(node) => StrBytes::from_string(node.0.to_string()),
        ConfigResource::BrokerDefault => StrBytes::new(),
    }
}

fn title(resource: &ConfigResource) -> String {
    match resource {
        ConfigResource::Topic(name) => format!("topic {name}"),
        ConfigResource::Broker(node) => format!("broker {}", node.0),
        ConfigResource::BrokerDefault => "all brokers".to_owned(),
    }
}

const fn source_name(source: i8) -> &'static str {
    match source {
        SOURCE_TOPIC => "topic",
        SOURCE_BROKER => "broker",
        SOURCE_BROKER_DEFAULT => "all brokers",
        SOURCE_FILE => "server file",
        SOURCE_DEFAULT => "default",
        _ => "other",
    }
}

const SOURCE_TOPIC: i8 = 1;
const SOURCE_BROKER: i8 = 2;
const SOURCE_BROKER_DEFAULT: i8 = 3;
const SOURCE_FILE: i8 = 4;
const SOURCE_DEFAULT: i8 = 5;
const OPERATION_SET: i8 = 0;
const OPERATION_DELETE: i8 = 1;
