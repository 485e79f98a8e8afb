package e2e

import "sync"

// nameWhenKilled names a cluster that is made for the run when the run is told to end
// at once: it may not be given the time to remove it. stop ends that.
func (r *run) nameWhenKilled(cluster string) (stop func()) {
	done := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		select {
		case <-r.opt.Kill:
			r.Reporter.Note("cluster %q was made for this run; if it is left: kluster delete %s", cluster, cluster)
		case <-done:
		}
	})
	return func() {
		close(done)
		group.Wait()
	}
}
