package logs

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// pressures are the conditions of a node that mean trouble when they are true.
var pressures = map[corev1.NodeConditionType]Kind{
	corev1.NodeDiskPressure:       KindDiskPressure,
	corev1.NodeMemoryPressure:     KindPressure,
	corev1.NodePIDPressure:        KindPressure,
	corev1.NodeNetworkUnavailable: KindPressure,
}

// nodeCauses are what nodes say is wrong with them.
func nodeCauses(nodes []corev1.Node) []Cause {
	var causes []Cause
	for _, n := range nodes {
		ready := false
		for _, c := range n.Status.Conditions {
			what := fmt.Sprintf("%s: %s", c.Reason, oneLine(c.Message))
			kind, pressure := pressures[c.Type]
			switch {
			case c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue:
				ready = true
			case c.Type == corev1.NodeReady:
				ready = true // it is told here
				causes = append(causes, Cause{Kind: KindNotReady, Node: n.Name, Text: "node " + n.Name + " is not ready: " + what, File: conditions})
			case pressure && c.Status == corev1.ConditionTrue:
				causes = append(causes, Cause{Kind: kind, Node: n.Name, Object: string(c.Type), Text: fmt.Sprintf("node %s has %s: %s", n.Name, c.Type, what), File: conditions})
			}
		}
		if !ready {
			causes = append(causes, Cause{Kind: KindNotReady, Node: n.Name, Text: "the kubelet of node " + n.Name + " has never said how it is", File: conditions})
		}
	}
	return causes
}

// waits are what containers wait for that will not come by itself, by the reason in
// their status.
var waits = map[string]Kind{
	"ErrImagePull": KindImagePull, "ImagePullBackOff": KindImagePull, "InvalidImageName": KindImagePull,
	"ErrImageNeverPull": KindImagePull, "ImageInspectError": KindImagePull, "RegistryUnavailable": KindImagePull,
	"SignatureValidationFailed":  KindImagePull,
	"CreateContainerConfigError": KindStart, "CreateContainerError": KindStart, "RunContainerError": KindStart,
	"CrashLoopBackOff": KindCrashLoop,
}

// restartsOfALoop is how often a container that is not ready was started again when it
// is said to crash.
const restartsOfALoop = 2

// justStarted is how long ago a container was started that is not yet known to go on:
// one that crashes is ready for a moment, each time.
const justStarted = time.Minute

const reasonOOM = "OOMKilled"

// podCauses are what the statuses of pods say is wrong at a time.
func podCauses(pods []corev1.Pod, now time.Time) []Cause {
	var causes []Cause
	for i := range pods {
		pod := &pods[i]
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
				causes = append(causes, Cause{
					Kind: KindUnschedulable, Object: pod.Namespace + "/" + pod.Name, File: podObjects,
					Text: fmt.Sprintf("pod %s/%s fits on no node: %s", pod.Namespace, pod.Name, oneLine(c.Message)),
				})
			}
		}
		for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses, pod.Status.EphemeralContainerStatuses) {
			if c, ok := statusCause(pod, &s, now); ok {
				causes = append(causes, c)
			}
		}
	}
	return causes
}

// statusCause is what is wrong with a container, if anything is.
func statusCause(pod *corev1.Pod, s *corev1.ContainerStatus, now time.Time) (Cause, bool) {
	c := Cause{Node: pod.Spec.NodeName, Object: podKey(pod.Namespace, pod.Name, s.Name), File: podObjects}
	ended := s.State.Terminated
	if ended == nil {
		ended = s.LastTerminationState.Terminated
	}
	kind := Kind("")
	if s.State.Waiting != nil {
		kind = waits[s.State.Waiting.Reason]
	}
	goesOn := s.Ready && (s.State.Running == nil || now.Sub(s.State.Running.StartedAt.Time) > justStarted)
	loops := kind == KindCrashLoop || !goesOn && s.RestartCount >= restartsOfALoop && ended != nil && ended.ExitCode != 0
	switch {
	case ended != nil && ended.Reason == reasonOOM:
		c.Kind = KindOOM
		c.killed(int(s.RestartCount), int(ended.ExitCode))
	case loops && ended != nil:
		c.Kind = KindCrashLoop
		c.crashes(int(s.RestartCount), int(ended.ExitCode))
	case kind == KindCrashLoop:
		c.Kind, c.Text = kind, fmt.Sprintf("container %s ends again and again (%d times)", c.Object, s.RestartCount)
	case kind == KindImagePull:
		c.Kind, c.Text = kind, fmt.Sprintf("image %s of container %s: %s", s.Image, c.Object, waiting(s))
	case kind != "":
		c.Kind, c.Text = kind, fmt.Sprintf("container %s cannot be started: %s", c.Object, waiting(s))
	default:
		return c, false
	}
	return c, true
}

func waiting(s *corev1.ContainerStatus) string {
	w := s.State.Waiting
	if w.Message == "" {
		return w.Reason
	}
	return w.Reason + ": " + clip(oneLine(w.Message), 400)
}

func (c *Cause) killed(restarts, code int) {
	c.ExitCode = &code
	c.Text = fmt.Sprintf("container %s was killed for lack of memory (exit code %d, started again %d times)", c.Object, code, restarts)
}

func (c *Cause) crashes(restarts, code int) {
	c.ExitCode = &code
	c.Text = fmt.Sprintf("container %s ends again and again: exit code %d, started again %d times", c.Object, code, restarts)
}

// containerCauses are what a node's container runtime says of containers, for where no
// API can tell.
func containerCauses(node, file string, all []container) []Cause {
	last := map[string]container{}
	for _, c := range all {
		if before, ok := last[c.key()]; !ok || before.Life < c.Life {
			last[c.key()] = c
		}
	}
	var causes []Cause
	for _, s := range all {
		c := Cause{Node: node, Object: s.key(), File: file}
		switch {
		case s.State != exited || s.ExitCode == 0:
			continue
		case s.Reason == reasonOOM:
			c.Kind = KindOOM
			c.killed(last[s.key()].Life, s.ExitCode)
		case s.ID == last[s.key()].ID && s.Life > 0:
			c.Kind = KindCrashLoop
			c.crashes(s.Life, s.ExitCode)
		default:
			continue
		}
		causes = append(causes, c)
	}
	return causes
}

// controlPlane are the containers without which a control plane has no API.
var controlPlane = []string{"etcd", "kube-apiserver"}

// controlPlaneCauses are those of them that do not run, for where no API can tell.
func controlPlaneCauses(node, file string, all []container) []Cause {
	var causes []Cause
	for _, name := range controlPlane {
		runs := slices.ContainsFunc(all, func(c container) bool {
			return c.Namespace == "kube-system" && c.Name == name && c.State == running
		})
		if !runs {
			causes = append(causes, Cause{Kind: KindControlPlane, Node: node, Object: name, Text: name + " does not run", File: file})
		}
	}
	return causes
}
