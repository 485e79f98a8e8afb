package chaos_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/kluster-project/kluster/e2e/chaos"
)

func TestQuestion(t *testing.T) {
	front, back := corev1.Pod{}, corev1.Pod{}
	front.Status.HostIP, back.Status.PodIP = "fd00::5", "10.244.1.7"
	got, err := url.Parse(question(front, 18080, back))
	if err != nil {
		t.Fatal(err)
	}
	if got.Host != "[fd00::5]:18080" || got.Query().Get("host") != "10.244.1.7" || got.Query().Get("port") != "8080" {
		t.Error(got)
	}
}

// TestPodWatch: a front that answers counts only while the pod behind it does.
func TestPodWatch(t *testing.T) {
	asked := make(chan int, 100)
	count := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		text := `{"responses":["back-x7f9c"]}`
		if count++; count > 3 {
			text = `{"errors":["connection refused"]}`
		}
		_, _ = w.Write([]byte(text))
		asked <- count
	}))
	defer server.Close()
	w := watchPods(map[string]string{"c-1": server.URL})
	began := time.Now()
	w.now = func() time.Duration { return time.Since(began) }
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan struct{})
	go func() { defer close(done); w.run(ctx) }()
	for <-asked < 6 {
	}
	stop()
	<-done
	if got, _ := w.beats["c-1"].Between(0, time.Hour); got != 3 {
		t.Errorf("%d answers", got)
	}
}

// TestSpared: answers are counted while the fault holds, and pauses as long as not all works.
func TestSpared(t *testing.T) {
	w := watchPods(map[string]string{"c-1": "", "c-2": "", "c-3": ""})
	for i := range 30 {
		at := time.Duration(i) * time.Second
		w.beats["c-1"].Add(at)
		if i < 12 || i > 18 {
			w.beats["c-2"].Add(at)
		}
	}
	for _, c := range []struct {
		holds, undone time.Duration
		want          []chaos.Pod
	}{
		{10, 20, []chaos.Pod{{Node: "c-1", Answers: 11, Pause: 1}, {Node: "c-2", Answers: 4, Pause: 8}}},
		{10, 9, []chaos.Pod{{Node: "c-1", Answers: 17, Pause: 1}, {Node: "c-2", Answers: 10, Pause: 8}}},
	} {
		got := w.spared([]string{"c-2", "c-1"}, 9*time.Second, c.holds*time.Second, c.undone*time.Second, 25*time.Second)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Error(diff)
		}
	}
}
