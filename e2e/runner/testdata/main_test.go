package kubernetes

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
)

// The framework has names made of texts and labels among the arguments.
func init() {
	ginkgo.AddTreeConstructionNodeArgsTransformer(func(_ types.NodeType, _ ginkgo.Offset, text string, args []any) (string, []any, []error) {
		var rest []any
		for _, arg := range args {
			if word, ok := arg.(string); ok {
				text = strings.TrimSpace(text + " " + word)
			} else {
				rest = append(rest, arg)
			}
		}
		if strings.HasSuffix(text, "c") {
			text += " [Slow]"
		}
		return text, rest, nil
	})
}

var _ = ginkgo.Describe("tiny", func() {
	ginkgo.Describe("", func() {
		ginkgo.Describe("", func() {
			ginkgo.It("", "takes its time:", "f", ginkgo.Label("timed"), func() {})
			ginkgo.It("takes its time: g", ginkgo.Label("timed"), func() {})
		})
	})
})

var beforeSpecs []func() error

// TestMain is what kluster's own main does, and Kubernetes' framework: it looks
// at all specs before they run.
func TestMain(m *testing.M) {
	runID = "the-run"
	for _, prepare := range beforeSpecs {
		if err := prepare(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	flag.Parse()
	ginkgo.PreviewSpecs("a preview")
	tell()
	os.Exit(m.Run())
}

func TestPriority(t *testing.T) {
	known := timings{
		seconds: map[string]float64{"one does it": 1, "one does it [Slow]": 2, "one does it too": 3, "two does it [A] [B]": 4},
		names:   []string{"one does it", "one does it [Slow]", "one does it too", "two does it [A] [B]"},
	}
	for _, test := range []struct {
		containers, leaf string
		want             ginkgo.SpecPriority
	}{
		{"one", "does it", 20}, {"one", "does it too", 30}, {"two", "does it", 40}, {"two", "does", 10 * unknownSeconds},
		{"", "does it", 40}, {"", "does it too", 30}, {"", "it", 40}, {"three", "does it", 10 * unknownSeconds},
	} {
		if got := known.priority(test.containers, test.leaf); got != test.want {
			t.Errorf("priority of %q in %q: %d, want %d", test.leaf, test.containers, got, test.want)
		}
	}
}
