package docker

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseMissing(t *testing.T) {
	for _, test := range []struct {
		name, bounding, last string
		want                 []string
	}{
		{"all", "000001ffffffffff", "40\n", nil},
		{"one less", "000001fffeffffff", "40\n", []string{"CAP_SYS_RESOURCE"}},
		{"older kernel", "0000003fffffffff", "37\n", nil},
		{"newer kernel", "000003ffffffffff", "41\n", nil},
		{"two less", "000001fffefffffe", "40\n", []string{"CAP_CHOWN", "CAP_SYS_RESOURCE"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			status := "Name:\tdockerd\nCapEff:\t0000000000000000\nCapBnd:\t" + test.bounding + "\nSeccomp:\t0\n"
			got, err := parseMissing([]byte(status), []byte(test.last))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for _, status := range []string{"", "Name:\tx\n", "CapBnd:\tzz\n"} {
		if _, err := parseMissing([]byte(status), []byte("40")); err == nil {
			t.Errorf("status %q was read", status)
		}
	}
}

func TestParseInnerPID(t *testing.T) {
	for text, want := range map[string]int{
		"NSpid:\t4321\t17\n":    17,
		"NSpid:\t4321\t80\t9\n": 9,
		"NSpid:\t4321\n":        0,
		"Name:\tx\n":            0,
	} {
		got, err := parseInnerPID([]byte(text))
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("%q: got %d and error %v, want %d", text, got, err, want)
		}
	}
}
