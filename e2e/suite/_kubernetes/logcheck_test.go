package kubernetes

import "k8s.io/kubernetes/test/e2e/invariants/logcheck"

func init() { moreFlags = append(moreFlags, logcheck.RegisterFlags) }
