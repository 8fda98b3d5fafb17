package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	suite "chronik/go_suite"

	"github.com/segmentio/kafka-go"
)

func (lib library) CreateTopic(ctx context.Context, topic string, partitions int, config map[string]string) error {
	wanted := kafka.TopicConfig{Topic: topic, NumPartitions: partitions, ReplicationFactor: 1}
	for name, value := range config {
		wanted.ConfigEntries = append(wanted.ConfigEntries, kafka.ConfigEntry{ConfigName: name, ConfigValue: value})
	}
	response, err := lib.client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{wanted}})
	if err != nil {
		return refused(err)
	}
	return refused(response.Errors[topic])
}

func (lib library) DeleteTopic(ctx context.Context, topic string) error {
	response, err := lib.client.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{topic}})
	if err != nil {
		return refused(err)
	}
	return refused(response.Errors[topic])
}

func (lib library) Partitions(ctx context.Context, topic string) ([]int32, error) {
	metadata, err := lib.client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return nil, refused(err)
	}
	if len(metadata.Topics) != 1 {
		return nil, fmt.Errorf("metadata of %d topics for one", len(metadata.Topics))
	}
	found := metadata.Topics[0]
	var partitions []int32
	for _, partition := range found.Partitions {
		partitions = append(partitions, int32(partition.ID))
	}
	slices.Sort(partitions)
	return partitions, refused(found.Error)
}

func (lib library) OffsetAt(ctx context.Context, topic string, partition int32, at time.Time) (int64, error) {
	found, err := lib.listOffsets(ctx, topic, kafka.TimeOffsetOf(int(partition), at))
	if err != nil {
		return 0, err
	}
	for offset := range found.Offsets {
		return offset, nil
	}
	return -1, nil
}

func (lib library) Offsets(ctx context.Context, topic string, partition int32) (earliest, latest int64, err error) {
	asked := []kafka.OffsetRequest{kafka.FirstOffsetOf(int(partition)), kafka.LastOffsetOf(int(partition))}
	found, err := lib.listOffsets(ctx, topic, asked...)
	return found.FirstOffset, found.LastOffset, err
}

func (lib library) listOffsets(
	ctx context.Context, topic string, asked ...kafka.OffsetRequest,
) (kafka.PartitionOffsets, error) {
	response, err := lib.client.ListOffsets(ctx, &kafka.ListOffsetsRequest{
		Topics: map[string][]kafka.OffsetRequest{topic: asked},
	})
	if err != nil {
		return kafka.PartitionOffsets{}, refused(err)
	}
	found := response.Topics[topic]
	if len(found) != 1 {
		return kafka.PartitionOffsets{}, fmt.Errorf("offsets of %d partitions for one", len(found))
	}
	return found[0], refused(found[0].Error)
}

func (lib library) DeleteRecords(context.Context, string, int32, int64) error {
	return suite.Skip("kafka-go does not delete records")
}

func (lib library) TopicConfig(ctx context.Context, topic string) (map[string]string, error) {
	response, err := lib.client.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{
		Resources: []kafka.DescribeConfigRequestResource{
			{ResourceType: kafka.ResourceTypeTopic, ResourceName: topic},
		},
	})
	if err != nil {
		return nil, refused(err)
	}
	values := map[string]string{}
	for _, entry := range response.Resources[0].ConfigEntries {
		values[entry.ConfigName] = entry.ConfigValue
	}
	return values, refused(response.Resources[0].Error)
}

func (lib library) AlterTopicConfig(ctx context.Context, topic string, config map[string]string) error {
	changes := kafka.IncrementalAlterConfigsRequestResource{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: topic,
	}
	for name, value := range config {
		changes.Configs = append(changes.Configs, kafka.IncrementalAlterConfigsRequestConfig{
			Name: name, Value: value, ConfigOperation: kafka.ConfigOperationSet,
		})
	}
	response, err := lib.client.IncrementalAlterConfigs(ctx, &kafka.IncrementalAlterConfigsRequest{
		Resources: []kafka.IncrementalAlterConfigsRequestResource{changes},
	})
	if err != nil {
		return refused(err)
	}
	return refused(response.Resources[0].Error)
}

func (lib library) CreatePartitions(ctx context.Context, topic string, total int) error {
	response, err := lib.client.CreatePartitions(ctx, &kafka.CreatePartitionsRequest{
		Topics: []kafka.TopicPartitionsConfig{{Name: topic, Count: int32(total)}},
	})
	if err != nil {
		return refused(err)
	}
	return refused(response.Errors[topic])
}

func (lib library) Groups(ctx context.Context) ([]string, error) {
	response, err := lib.client.ListGroups(ctx, &kafka.ListGroupsRequest{})
	if err != nil {
		return nil, refused(err)
	}
	var groups []string
	for _, group := range response.Groups {
		groups = append(groups, group.GroupID)
	}
	return groups, refused(response.Error)
}

func (lib library) DescribeGroup(ctx context.Context, group string) (suite.Group, error) {
	described, err := lib.described(ctx, group)
	return suite.Group{State: described.GroupState, Members: len(described.Members)}, err
}

func (lib library) described(ctx context.Context, group string) (kafka.DescribeGroupsResponseGroup, error) {
	response, err := lib.client.DescribeGroups(ctx, &kafka.DescribeGroupsRequest{GroupIDs: []string{group}})
	if err != nil {
		return kafka.DescribeGroupsResponseGroup{}, refused(err)
	}
	if len(response.Groups) != 1 {
		return kafka.DescribeGroupsResponseGroup{}, fmt.Errorf("%d groups described for one", len(response.Groups))
	}
	return response.Groups[0], refused(response.Groups[0].Error)
}

func (lib library) DeleteGroup(ctx context.Context, group string) error {
	response, err := lib.client.DeleteGroups(ctx, &kafka.DeleteGroupsRequest{GroupIDs: []string{group}})
	if err != nil {
		return refused(err)
	}
	return refused(response.Errors[group])
}

func (lib library) Committed(ctx context.Context, group, topic string, partition int32) (int64, error) {
	response, err := lib.client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{
		GroupID: group, Topics: map[string][]int{topic: {int(partition)}},
	})
	if err != nil {
		return 0, refused(err)
	}
	for _, found := range response.Topics[topic] {
		return found.CommittedOffset, refused(found.Error)
	}
	return -1, refused(response.Error)
}
