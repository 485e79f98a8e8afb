package cluster

import (
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// transient errors of an API that is coming up: the load balancer has just
// moved on from a server that restarts, or a server has no quorum yet.
var transient = []func(error) bool{
	utilnet.IsConnectionRefused, utilnet.IsConnectionReset, utilnet.IsProbableEOF, utilnet.IsTimeout,
	apierrors.IsConflict, apierrors.IsInternalError, apierrors.IsServerTimeout, apierrors.IsServiceUnavailable,
	apierrors.IsTimeout, apierrors.IsTooManyRequests,
}

// unlessTransient is err, or nil when trying again may help.
func unlessTransient(err error) error {
	for _, is := range transient {
		if is(err) {
			return nil
		}
	}
	return err
}
