package watch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFollowAPI(t *testing.T) {
	const broken = "[+]ping ok\n[-]etcd failed: reason withheld\n[-]poststarthook/x failed\nreadyz check failed\n"
	for name, test := range map[string]struct {
		down func(second int) bool
		how  func() (int, string, error)
		want []string
	}{
		"always ready": {down: func(int) bool { return false }},
		"a gap": {
			func(s int) bool { return s >= 10 && s < 15 }, func() (int, string, error) { return 500, broken, nil },
			[]string{"10s the API server was not ready for 5s, from 00:00:10 to 00:00:15: etcd failed: reason withheld, poststarthook/x failed"},
		},
		"too short to tell": {down: func(s int) bool { return s == 10 }, how: func() (int, string, error) { return 500, "", nil }},
		"gone to the end": {
			func(s int) bool { return s >= 50 }, func() (int, string, error) { return 0, "", fmt.Errorf("connection\nrefused") },
			[]string{`50s the API server was not ready for 10s, from 00:00:50 to 00:01:00, when the run ended: Get "http://api/readyz": connection refused`},
		},
		"it refuses to say": {down: func(int) bool { return true }, how: func() (int, string, error) { return 403, "no", nil }},
		"twice": {
			func(s int) bool { return s%20 < 3 && s > 0 && s < 60 && s >= 20 }, func() (int, string, error) { return 503, "", nil },
			[]string{
				"20s the API server was not ready for 3s, from 00:00:20 to 00:00:23: the server is currently unable to handle the request",
				"40s the API server was not ready for 3s, from 00:00:40 to 00:00:43: the server is currently unable to handle the request",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				asked := 0
				c := client(t, func(*http.Request) (int, string, error) {
					asked++
					if test.down(int(time.Since(began).Seconds())) {
						return test.how()
					}
					return 200, "ok", nil
				})
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				teller, texts := told()
				(&api{Options: Options{Cluster: "c"}.filled(), teller: teller}).follow(ctx, c)
				if diff := cmp.Diff(test.want, *texts, cmp.Transformer("nil", func(s []string) []string { return append([]string{}, s...) })); diff != "" {
					t.Errorf("incidents (-want +got):\n%s", diff)
				}
				if asked > 62 {
					t.Errorf("asked %d times in a minute", asked)
				}
			})
		})
	}
}

// TestLost: an API that stays away is given up once, after a while and not before,
// and one that comes back in time never.
func TestLost(t *testing.T) {
	refused := func() (int, string, error) { return 0, "", errors.New("connection refused") }
	notReady := func() (int, string, error) { return 500, "[-]etcd failed: reason withheld\n", nil }
	for name, test := range map[string]struct {
		after time.Duration
		down  func(second int) bool
		how   func() (int, string, error)
		want  []string
	}{
		"it comes back": {down: func(s int) bool { return s >= 10 && s < 309 }, how: refused},
		"it stays away": {
			down: func(s int) bool { return s >= 10 }, how: refused,
			want: []string{`310s the API of cluster c has not answered since 00:00:10 (5m00s): Get "http://api/readyz": connection refused`},
		},
		"away, back, away": {down: func(s int) bool { return s >= 10 && s != 200 }, how: refused, want: []string{
			`501s the API of cluster c has not answered since 00:03:21 (5m00s): Get "http://api/readyz": connection refused`,
		}},
		"it answers, and is not ready": {
			down: func(s int) bool { return s >= 10 }, how: notReady,
			want: []string{"310s the API of cluster c has not been ready since 00:00:10 (5m00s): etcd failed: reason withheld"},
		},
		"another bound": {
			after: 20 * time.Second, down: func(s int) bool { return s >= 10 }, how: refused,
			want: []string{`30s the API of cluster c has not answered since 00:00:10 (20s): Get "http://api/readyz": connection refused`},
		},
		"refused all the time": {down: func(int) bool { return true }, how: func() (int, string, error) { return 403, "no", nil }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				c := client(t, func(*http.Request) (int, string, error) {
					if test.down(int(time.Since(began).Seconds())) {
						return test.how()
					}
					return 200, "ok", nil
				})
				ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
				defer cancel()
				teller, _ := told()
				var lost []string
				o := Options{Cluster: "c", LostAfter: test.after, Lost: func(err error) {
					lost = append(lost, fmt.Sprintf("%.0fs %v", time.Since(began).Seconds(), err))
				}}
				(&api{Options: o.filled(), teller: teller}).follow(ctx, c)
				if diff := cmp.Diff(test.want, lost); diff != "" {
					t.Errorf("lost (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestAnswersThatWait: where a load balancer holds a question until the API server is
// back, broken connections tell that it was away.
func TestAnswersThatWait(t *testing.T) {
	const away = "10s the API server was not ready for 4s, from 00:00:10 to 00:00:14: its connections broke off"
	for name, test := range map[string]struct {
		broken int // the second in which a connection breaks off
		back   int // when questions are answered
		want   []string
	}{
		"a restart":                     {10, 14, []string{away}},
		"a watch that has had its time": {10, 0, nil},
		"slow":                          {0, 14, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				c := client(t, func(*http.Request) (int, string, error) {
					if s := int(time.Since(began).Seconds()); s >= 10 && s < test.back {
						time.Sleep(time.Until(began.Add(time.Duration(test.back) * time.Second)))
					}
					return 200, "ok", nil
				})
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				teller, texts := told()
				a := &api{Options: Options{Cluster: "c"}.filled(), teller: teller}
				if test.broken > 0 {
					time.AfterFunc(time.Duration(test.broken)*time.Second, func() { a.brokeOff(time.Now()) })
				}
				a.follow(ctx, c)
				if diff := cmp.Diff(test.want, *texts, cmp.Transformer("nil", func(s []string) []string { return append([]string{}, s...) })); diff != "" {
					t.Errorf("incidents (-want +got):\n%s", diff)
				}
			})
		})
	}
}
