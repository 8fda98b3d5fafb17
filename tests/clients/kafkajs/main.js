// The suite of KafkaJS; see node_suite for the checks.

'use strict';

const {
  CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka, Partitioners, logLevel,
} = require('kafkajs');
const Lz4Codec = require('kafkajs-lz4');
const SnappyCodec = require('kafkajs-snappy');
const zstd = require('zstd-napi');
const { version } = require('kafkajs/package.json');

const { run } = require('../node_suite/checks');
const { code, refuses } = require('../node_suite/common');
const { HEARTBEAT_INTERVAL_MS, Library, Producer, SESSION_TIMEOUT_MS, call } = require('../node_suite/library');
const { Refused, Skip, settings } = require('../node_suite/report');

// With the pause, more than it takes to start a broker again.
const PATIENCE = { initialRetryTime: 100, maxRetryTime: 500, retries: 60 };
const HASTE = { initialRetryTime: 50, maxRetryTime: 100, retries: 2 };
const REBALANCE_TIMEOUT_MS = 10_000;

// The library brings gzip only.
CompressionCodecs[CompressionTypes.Snappy] = SnappyCodec;
CompressionCodecs[CompressionTypes.LZ4] = new Lz4Codec().codec;
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => zstd.compress(encoder.buffer),
  decompress: async (buffer) => zstd.decompress(buffer),
});
const CODECS = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
};

class KafkaJs extends Library {
  name = 'kafkajs';
  version = version;
  kafka = new Kafka({
    clientId: 'chronik-suite', brokers: [settings.bootstrap], retry: PATIENCE, logLevel: logLevel.ERROR,
  });

  adminSettings() {
    return { retry: HASTE };
  }

  createOptions() {
    return { waitForLeaders: false };
  }

  async producer({ codec = 'none', idempotent = false, hasty = false, transactional }) {
    const producer = this.kafka.producer({
      createPartitioner: Partitioners.DefaultPartitioner,
      allowAutoTopicCreation: false,
      retry: hasty ? HASTE : PATIENCE,
      idempotent,
      // The library keeps the order of an idempotent producer only so.
      ...(idempotent && { maxInFlightRequests: 1 }),
      ...(transactional !== undefined && { transactionalId: transactional }),
    });
    await call(producer.connect());
    return new Producer(producer, (topic, messages) => {
      return producer.send({ topic, messages, acks: -1, compression: CODECS[codec] });
    });
  }

  consumer({ group, instance, uncommitted = true }) {
    if (instance !== undefined) throw new Skip('KafkaJS has no instance ids');
    return this.kafka.consumer({
      groupId: group,
      sessionTimeout: SESSION_TIMEOUT_MS,
      rebalanceTimeout: REBALANCE_TIMEOUT_MS,
      heartbeatInterval: HEARTBEAT_INTERVAL_MS,
      maxWaitTimeInMs: 200,
      allowAutoTopicCreation: false,
      readUncommitted: uncommitted,
    });
  }

  async subscribe(consumer, topic, fromBeginning) {
    await consumer.subscribe({ topics: [topic], fromBeginning });
    // Commits are up to the checks.
    const start = consumer.run.bind(consumer);
    consumer.run = (handlers) => start({ ...handlers, autoCommit: false });
  }

  ownership(consumer, topic) {
    let owned = [];
    const { GROUP_JOIN, REBALANCING, CRASH, STOP } = consumer.events;
    consumer.on(GROUP_JOIN, ({ payload }) => {
      owned = payload.memberAssignment[topic] ?? [];
    });
    for (const event of [REBALANCING, CRASH, STOP]) {
      consumer.on(event, () => {
        owned = [];
      });
    }
    return () => owned;
  }

  async refusesUnknownTopic(produce) {
    await refuses(code.unknownTopicOrPartition, 'produce', produce);
  }

  async topicConfig(topic) {
    const resources = [{ type: ConfigResourceTypes.TOPIC, name: topic }];
    const { resources: [found] } = await call(this.admin.describeConfigs({ includeSynonyms: false, resources }));
    return Object.fromEntries(found.configEntries.map((entry) => [entry.configName, entry.configValue]));
  }

  async alterTopicConfig(topic, config) {
    // The library's request replaces everything that was set, so what the topic was made with goes along.
    const kept = { 'cleanup.policy': (await this.topicConfig(topic))['cleanup.policy'] };
    const configEntries = Object.entries({ ...kept, ...config }).map(([name, value]) => ({ name, value }));
    const resources = [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries }];
    await call(this.admin.alterConfigs({ validateOnly: false, resources }));
  }

  async createPartitions(topic, total) {
    const created = await call(this.admin.createPartitions({ topicPartitions: [{ topic, count: total }] }));
    if (created === false) throw new Refused(0, `createPartitions of ${topic}: false`);
  }
}

run(new KafkaJs());
