package netpol

import (
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const (
	// strangerTime is how long a pod waits of which the watch does not tell, until the
	// API is asked about it.
	strangerTime = 5 * time.Second
	// forgetTime is when it is forgotten: whoever waited for it has given up.
	forgetTime = time.Minute
	// hashKey is an annotation of the pods that stand in the API for static ones: the
	// UID by which the node knows these.
	hashKey = "kubernetes.io/config.hash"
)

// early is the pods that the gate has told of and the API has yet to, by
// namespace/name.
type early map[string]*arrival

func (e early) add(a *arrival) {
	key := a.Namespace + "/" + a.Pod
	if old := e[key]; old != nil {
		old.answer() // its sandbox was made anew
	}
	e[key] = a
}

// waiting says whether somebody does.
func (e early) waiting() bool {
	for _, a := range e {
		if !a.answered {
			return true
		}
	}
	return false
}

// join gives pods the addresses that the API does not tell of yet. It forgets those
// that it does, and pods that are gone.
func (e early) join(pods []*corev1.Pod) []*corev1.Pod {
	if len(e) == 0 {
		return pods
	}
	pods = e.introduce(pods)
	here := map[string]bool{}
	for i, p := range pods {
		key := p.Namespace + "/" + p.Name
		a := e[key]
		if a == nil || !a.is(p) {
			continue
		}
		here[key], a.seen = true, true
		if missing := a.missing(p); len(missing) > 0 {
			p = p.DeepCopy()
			p.Status.PodIPs = append(p.Status.PodIPs, missing...)
			pods[i] = p
		} else if a.answered {
			delete(e, key)
		}
	}
	for key, a := range e {
		switch {
		case here[key]:
		case a.seen:
			a.answer()
			delete(e, key)
		case time.Since(a.since) > forgetTime:
			delete(e, key) // without an answer: nothing holds for it
		}
	}
	return pods
}

// introduce adds the pods that the API tells of when asked, and the watch does not yet.
func (e early) introduce(pods []*corev1.Pod) []*corev1.Pod {
	told := map[string]bool{}
	for _, p := range pods {
		told[p.Namespace+"/"+p.Name] = true
	}
	for key, a := range e {
		if a.pod != nil && !told[key] && time.Since(a.since) < forgetTime {
			pods = append(pods, a.pod)
		}
	}
	return pods
}

// is says whether a pod of the API is the one that starts.
func (a *arrival) is(p *corev1.Pod) bool {
	return a.UID == "" || a.UID == string(p.UID) || a.UID == p.Annotations[hashKey]
}

// missing are the addresses that are not in a pod's status.
func (a *arrival) missing(p *corev1.Pod) []corev1.PodIP {
	var all []corev1.PodIP
	for _, addr := range a.Addrs {
		known := slices.ContainsFunc(p.Status.PodIPs, func(ip corev1.PodIP) bool {
			have, err := netip.ParseAddr(ip.IP)
			return err == nil && have == addr
		})
		if !known {
			all = append(all, corev1.PodIP{IP: addr.String()})
		}
	}
	return all
}

// settle answers for those whose policies hold now, which are all if there are no
// policies.
func (e early) settle(none bool) {
	for _, a := range e {
		if none || a.seen {
			a.answer()
		}
	}
	if none {
		clear(e)
	}
}

// strangers are those that the API is to be asked about.
func (e early) strangers() (all []*arrival) {
	for _, a := range e {
		if !a.answered && !a.seen && !a.asked && time.Since(a.since) > strangerTime {
			all = append(all, a)
		}
	}
	return all
}

// told is what the API says of a stranger: nil if it does not know the pod.
type told struct {
	*arrival
	pod *corev1.Pod
	err error
}

// hear takes what the API says. A pod that it does not know has no policies; of one
// that it cannot tell of, nobody knows which it has.
func (e early) hear(t told) {
	t.asked = false
	switch {
	case t.err != nil:
	case t.pod == nil || !t.is(t.pod):
		t.answer()
	default:
		t.arrival.pod = t.pod
	}
}
