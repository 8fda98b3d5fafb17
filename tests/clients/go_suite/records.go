package suite

import (
	"errors"
	"fmt"
	"os"
	"time"
)

var firstTime = time.UnixMilli(1_750_000_000_000)

// numbered are records whose value is their number.
func numbered(partition int32, count int) []Outgoing {
	records := make([]Outgoing, count)
	for number := range records {
		records[number] = Outgoing{Partition: partition, Value: fmt.Appendf(nil, "%d-%d", partition, number)}
	}
	return records
}

func counted(first int64, count int) []int64 {
	numbers := make([]int64, count)
	for at := range numbers {
		numbers[at] = first + int64(at)
	}
	return numbers
}

func offsetsOf(records []Record) []int64 {
	offsets := make([]int64, len(records))
	for at, record := range records {
		offsets[at] = record.Offset
	}
	return offsets
}

func sameValues(t *T, got []Record, expected []Outgoing, what string) {
	Equal(t, len(got), len(expected), what+": count")
	for at := range got {
		Equal(t, string(got[at].Value), string(expected[at].Value), fmt.Sprintf("%s: value %d", what, at))
	}
}

func hasOffsets(t *T, topic string, partition int32, earliest, latest int64) {
	var gotEarliest, gotLatest int64
	// The leader of a new partition may not know yet that it is; some libraries do not ask it again.
	t.Until("the leader to list offsets", waitTime, func() (bool, error) {
		var err error
		gotEarliest, gotLatest, err = t.Offsets(t, topic, partition)
		if !isRefused(err, notLeader) {
			t.Must(err, "list offsets")
		}
		return err == nil, err
	})
	expected := []int64{earliest, latest}
	Equal(t, []int64{gotEarliest, gotLatest}, expected, fmt.Sprintf("earliest and latest of partition %d", partition))
}

// shown tells nothing from empty where the library does.
func (t *T) shown(value []byte) string {
	if value == nil || len(value) == 0 && t.EmptyIsNothing() {
		return "nothing"
	}
	return fmt.Sprintf("bytes %q", value)
}

// scaled is the size for the short or the full profile.
func scaled(short, full int) int {
	if Orders.Full {
		return full
	}
	return short
}

func isRefused(err error, code int) bool {
	var refused Refused
	return errors.As(err, &refused) && refused.Code == code
}

func asSkip(err error, skip *Skip) bool { return errors.As(err, skip) }

func note(words ...any) { fmt.Fprintln(os.Stderr, words...) }
