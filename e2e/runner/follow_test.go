package runner

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/e2e/event"
)

// What ginkgo prints of a suite in one process, and in several.
const (
	inOne = `Will run 3 of 3 specs
------------------------------
tiny passes [Slow] [plain]
/suite_test.go:70
• [1.500 seconds]
------------------------------
tiny fails [plain, bad]
/suite_test.go:71
  one is not two
• [FAILED] [0.001 seconds]
tiny [It] fails [plain, bad]
/suite_test.go:71
------------------------------
tiny skips itself
/suite_test.go:79
S [SKIPPED] [0.000 seconds]
tiny [It] skips itself
/suite_test.go:79
------------------------------
Summarizing 1 Failure:
  [FAIL] tiny [It] fails [plain, bad]
`
	inSeveral = `Running in parallel across 2 processes
------------------------------
• [1.500 seconds]
tiny passes [Slow] [plain]
/suite_test.go:70
------------------------------
• [FAILED] [0.001 seconds]
tiny [It] fails [plain, bad]
/suite_test.go:71
------------------------------
• [0.001 seconds]
tiny that nobody planned
------------------------------
S [SKIPPED] [0.000 seconds]
tiny [It] skips itself
`
)

func TestFollow(t *testing.T) {
	ends := []string{"end tiny passes [Slow] passed 1.5", "end tiny fails failed 0.001", "end tiny skips itself skipped 0"}
	starts := []string{"start tiny passes [Slow]  0", "start tiny fails  0", "start tiny skips itself  0"}
	for name, test := range map[string]struct {
		log  string
		want []string
	}{
		"in one process": {inOne, []string{starts[0], ends[0], starts[1], ends[1], starts[2], ends[2]}},
		"in several":     {inSeveral, ends},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			f := follower{
				planned: map[string]bool{"tiny passes [Slow]": true, "tiny fails": true, "tiny skips itself": true},
				serial:  test.log == inOne,
				tell: func(e event.Event) {
					got = append(got, fmt.Sprintf("%s %s %s %g", e.Kind, e.Spec, e.State, e.Seconds))
				},
			}
			for i := range len(test.log) { // as slowly as can be
				f.write([]byte(test.log[i : i+1]))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
		})
	}
}
