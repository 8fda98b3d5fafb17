// The suite of Sarama; see go_suite for the checks.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	suite "chronik/go_suite"

	"github.com/IBM/sarama"
)

const (
	module = "github.com/IBM/sarama"
	// With the pause below, what it takes until a broker that was started leads its partitions.
	retries = 20
	// The idempotent producer is to outlive the restart itself.
	idempotentRetries = 100
	retryPause        = 200 * time.Millisecond
	outdatedTime      = 5 * time.Second
)

func main() {
	client, err := sarama.NewClient(brokers(), settings())
	if err != nil {
		panic(err)
	}
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		panic(err)
	}
	suite.Main(library{client: client, admin: admin})
}

type library struct {
	client sarama.Client
	admin  sarama.ClusterAdmin
}

func (library) Name() string    { return "sarama" }
func (library) Version() string { return suite.ModuleVersion(module) }
func (library) Protocols() []suite.Protocol {
	return []suite.Protocol{suite.Eager, suite.Cooperative}
}

func brokers() []string { return []string{suite.Orders.Bootstrap} }

func settings() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Return.Successes = true
	config.Producer.Retry.Max = retries
	config.Producer.Retry.Backoff = retryPause
	config.Consumer.Return.Errors = true
	config.Metadata.Retry.Backoff = retryPause
	config.Metadata.AllowAutoTopicCreation = false
	return config
}

func (library) EmptyIsNothing() bool { return false }

// refused turns the error of an answer into a refusal.
func refused(err error) error {
	var code sarama.KError
	if !errors.As(err, &code) {
		return err
	}
	// Numbers below zero are the library's own, except for the one of an unknown error.
	return suite.Refused{Code: int(code), Text: err.Error()}
}

func (lib library) Producer(options suite.ProducerOptions) (suite.Producer, error) {
	config := settings()
	config.Producer.Compression = map[string]sarama.CompressionCodec{
		"":       sarama.CompressionNone,
		"none":   sarama.CompressionNone,
		"gzip":   sarama.CompressionGZIP,
		"snappy": sarama.CompressionSnappy,
		"lz4":    sarama.CompressionLZ4,
		"zstd":   sarama.CompressionZSTD,
	}[options.Codec]
	if options.Idempotent {
		idempotent(config)
	}
	if options.Largest > 0 {
		config.Producer.MaxMessageBytes = options.Largest
	}
	return newProducer(config)
}

// newProducer is connected when it starts. One that connects meanwhile may give a connection up with what it sent on
// it, and send that again.
func newProducer(config *sarama.Config) (producer, error) {
	client, err := sarama.NewClient(brokers(), config)
	if err != nil {
		return producer{}, refused(err)
	}
	for _, broker := range client.Brokers() {
		// Its answer tells of a connection that is there already.
		_ = broker.Open(config)
		if _, err := broker.Connected(); err != nil {
			return producer{}, errors.Join(err, client.Close())
		}
	}
	library, err := sarama.NewSyncProducerFromClient(client)
	if err != nil {
		return producer{}, errors.Join(refused(err), client.Close())
	}
	return producer{library, client}, nil
}

func idempotent(config *sarama.Config) {
	config.Producer.Idempotent = true
	config.Producer.Retry.Max = idempotentRetries
	// A batch whose leader is not found at once is given up.
	config.Metadata.Retry.Max = idempotentRetries
	// The library demands it.
	config.Net.MaxOpenRequests = 1
}

type producer struct {
	sarama.SyncProducer
	client sarama.Client
}

func (producer producer) Close() error {
	return errors.Join(producer.SyncProducer.Close(), producer.client.Close())
}

func (producer producer) Send(ctx context.Context, topic string, records []suite.Outgoing) ([]int64, error) {
	messages := make([]*sarama.ProducerMessage, len(records))
	for at, one := range records {
		messages[at] = &sarama.ProducerMessage{Topic: topic, Partition: one.Partition, Timestamp: one.Time}
		// An encoder of nothing is not nothing.
		if one.Key != nil {
			messages[at].Key = sarama.ByteEncoder(one.Key)
		}
		if one.Value != nil {
			messages[at].Value = sarama.ByteEncoder(one.Value)
		}
		for _, header := range one.Headers {
			converted := sarama.RecordHeader{Key: []byte(header.Key), Value: header.Value}
			messages[at].Headers = append(messages[at].Headers, converted)
		}
	}
	if err := producer.sendWithin(ctx, messages); err != nil {
		return nil, err
	}
	offsets := make([]int64, len(messages))
	for at, message := range messages {
		offsets[at] = message.Offset
	}
	return offsets, nil
}

