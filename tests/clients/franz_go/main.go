// The suite of franz-go; see go_suite for the checks.
package main

import (
	"context"
	"errors"
	"time"

	suite "chronik/go_suite"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
)

const (
	module = "github.com/twmb/franz-go"
	// How long a request is tried again, for the answers that allow it.
	retryTime    = 20 * time.Second
	deliveryTime = 40 * time.Second
	outdatedTime = 5 * time.Second
	closeTime    = 10 * time.Second
	// A topic that does not exist is given up after so many answers that say so.
	unknownTopicRetries = 2
)

func main() {
	client, err := kgo.NewClient(base()...)
	if err != nil {
		panic(err)
	}
	defer client.Close()
	suite.Main(library{kadm.NewClient(client)})
}

type library struct{ admin *kadm.Client }

func (library) Name() string    { return "franz-go" }
func (library) Version() string { return suite.ModuleVersion(module) }
func (library) Protocols() []suite.Protocol {
	return []suite.Protocol{suite.Eager, suite.Cooperative, suite.Consumer}
}

func base(more ...kgo.Opt) []kgo.Opt {
	return append([]kgo.Opt{
		kgo.SeedBrokers(suite.Orders.Bootstrap),
		kgo.RetryTimeout(retryTime),
		kgo.UnknownTopicRetries(unknownTopicRetries),
		// Topics come and go fast here.
		kgo.MetadataMinAge(100 * time.Millisecond),
	}, more...)
}

func (library) EmptyIsNothing() bool { return false }

// refused turns the error of an answer into a refusal.
func refused(err error) error {
	var answered *kerr.Error
	if errors.As(err, &answered) {
		return suite.Refused{Code: int(answered.Code), Text: answered.Message}
	}
	return err
}

func (lib library) Producer(options suite.ProducerOptions) (suite.Producer, error) {
	codecs := map[string]kgo.CompressionCodec{
		"":       kgo.NoCompression(),
		"none":   kgo.NoCompression(),
		"gzip":   kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(),
		"lz4":    kgo.Lz4Compression(),
		"zstd":   kgo.ZstdCompression(),
	}
	settings := base(
		kgo.ProducerBatchCompression(codecs[options.Codec]), kgo.RecordPartitioner(kgo.ManualPartitioner()),
	)
	if !options.Idempotent {
		settings = append(settings, kgo.DisableIdempotentWrite())
	}
	if options.Largest > 0 {
		settings = append(settings, kgo.ProducerBatchMaxBytes(int32(options.Largest)))
	}
	client, err := kgo.NewClient(settings...)
	return producer{client}, err
}

type producer struct{ client *kgo.Client }

func (producer producer) Close() error {
	producer.client.Close()
	return nil
}

func (producer producer) Send(ctx context.Context, topic string, records []suite.Outgoing) ([]int64, error) {
	outgoing := make([]*kgo.Record, len(records))
	for at, one := range records {
		outgoing[at] = &kgo.Record{
			Topic: topic, Partition: one.Partition, Key: one.Key, Value: one.Value, Timestamp: one.Time,
		}
		for _, header := range one.Headers {
			outgoing[at].Headers = append(outgoing[at].Headers, kgo.RecordHeader(header))
		}
	}
	// The library's own delivery timeout counts from the record's time, which may be long ago.
	ctx, cancel := context.WithTimeout(ctx, deliveryTime)
	defer cancel()
	if err := producer.client.ProduceSync(ctx, outgoing...).FirstErr(); err != nil {
		return nil, refused(err)
	}
	offsets := make([]int64, len(outgoing))
	for at, record := range outgoing {
		offsets[at] = record.Offset
	}
	return offsets, nil
}

func (lib library) Read(
	ctx context.Context, topic string, starts map[int32]int64, count int,
) ([]suite.Record, error) {
	return read(ctx, topic, starts, count)
}

func (lib library) ReadCommitted(ctx context.Context, topic string, count int) ([]suite.Record, error) {
	return read(ctx, topic, map[int32]int64{0: 0}, count, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
}

func read(
	ctx context.Context, topic string, starts map[int32]int64, count int, more ...kgo.Opt,
) ([]suite.Record, error) {
	assigned := map[int32]kgo.Offset{}
	for partition, offset := range starts {
		assigned[partition] = kgo.NewOffset().At(offset)
	}
	more = append(more, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: assigned}))
	client, err := kgo.NewClient(base(more...)...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	var records []suite.Record
	for len(records) < count {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return records, refused(err)
		}
		records = append(records, converted(fetches)...)
	}
	return records[:count], nil
}

func converted(fetches kgo.Fetches) []suite.Record {
	var records []suite.Record
	for record := range fetches.RecordsAll() {
		one := suite.Record{
			Partition: record.Partition, Offset: record.Offset, Time: record.Timestamp,
			Key: record.Key, Value: record.Value,
		}
		for _, header := range record.Headers {
			one.Headers = append(one.Headers, suite.Header(header))
		}
		records = append(records, one)
	}
	return records
}

func (lib library) ProduceOutdated(ctx context.Context, topic string) error {
	// Told that the broker is that old, the library does not ask which versions there are.
	outdated := kgo.MaxVersions(kversion.V0_9_0())
	client, err := kgo.NewClient(base(outdated, kgo.DisableIdempotentWrite(), kgo.RecordRetries(1))...)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, outdatedTime)
	defer cancel()
	return refused(client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("outdated")}).FirstErr())
}

func (lib library) Transaction(ctx context.Context, topic string, values []string, commit bool) error {
	client, err := kgo.NewClient(base(
		kgo.TransactionalID(suite.Orders.Prefix+"transactions"), kgo.RecordPartitioner(kgo.ManualPartitioner()),
	)...)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.BeginTransaction(); err != nil {
		return refused(err)
	}
	records := make([]*kgo.Record, len(values))
	for at, value := range values {
		records[at] = &kgo.Record{Topic: topic, Value: []byte(value)}
	}
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return refused(err)
	}
	return refused(client.EndTransaction(ctx, kgo.TransactionEndTry(commit)))
}
