package redact

import (
	"bytes"
	"testing"
)

// BenchmarkText redacts what a kubelet says.
func BenchmarkText(b *testing.B) {
	line := `Nov 21 19:20:00.123456 kluster-worker-1 kubelet[123]: I1121 19:20:00.123456 123 reconciler_common.go:251] "operationExecutor.VerifyControllerAttachedVolume started for volume \"kube-api-access-abcde\" (UniqueName: \"kubernetes.io/projected/0123-kube-api-access-abcde\") pod \"p\" (UID: \"0123\") " pod="default/p"` + "\n"
	text := bytes.Repeat([]byte(line), 1<<20/len(line))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		Text(text)
	}
}
