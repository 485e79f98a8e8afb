package runner

import (
	"errors"
	"fmt"
	"strings"

	"github.com/onsi/ginkgo/v2/types"

	"github.com/kluster-project/kluster/e2e/event"
)

const (
	// maxOutput is how much of a spec's output is kept, its last part.
	maxOutput = 256 << 10
	// maxMessage is how much of a failure's message is kept, its first part.
	maxMessage = 64 << 10
)

// fill adds to the journal what ginkgo's own report knows and the suite has not
// told since a place in the journal: all of it, for a suite with a main of its
// own. The error is what failed beside specs.
func (r *run) fill(file string, from int) error {
	g, err := readGinkgo(file)
	if err != nil {
		return err
	}
	told := map[string]bool{}
	for _, e := range r.journal.history()[from:] {
		if e.Kind == event.End {
			told[e.Spec] = true
		}
	}
	var errs []error
	for _, s := range g.SpecReports {
		if s.LeafNodeType != types.NodeTypeIt {
			if s.Failed() {
				errs = append(errs, fmt.Errorf("%s: %s", s.LeafNodeType, message(s)))
			}
			continue
		}
		if !ended(s) || told[s.FullText()] {
			continue
		}
		for _, e := range endsOf(s) {
			if !r.followed[e.Spec] {
				r.Watch.Event(r.Cluster, e)
			}
			begun := event.Event{Time: s.StartTime, Kind: event.Start, Proc: e.Proc, Spec: e.Spec, Labels: e.Labels}
			if err := errors.Join(r.write(entry{Event: begun}), r.write(entry{Event: e})); err != nil {
				return err
			}
		}
	}
	for _, reason := range g.SpecialSuiteFailureReasons {
		errs = append(errs, errors.New(reason))
	}
	return errors.Join(errs...)
}

// ended says whether a spec began and ended, or said why it did not.
func ended(s types.SpecReport) bool {
	switch s.State {
	case types.SpecStateInvalid, types.SpecStatePending:
		return false
	case types.SpecStateSkipped:
		return s.Failure.Message != ""
	case types.SpecStateInterrupted:
		return s.NumAttempts > 0 // else it was interrupted before it began
	default:
		return true
	}
}

// endsOf are the ends that the suite would have told: one for each attempt of a
// spec that the suite itself tried again until it passed.
func endsOf(s types.SpecReport) []event.Event {
	last := endOf(s)
	if s.State != types.SpecStatePassed || s.MaxFlakeAttempts == 0 {
		return []event.Event{last}
	}
	var ends []event.Event
	for _, f := range s.AdditionalFailures {
		failed := last
		failed.State, failed.Message, failed.Seconds = f.State.String(), clipped(f.Failure.Message), 0
		ends = append(ends, failed)
	}
	return append(ends, last)
}

func endOf(s types.SpecReport) event.Event {
	e := event.Event{
		Time: s.EndTime, Kind: event.End, Proc: s.ParallelProcess, Spec: s.FullText(), Labels: s.Labels(),
		State: s.State.String(), Seconds: s.RunTime.Seconds(),
	}
	if s.State == types.SpecStatePassed {
		return e
	}
	e.Message = message(s)
	if at := s.FailureLocation(); at.FileName != "" {
		e.Location = fmt.Sprintf("%s:%d", at.FileName, at.LineNumber)
	}
	e.Output = s.CapturedGinkgoWriterOutput + s.CapturedStdOutErr
	if len(e.Output) > maxOutput {
		e.Output = strings.ToValidUTF8(e.Output[len(e.Output)-maxOutput:], "")
	}
	return e
}

// message is all that went wrong.
func message(s types.SpecReport) string {
	texts := []string{failureText(s.Failure)}
	for _, f := range s.AdditionalFailures {
		texts = append(texts, "and then: "+failureText(f.Failure))
	}
	return clipped(strings.Join(texts, "\n"))
}

func clipped(message string) string {
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + " ..."
	}
	return message
}

func failureText(f types.Failure) string {
	if f.ForwardedPanic != "" {
		return f.Message + ": " + f.ForwardedPanic
	}
	return f.Message
}