// sendWithin gives the library's call, which has no deadline, that of the check.
func (producer producer) sendWithin(ctx context.Context, messages []*sarama.ProducerMessage) error {
	sent := make(chan error, 1)
	go func() { sent <- producer.SendMessages(messages) }()
	select {
	case err := <-sent:
		var several sarama.ProducerErrors
		if errors.As(err, &several) && len(several) > 0 {
			err = several[0].Err
		}
		return refused(err)
	case <-ctx.Done():
		return fmt.Errorf("records were neither acknowledged nor refused: %w", ctx.Err())
	}
}

func (lib library) Read(
	ctx context.Context, topic string, starts map[int32]int64, count int,
) ([]suite.Record, error) {
	return read(ctx, topic, starts, count, settings())
}

func (lib library) ReadCommitted(ctx context.Context, topic string, count int) ([]suite.Record, error) {
	config := settings()
	config.Consumer.IsolationLevel = sarama.ReadCommitted
	return read(ctx, topic, map[int32]int64{0: 0}, count, config)
}

func read(
	ctx context.Context, topic string, starts map[int32]int64, count int, config *sarama.Config,
) ([]suite.Record, error) {
	consumer, err := sarama.NewConsumer(brokers(), config)
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	messages := make(chan *sarama.ConsumerMessage)
	failures := make(chan error)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for partition, offset := range starts {
		part, err := consumer.ConsumePartition(topic, partition, offset)
		if err != nil {
			return nil, refused(err)
		}
		defer part.AsyncClose()
		go forward(ctx, part, messages, failures)
	}
	var records []suite.Record
	for len(records) < count {
		select {
		case message := <-messages:
			records = append(records, converted(message))
		case err := <-failures:
			return records, refused(err)
		case <-ctx.Done():
			return records, fmt.Errorf("%d of %d records: %w", len(records), count, ctx.Err())
		}
	}
	return records, nil
}

func forward(
	ctx context.Context, part sarama.PartitionConsumer, messages chan<- *sarama.ConsumerMessage, failures chan<- error,
) {
	for {
		select {
		case message, open := <-part.Messages():
			if !open {
				return
			}
			select {
			case messages <- message:
			case <-ctx.Done():
			}
		case failure, open := <-part.Errors():
			if !open {
				return
			}
			select {
			case failures <- failure.Err:
			case <-ctx.Done():
			}
		case <-ctx.Done():
			return
		}
	}
}

func converted(message *sarama.ConsumerMessage) suite.Record {
	record := suite.Record{
		Partition: message.Partition, Offset: message.Offset, Time: message.Timestamp,
		Key: message.Key, Value: message.Value,
	}
	for _, header := range message.Headers {
		record.Headers = append(record.Headers, suite.Header{Key: string(header.Key), Value: header.Value})
	}
	return record
}

func (lib library) ProduceOutdated(ctx context.Context, topic string) error {
	config := settings()
	config.Version = sarama.V0_9_0_1
	config.ApiVersionsRequest = false
	config.Producer.Retry.Max = 1
	outdated, err := newProducer(config)
	if err != nil {
		return err
	}
	defer outdated.Close()
	ctx, cancel := context.WithTimeout(ctx, outdatedTime)
	defer cancel()
	message := &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder("outdated")}
	return outdated.sendWithin(ctx, []*sarama.ProducerMessage{message})
}

func (lib library) Transaction(ctx context.Context, topic string, values []string, commit bool) error {
	config := settings()
	idempotent(config)
	config.Producer.Transaction.ID = suite.Orders.Prefix + "transactions"
	transactional, err := newProducer(config)
	if err != nil {
		return err
	}
	defer transactional.Close()
	if err := transactional.BeginTxn(); err != nil {
		return refused(err)
	}
	records := make([]suite.Outgoing, len(values))
	for at, value := range values {
		records[at].Value = []byte(value)
	}
	if _, err := transactional.Send(ctx, topic, records); err != nil {
		return err
	}
	if commit {
		return refused(transactional.CommitTxn())
	}
	return refused(transactional.AbortTxn())
}
