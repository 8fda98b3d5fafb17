package main

import (
	"context"
	"slices"
	"time"

	suite "chronik/go_suite"

	"github.com/twmb/franz-go/pkg/kadm"
)

func (lib library) CreateTopic(ctx context.Context, topic string, partitions int, config map[string]string) error {
	values := map[string]*string{}
	for name, value := range config {
		values[name] = &value
	}
	_, err := lib.admin.CreateTopic(ctx, int32(partitions), 1, values, topic)
	return refused(err)
}

func (lib library) DeleteTopic(ctx context.Context, topic string) error {
	response, err := lib.admin.DeleteTopic(ctx, topic)
	return first(err, response.Err)
}

func (lib library) Partitions(ctx context.Context, topic string) ([]int32, error) {
	metadata, err := lib.admin.Metadata(ctx, topic)
	found := metadata.Topics[topic]
	partitions := found.Partitions.Numbers()
	slices.Sort(partitions)
	return partitions, first(err, found.Err)
}

func (lib library) OffsetAt(ctx context.Context, topic string, partition int32, at time.Time) (int64, error) {
	listed, err := lib.admin.ListOffsetsAfterMilli(ctx, at.UnixMilli(), topic)
	found, _ := listed.Lookup(topic, partition)
	// The library fills in the end of the partition where the broker found nothing.
	if found.Timestamp == -1 {
		found.Offset = -1
	}
	return found.Offset, first(err, found.Err)
}

func (lib library) Offsets(ctx context.Context, topic string, partition int32) (earliest, latest int64, err error) {
	starts, err := lib.admin.ListStartOffsets(ctx, topic)
	start, _ := starts.Lookup(topic, partition)
	if err = first(err, start.Err); err != nil {
		return 0, 0, err
	}
	ends, err := lib.admin.ListEndOffsets(ctx, topic)
	end, _ := ends.Lookup(topic, partition)
	return start.Offset, end.Offset, first(err, end.Err)
}

func (lib library) DeleteRecords(ctx context.Context, topic string, partition int32, before int64) error {
	var offsets kadm.Offsets
	offsets.AddOffset(topic, partition, before, -1)
	responses, err := lib.admin.DeleteRecords(ctx, offsets)
	response, _ := responses.Lookup(topic, partition)
	return first(err, response.Err)
}

func (lib library) TopicConfig(ctx context.Context, topic string) (map[string]string, error) {
	configs, err := lib.admin.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return nil, refused(err)
	}
	found, err := configs.On(topic, nil)
	values := map[string]string{}
	for _, config := range found.Configs {
		values[config.Key] = config.MaybeValue()
	}
	return values, first(err, found.Err)
}

func (lib library) AlterTopicConfig(ctx context.Context, topic string, config map[string]string) error {
	var changes []kadm.AlterConfig
	for name, value := range config {
		changes = append(changes, kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: &value})
	}
	responses, err := lib.admin.AlterTopicConfigs(ctx, changes, topic)
	if err != nil {
		return refused(err)
	}
	response, err := responses.On(topic, nil)
	return first(err, response.Err)
}

func (lib library) CreatePartitions(ctx context.Context, topic string, total int) error {
	responses, err := lib.admin.UpdatePartitions(ctx, total, topic)
	return first(err, responses[topic].Err)
}

func (lib library) Groups(ctx context.Context) ([]string, error) {
	groups, err := lib.admin.ListGroups(ctx)
	return groups.Groups(), refused(err)
}

func (lib library) DescribeGroup(ctx context.Context, group string) (suite.Group, error) {
	described, err := lib.admin.DescribeGroups(ctx, group)
	found := described[group]
	return suite.Group{State: found.State, Members: len(found.Members)}, first(err, found.Err)
}

func (lib library) DeleteGroup(ctx context.Context, group string) error {
	response, err := lib.admin.DeleteGroup(ctx, group)
	return first(err, response.Err)
}

func (lib library) Committed(ctx context.Context, group, topic string, partition int32) (int64, error) {
	responses, err := lib.admin.FetchOffsets(ctx, group)
	found, ok := responses.Lookup(topic, partition)
	if !ok {
		found.At = -1
	}
	return found.At, first(err, found.Err)
}

// first is the first of the errors there is.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return refused(err)
		}
	}
	return nil
}
