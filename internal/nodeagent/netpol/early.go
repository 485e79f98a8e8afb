package netpol

import (
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const (
	// strangerTime is how long a pod waits that the API does not know: a static
	// one whose API server is away.
	strangerTime = 5 * time.Second
	// forgetTime is when it is forgotten.
	forgetTime = time.Minute
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
	here := map[string]bool{}
	for i, p := range pods {
		key := p.Namespace + "/" + p.Name
		a := e[key]
		if a == nil || a.UID != "" && a.UID != string(p.UID) {
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
		if !here[key] && (a.seen || time.Since(a.since) > forgetTime) {
			a.answer()
			delete(e, key)
		}
	}
	return pods
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
// policies, and for those that nobody knows.
func (e early) settle(none bool) {
	for _, a := range e {
		if none || a.seen || time.Since(a.since) > strangerTime {
			a.answer()
		}
	}
	if none {
		clear(e)
	}
}
