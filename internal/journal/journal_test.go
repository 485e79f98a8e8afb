package journal

import (
	"strings"
	"testing"
	"time"
)

func TestArgs(t *testing.T) {
	at := time.Unix(1767323045, 600)
	for want, query := range map[string]Query{
		"": {},
		"--since=@1767323045 --until=@1767323046 --unit=a": {Since: at, Until: at, Units: []string{"a"}},
		"--follow --no-tail --unit=a --unit=b":             {Follow: true, Units: []string{"a", "b"}},
		"--since=@1767323045 --follow --no-tail":           {Since: at, Follow: true},
	} {
		got := strings.Join(query.Args(), " ")
		if whole := strings.TrimSpace("journalctl --no-pager --quiet --utc --output=short-precise " + want); got != whole {
			t.Errorf("%s\nwant %s", got, whole)
		}
	}
}
