package suite

import (
	"fmt"
	"slices"
)

const sharedPartitions = 4

func checkGroupOfTwo(t *T) {
	for _, protocol := range []Protocol{Eager, Cooperative} {
		if slices.Contains(t.Protocols(), protocol) {
			share(t, protocol)
		}
	}
}

func checkConsumerProtocol(t *T) {
	if !slices.Contains(t.Protocols(), Consumer) {
		t.Must(Skip(t.Name()+" does not speak the protocol of KIP-848"), "consumer protocol")
	}
	share(t, Consumer)
}

// share has a member joined and left by a second one; whenever they have settled, every record comes once.
func share(t *T, protocol Protocol) {
	note("protocol", protocol)
	topic := t.NewTopic(sharedPartitions, nil)
	options := MemberOptions{Group: t.NewName("g"), Topic: topic, Protocol: protocol}

	early := fill(t, topic, "alone", sharedPartitions)
	first := t.join(options)
	t.waitSettled(sharedPartitions, first)
	once(t, t.waitRecords(len(early), []int{0}, first), early, string(protocol)+", alone")

	second := t.join(options)
	t.waitSettled(sharedPartitions, first, second)
	before := []int{len(first.seen()), len(second.seen())}
	shared := fill(t, topic, "shared", sharedPartitions)
	got := t.waitRecords(len(shared), before, first, second)
	once(t, got, shared, string(protocol)+", shared by two")
	if len(got[0]) == 0 || len(got[1]) == 0 {
		t.Fail("%s: one of two members consumed everything", protocol)
	}

	t.Must(second.close(), "the second member leaves")
	t.waitSettled(sharedPartitions, first)
	before = []int{len(first.seen())}
	last := fill(t, topic, "alone again", sharedPartitions)
	once(t, t.waitRecords(len(last), before, first), last, string(protocol)+", alone again")
	t.Must(first.close(), "the first member leaves")
}

// One group has no member while the broker is killed, the other one keeps its member.
func checkGroupResume(t *T) {
	const partitions = 2
	topic := t.NewTopic(partitions, nil)
	left := MemberOptions{Group: t.NewName("g"), Topic: topic, Protocol: t.Protocols()[0]}
	stayed := MemberOptions{Group: t.NewName("g"), Topic: topic, Protocol: t.Protocols()[0]}
	early := fill(t, topic, "early", partitions)
	leaver, stayer := t.join(left), t.join(stayed)
	once(t, t.waitRecords(len(early), []int{0}, leaver), early, "before the restart")
	t.Must(leaver.close(), "leave before the restart")
	once(t, t.waitRecords(len(early), []int{0}, stayer), early, "before the restart")
	for partition := range int32(partitions) {
		t.Until("the commit of the member that stays", waitTime, func() (bool, error) {
			committed, err := t.Committed(t, stayed.Group, topic, partition)
			return committed == int64(len(early)/partitions), err
		})
	}

	t.Must(restartBroker(t), "restart")
	late := fill(t, topic, "late", partitions)
	returned := t.join(left)
	once(t, t.waitRecords(len(late), []int{0}, returned), late, "after the restart")
	t.Must(returned.close(), "leave after the restart")
	t.waitRecords(len(early)+len(late), []int{0}, stayer)
	lastSeen := stayer.seen()[len(early):]
	// It may have read some twice before it was back in its group, but none of those it had committed.
	for _, value := range late {
		if !slices.ContainsFunc(lastSeen, func(record Record) bool { return string(record.Value) == value }) {
			t.Fail("a member that stayed over the restart did not get %q", value)
		}
	}
	for _, record := range lastSeen {
		if !slices.Contains(late, string(record.Value)) {
			t.Fail("a member that stayed over the restart got %q again", record.Value)
		}
	}
	t.Must(stayer.close(), "the other member leaves")
}

func checkAdminGroups(t *T) {
	topic, group := t.NewTopic(1, nil), t.NewName("g")
	sent := fill(t, topic, "seen", 1)
	member := t.join(MemberOptions{Group: group, Topic: topic, Protocol: t.Protocols()[0]})
	t.waitRecords(len(sent), []int{0}, member)
	groups, err := t.Groups(t)
	t.Must(err, "list groups")
	if !slices.Contains(groups, group) {
		t.Fail("the group is not listed")
	}
	hasState(t, group, Group{State: "Stable", Members: 1})
	t.Refuses(t.DeleteGroup(t, group), nonEmptyGroup, "delete a group with a member")
	t.Until("the commit", waitTime, func() (bool, error) {
		committed, err := t.Committed(t, group, topic, 0)
		return committed == int64(len(sent)), fmt.Errorf("committed %d (%v)", committed, err)
	})
	t.Must(member.close(), "the member leaves")

	hasState(t, group, Group{State: "Empty", Members: 0})
	t.Must(t.DeleteGroup(t, group), "delete the group")
	groups, err = t.Groups(t)
	t.Must(err, "list groups")
	if slices.Contains(groups, group) {
		t.Fail("the deleted group is listed")
	}
	t.Refuses(t.DeleteGroup(t, group), groupIDNotFound, "delete a group that is not there")
}

func checkFencedMember(t *T) {
	topic := t.NewTopic(1, nil)
	options := MemberOptions{
		Group: t.NewName("g"), Topic: topic, Instance: "the-one", Protocol: t.Protocols()[0],
	}
	first := t.join(options)
	t.waitSettled(1, first)
	second := t.join(options)
	// A client that does not act on its heartbeats meets the fence when it commits.
	sent := fill(t, topic, "after", 1)
	t.Until("the first member to be fenced", settleTime, func() (bool, error) {
		err := first.failed()
		return err != nil, fmt.Errorf("the first one owns %v, trouble: %v", first.owns(), troubles([]*running{first}))
	})
	t.Refuses(first.failed(), fencedInstanceID, "the first of two members with one instance id")
	t.waitRecords(len(sent), []int{0}, second)
	t.Must(second.close(), "the second member leaves")
}

func hasState(t *T, group string, expected Group) {
	t.Until(fmt.Sprintf("the group to be %v", expected), waitTime, func() (bool, error) {
		described, err := t.DescribeGroup(t, group)
		return described == expected, fmt.Errorf("it is %v (%v)", described, err)
	})
}

// fill sends records to each partition; their values.
func fill(t *T, topic, label string, partitions int32) []string {
	const count = 25
	var values []string
	var records []Outgoing
	for partition := range partitions {
		for number := range count {
			value := fmt.Sprintf("%s %d %d", label, partition, number)
			values = append(values, value)
			records = append(records, Outgoing{Partition: partition, Value: []byte(value)})
		}
	}
	t.Send(topic, records, ProducerOptions{})
	return values
}

// once holds when every expected value is there once, and nothing else.
func once(t *T, records [][]Record, expected []string, what string) {
	places := map[string][]string{}
	for member, part := range records {
		for _, record := range part {
			place := fmt.Sprintf("partition %d offset %d by member %d", record.Partition, record.Offset, member+1)
			places[string(record.Value)] = append(places[string(record.Value)], place)
		}
	}
	for _, value := range expected {
		if len(places[value]) != 1 {
			t.Fail("%s: %q was consumed %d times: %v", what, value, len(places[value]), places[value])
		}
		delete(places, value)
	}
	for value := range places {
		t.Fail("%s: %q was not expected: %v", what, value, places[value])
	}
}
