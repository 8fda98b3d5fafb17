package main

import (
	"context"
	"maps"
	"slices"
	"time"

	suite "chronik/go_suite"

	"github.com/IBM/sarama"
)

func (lib library) CreateTopic(_ context.Context, topic string, partitions int, config map[string]string) error {
	detail := &sarama.TopicDetail{
		NumPartitions: int32(partitions), ReplicationFactor: 1, ConfigEntries: map[string]*string{},
	}
	for name, value := range config {
		detail.ConfigEntries[name] = &value
	}
	return refused(lib.admin.CreateTopic(topic, detail, false))
}

func (lib library) DeleteTopic(_ context.Context, topic string) error {
	return refused(lib.admin.DeleteTopic(topic))
}

func (lib library) Partitions(_ context.Context, topic string) ([]int32, error) {
	described, err := lib.admin.DescribeTopics([]string{topic})
	if err != nil {
		return nil, refused(err)
	}
	if described[0].Err != sarama.ErrNoError {
		return nil, refused(described[0].Err)
	}
	var partitions []int32
	for _, partition := range described[0].Partitions {
		partitions = append(partitions, partition.ID)
	}
	slices.Sort(partitions)
	return partitions, nil
}

func (lib library) OffsetAt(_ context.Context, topic string, partition int32, at time.Time) (int64, error) {
	offset, err := lib.client.GetOffset(topic, partition, at.UnixMilli())
	return offset, refused(err)
}

func (lib library) Offsets(_ context.Context, topic string, partition int32) (earliest, latest int64, err error) {
	earliest, err = lib.client.GetOffset(topic, partition, sarama.OffsetOldest)
	if err != nil {
		return 0, 0, refused(err)
	}
	latest, err = lib.client.GetOffset(topic, partition, sarama.OffsetNewest)
	return earliest, latest, refused(err)
}

func (lib library) DeleteRecords(_ context.Context, topic string, partition int32, before int64) error {
	return refused(lib.admin.DeleteRecords(topic, map[int32]int64{partition: before}))
}

func (lib library) TopicConfig(_ context.Context, topic string) (map[string]string, error) {
	entries, err := lib.admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic})
	values := map[string]string{}
	for _, entry := range entries {
		values[entry.Name] = entry.Value
	}
	return values, refused(err)
}

func (lib library) AlterTopicConfig(_ context.Context, topic string, config map[string]string) error {
	entries := map[string]sarama.IncrementalAlterConfigsEntry{}
	for name, value := range config {
		entries[name] = sarama.IncrementalAlterConfigsEntry{
			Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value,
		}
	}
	return refused(lib.admin.IncrementalAlterConfig(sarama.TopicResource, topic, entries, false))
}

func (lib library) CreatePartitions(_ context.Context, topic string, total int) error {
	return refused(lib.admin.CreatePartitions(topic, int32(total), nil, false))
}

func (lib library) Groups(context.Context) ([]string, error) {
	groups, err := lib.admin.ListConsumerGroups()
	return slices.Collect(maps.Keys(groups)), refused(err)
}

func (lib library) DescribeGroup(_ context.Context, group string) (suite.Group, error) {
	described, err := lib.admin.DescribeConsumerGroups([]string{group})
	if err != nil {
		return suite.Group{}, refused(err)
	}
	if described[0].Err != sarama.ErrNoError {
		return suite.Group{}, refused(described[0].Err)
	}
	return suite.Group{State: described[0].State, Members: len(described[0].Members)}, nil
}

func (lib library) DeleteGroup(_ context.Context, group string) error {
	return refused(lib.admin.DeleteConsumerGroup(group))
}

func (lib library) Committed(_ context.Context, group, topic string, partition int32) (int64, error) {
	response, err := lib.admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: {partition}})
	if err != nil {
		return 0, refused(err)
	}
	block := response.GetBlock(topic, partition)
	if block == nil {
		return -1, nil
	}
	if block.Err != sarama.ErrNoError {
		return 0, refused(block.Err)
	}
	return block.Offset, nil
}
