// The suite of segmentio's kafka-go; see go_suite for the checks.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	suite "chronik/go_suite"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/produce"
)

const (
	module = "github.com/segmentio/kafka-go"
	// With the pauses below, what it takes until a broker that was started leads its partitions.
	attempts     = 30
	pause        = 200 * time.Millisecond
	fetchWait    = 200 * time.Millisecond
	writeDelay   = 5 * time.Millisecond
	batchSize    = 1_000
	outdatedTime = 5 * time.Second
	// The first version of Produce that brokers serve since Kafka 4.0 is 3.
	outdatedProduce = 2
)

func main() {
	address := kafka.TCP(suite.Orders.Bootstrap)
	// Topics come and go fast here, and the library believes what it was told last.
	transport := &kafka.Transport{MetadataTTL: pause}
	suite.Main(library{&kafka.Client{Addr: address, Transport: transport}})
}

type library struct{ client *kafka.Client }

func (library) Name() string                { return "kafka-go" }
func (library) Version() string             { return suite.ModuleVersion(module) }
func (library) Protocols() []suite.Protocol { return []suite.Protocol{suite.Eager} }

func (library) EmptyIsNothing() bool { return true }

// refused turns the error of an answer into a refusal.
func refused(err error) error {
	var several kafka.WriteErrors
	if errors.As(err, &several) {
		err = errors.Join(several...)
	}
	var code kafka.Error
	if !errors.As(err, &code) {
		return err
	}
	return suite.Refused{Code: int(code), Text: code.Title()}
}

type producer struct {
	writer *kafka.Writer

	lock sync.Mutex
	// Where the messages of the present call went, by their place in it.
	offsets map[int]int64
}

func (lib library) Producer(options suite.ProducerOptions) (suite.Producer, error) {
	if options.Idempotent {
		return nil, suite.Skip("the writer of kafka-go is not idempotent")
	}
	producer := &producer{}
	producer.writer = &kafka.Writer{
		Addr:            lib.client.Addr,
		Transport:       lib.client.Transport,
		Balancer:        kafka.BalancerFunc(asked),
		RequiredAcks:    kafka.RequireAll,
		MaxAttempts:     attempts,
		WriteBackoffMax: pause,
		BatchSize:       batchSize,
		BatchTimeout:    writeDelay,
		BatchBytes:      int64(options.Largest),
		Completion:      producer.completed,
		Compression: map[string]kafka.Compression{
			"gzip":   kafka.Gzip,
			"snappy": kafka.Snappy,
			"lz4":    kafka.Lz4,
			"zstd":   kafka.Zstd,
		}[options.Codec],
	}
	return producer, nil
}

// place of a message in the call, and the partition it is meant for.
type place struct {
	number    int
	partition int32
}

func asked(message kafka.Message, _ ...int) int {
	return int(message.WriterData.(place).partition)
}

func (producer *producer) completed(messages []kafka.Message, err error) {
	if err != nil {
		return
	}
	producer.lock.Lock()
	defer producer.lock.Unlock()
	for _, message := range messages {
		producer.offsets[message.WriterData.(place).number] = message.Offset
	}
}

func (producer *producer) Send(ctx context.Context, topic string, records []suite.Outgoing) ([]int64, error) {
	producer.offsets = map[int]int64{}
	messages := make([]kafka.Message, len(records))
	for at, one := range records {
		messages[at] = kafka.Message{
			Topic: topic, Key: one.Key, Value: one.Value, Time: one.Time, WriterData: place{at, one.Partition},
		}
		for _, header := range one.Headers {
			messages[at].Headers = append(messages[at].Headers, kafka.Header(header))
		}
	}
	if err := producer.writer.WriteMessages(ctx, messages...); err != nil {
		return nil, refused(err)
	}
	producer.lock.Lock()
	defer producer.lock.Unlock()
	offsets := make([]int64, len(records))
	for at := range offsets {
		offset, ok := producer.offsets[at]
		if !ok {
			return nil, fmt.Errorf("message %d was neither written nor refused", at)
		}
		offsets[at] = offset
	}
	return offsets, nil
}

func (producer *producer) Close() error { return producer.writer.Close() }

func (lib library) Read(
	ctx context.Context, topic string, starts map[int32]int64, count int,
) ([]suite.Record, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		record suite.Record
		err    error
	}
	results := make(chan result)
	for partition, offset := range starts {
		reader := kafka.NewReader(kafka.ReaderConfig{
			Brokers: []string{suite.Orders.Bootstrap}, Topic: topic, Partition: int(partition), MaxWait: fetchWait,
		})
		defer reader.Close()
		if err := reader.SetOffset(offset); err != nil {
			return nil, refused(err)
		}
		go func() {
			for ctx.Err() == nil {
				message, err := reader.ReadMessage(ctx)
				select {
				case results <- result{converted(message), err}:
				case <-ctx.Done():
				}
			}
		}()
	}
	var records []suite.Record
	for len(records) < count {
		one := <-results
		if one.err != nil {
			return records, fmt.Errorf("%d of %d records: %w", len(records), count, refused(one.err))
		}
		records = append(records, one.record)
	}
	return records, nil
}

func (lib library) ReadCommitted(context.Context, string, int) ([]suite.Record, error) {
	return nil, noTransactions
}

func (lib library) Transaction(context.Context, string, []string, bool) error { return noTransactions }

const noTransactions = suite.Skip("the writer of kafka-go has no transactions")

func converted(message kafka.Message) suite.Record {
	record := suite.Record{
		Partition: int32(message.Partition), Offset: message.Offset, Time: message.Time,
		Key: message.Key, Value: message.Value,
	}
	for _, header := range message.Headers {
		record.Headers = append(record.Headers, suite.Header(header))
	}
	return record
}

// ProduceOutdated uses the library's connection below its table of versions.
func (lib library) ProduceOutdated(ctx context.Context, topic string) error {
	var dialer net.Dialer
	socket, err := dialer.DialContext(ctx, "tcp", suite.Orders.Bootstrap)
	if err != nil {
		return err
	}
	connection := protocol.NewConn(socket, "outdated")
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(outdatedTime)); err != nil {
		return err
	}
	connection.SetVersions(map[protocol.ApiKey]int16{protocol.Produce: outdatedProduce})
	records := protocol.NewRecordReader(protocol.Record{Time: time.Now(), Value: protocol.NewBytes([]byte("outdated"))})
	answer, err := connection.RoundTrip(&produce.Request{
		Acks:    -1,
		Timeout: int32(outdatedTime.Milliseconds()),
		Topics: []produce.RequestTopic{{
			Topic: topic,
			Partitions: []produce.RequestPartition{{
				RecordSet: protocol.RecordSet{Version: 1, Records: records},
			}},
		}},
	})
	if err != nil {
		return err
	}
	code := answer.(*produce.Response).Topics[0].Partitions[0].ErrorCode
	if code == 0 {
		return nil
	}
	return refused(kafka.Error(code))
}
