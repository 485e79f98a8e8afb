package logs

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

// podWith is a pod x/p with one container's status, as the API tells it.
func podWith(text string) string {
	return `{"kind":"PodList","apiVersion":"v1","items":[{"metadata":{"name":"p","namespace":"x"},"spec":{"nodeName":"a"},"status":{"containerStatuses":[` + text + `]}}]}`
}

// inspect is what crictl says of a container of pod x/p.
func inspect(name string, life int, state, reason string, code int) string {
	return fmt.Sprintf(`{"status":{"id":"%s%d","metadata":{"name":%q,"attempt":%d},"state":%q,"reason":%q,"exitCode":%d,
		"labels":{"io.kubernetes.pod.name":"p","io.kubernetes.pod.namespace":"x"}},"info":{"config":{"envs":[{"key":"PW","value":"planted-variable"}]}}}`,
		name, life, name, life, state, reason, code)
}

func TestCauses(t *testing.T) {
	for name, test := range map[string]struct {
		say said
		// pods and nodes are the API's; it is away where both are "".
		pods, nodes string
		want        []string
		line        string // of the first
	}{
		"a crash loop": {
			say:  said{"a: cd /var/log/pods": podTar(t, plain("./x_p_uid/c/3.log", ""), plain("./x_p_uid/c/2.log", "2026-01-02T03:04:05Z stderr F panic: boom\n"), plain("./x_p_uid/c/1.log", "older\n"))},
			pods: podWith(`{"name":"c","restartCount":3,"state":{"waiting":{"reason":"CrashLoopBackOff"}},"lastState":{"terminated":{"exitCode":7,"reason":"Error"}}}`),
			want: []string{"crash-loop a: container x/p/c ends again and again: exit code 7, started again 3 times"}, line: "panic: boom",
		},
		"a crash loop between two waits": {
			pods: podWith(`{"name":"c","restartCount":3,"state":{"terminated":{"exitCode":7}}}`),
			want: []string{"crash-loop a: container x/p/c ends again and again: exit code 7, started again 3 times"},
		},
		"a crash loop that runs for a moment": {
			pods: podWith(`{"name":"c","ready":true,"restartCount":3,"state":{"running":{"startedAt":"` + time.Now().UTC().Format(time.RFC3339) + `"}},"lastState":{"terminated":{"exitCode":7}}}`),
			want: []string{"crash-loop a: container x/p/c ends again and again: exit code 7, started again 3 times"},
		},
		"a container that once ended": {pods: podWith(`{"name":"c","ready":true,"restartCount":9,"state":{"running":{}},"lastState":{"terminated":{"exitCode":7}}}`)},
		"a job that is done":          {pods: podWith(`{"name":"c","restartCount":0,"state":{"terminated":{"exitCode":0,"reason":"Completed"}}}`)},
		"killed for lack of memory": {
			say:  said{"a: dmesg": "[1] oom-kill:constraint=CONSTRAINT_MEMCG,task_memcg=/docker/ID-OF-a/kubelet/pod,task=hog,pid=1,uid=0\n"},
			pods: podWith(`{"name":"c","restartCount":2,"state":{"waiting":{"reason":"CrashLoopBackOff"}},"lastState":{"terminated":{"exitCode":137,"reason":"OOMKilled"}}}`),
			want: []string{"oom a: container x/p/c was killed for lack of memory (exit code 137, started again 2 times)"},
		},
		"killed beside the API": {
			say:   said{"a: dmesg": "[1] oom-kill:constraint=CONSTRAINT_MEMCG,task_memcg=/docker/ID-OF-a/system.slice,task=hog,pid=1,uid=0\n[2] oom-kill:x,task_memcg=/docker/other,task=alien,pid=2\n"},
			nodes: `{"items":[]}`,
			want:  []string{"oom a: the kernel killed process hog for lack of memory"},
		},
		"an image that cannot be pulled": {
			say:  said{"a: --unit=kubelet": `E Failed to pull image" err="not found" image="example.com/none:1"` + "\n"},
			pods: podWith(`{"name":"c","image":"example.com/none:1","state":{"waiting":{"reason":"ImagePullBackOff","message":"Back-off pulling"}}}`),
			want: []string{"image-pull a: image example.com/none:1 of container x/p/c: ImagePullBackOff: Back-off pulling"},
		},
		"a container without its configuration": {
			pods: podWith(`{"name":"c","state":{"waiting":{"reason":"CreateContainerConfigError","message":"secret \"s\" not found"}}}`),
			want: []string{`container-start a: container x/p/c cannot be started: CreateContainerConfigError: secret "s" not found`},
		},
		"a pod that fits nowhere": {
			pods: `{"kind":"PodList","apiVersion":"v1","items":[{"metadata":{"name":"p","namespace":"x"},"status":{"conditions":[{"type":"PodScheduled","status":"False","reason":"Unschedulable","message":"0/1 nodes"}]}}]}`,
			want: []string{"unschedulable pod x/p fits on no node: 0/1 nodes"},
		},
		"a node that is not ready": {
			nodes: `{"items":[{"metadata":{"name":"a"},"status":{"conditions":[{"type":"Ready","status":"Unknown","reason":"NodeStatusUnknown","message":"Kubelet stopped\nposting"}]}}]}`,
			want:  []string{"node-not-ready node a is not ready: NodeStatusUnknown: Kubelet stopped posting"},
		},
		"a node with a full disk": {
			nodes: `{"items":[{"metadata":{"name":"a"},"status":{"conditions":[{"type":"Ready","status":"True"},{"type":"DiskPressure","status":"True","reason":"KubeletHasDiskPressure","message":"full"},{"type":"MemoryPressure","status":"False"}]}}]}`,
			want:  []string{"disk-pressure node a has DiskPressure: KubeletHasDiskPressure: full"},
		},
		"a node that never came": {
			nodes: `{"items":[{"metadata":{"name":"a"}}]}`,
			want:  []string{"node-not-ready the kubelet of node a has never said how it is"},
		},
		"a disk that is full": {
			say: said{
				"a: df -P":             "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/sda1 100 99 1 99% /\n/dev/sda1 100 99 1 99% /var\n/dev/sdb 100 99 1 99% /mnt/x\n",
				"a: --unit=containerd": "one: no space left on device\ntwo: no space left on device\n",
			},
			nodes: `{"items":[]}`,
			want:  []string{"disk-pressure a: the disk is full (said 2 times)", "disk-pressure a: the disk of / is full to 99%"}, line: "two: no space left on device",
		},
		"a stopped runtime and a kubelet that cannot start": {
			say: said{"a: systemctl show": "Id=kubelet.service\nLoadState=loaded\nActiveState=activating\nSubState=auto-restart\nResult=exit-code\nExecMainStatus=1\nNRestarts=12\n\n" +
				"Id=containerd.service\nLoadState=loaded\nActiveState=inactive\nSubState=dead\nResult=success\nStateChangeTimestamp=Sat 2026\n"},
			nodes: `{"items":[]}`,
			want: []string{
				"unit a: unit containerd.service is inactive (dead) since Sat 2026",
				"unit a: unit kubelet.service is activating (auto-restart): exit-code, exit status 1, started again 12 times",
			},
		},
		"the runtime tells where the API is away": {
			say: said{
				"a: ps --all --quiet": "c2\n", "a: inspect": "[" + inspect("c", 1, exited, "Error", 1) + "," + inspect("c", 2, exited, "Error", 3) + "]\n" +
					inspect("d", 0, exited, "OOMKilled", 137) + inspect("e", 4, "CONTAINER_RUNNING", "", 0) + inspect("e", 3, exited, "Error", 1) + inspect("f", 0, exited, "Completed", 0),
				"a: --unit=kubelet":   `E Failed to pull image" err="x" image="example.com/none:1"` + "\n",
				"a: cd /var/log/pods": podTar(t, plain("./x_p_uid/c/2.log", `{"log":"fatal: no\n","stream":"stderr","time":"2026-01-02T03:04:05Z"}`+"\n")),
			},
			want: []string{
				"api the API does not answer: connection refused",
				"control-plane a: etcd does not run", "control-plane a: kube-apiserver does not run",
				"oom a: container x/p/d was killed for lack of memory (exit code 137, started again 0 times)",
				"image-pull a: image example.com/none:1 could not be pulled",
				"crash-loop a: container x/p/c ends again and again: exit code 3, started again 2 times",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, test.say)
			for i := range l.machines {
				for words, text := range test.say {
					test.say[words] = strings.ReplaceAll(text, "ID-OF-"+l.machines[i].Name, l.machines[i].ID)
				}
			}
			if test.pods+test.nodes != "" {
				api := answers{"/api": cluster()["/api"], "/apis": `{"items":[]}`, "/api/v1/events": `{"items":[]}`, "/api/v1/pods": `{"kind":"PodList","apiVersion":"v1","items":[]}`, "/api/v1/nodes": `{"items":[]}`}
				if test.pods != "" {
					api["/api/v1/pods"] = test.pods
				}
				if test.nodes != "" {
					api["/api/v1/nodes"] = test.nodes
				}
				l.api = api
			}
			s, got := l.export(t)
			if diff := cmp.Diff(test.want, texts(s)); diff != "" {
				t.Errorf("causes (-want +got):\n%s\nmissing: %q", diff, s.Missing)
			}
			if test.line != "" && s.Causes[0].Line != test.line {
				t.Errorf("line %q", s.Causes[0].Line)
			}
			for _, c := range s.Causes {
				if !strings.Contains(got["summary.txt"], c.Text) || c.File != "" && got[c.File] == "" {
					t.Errorf("summary.txt lacks %q, or there is no file %q", c.Text, c.File)
				}
			}
			seeNothing(t, got)
		})
	}
}

func TestEveryKindHasItsPlace(t *testing.T) {
	all := slices.Concat(kubeletPatterns, runtimePatterns)
	for _, p := range all {
		if !slices.Contains(kinds, p.kind) || p.hint == "" {
			t.Errorf("%v", p)
		}
	}
	for _, k := range waits {
		if !slices.Contains(kinds, k) {
			t.Error(k)
		}
	}
}

// The statuses of system pods come before those of others.
func TestSystemFirst(t *testing.T) {
	var pods []corev1.Pod
	text := strings.Replace(podWith(`{"name":"c","restartCount":3,"state":{"terminated":{"exitCode":7}}}`), `"namespace":"x"`, `"namespace":"NS"`, 1)
	for _, ns := range []string{"a", "kube-system"} {
		var list corev1.PodList
		if err := json.Unmarshal([]byte(strings.Replace(text, "NS", ns, 1)), &list); err != nil {
			t.Fatal(err)
		}
		pods = append(pods, list.Items...)
	}
	causes := inOrder(podCauses(append(pods, pods...), time.Now()))
	if len(causes) != 2 || causes[0].Object != "kube-system/p/c" {
		t.Errorf("%+v", causes)
	}
}
