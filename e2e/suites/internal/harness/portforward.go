package harness

import (
	"context"
	"fmt"
	"io"

	"k8s.io/client-go/tools/portforward"
)

// PortForward opens a port of 127.0.0.1 that leads to a pod's port, the way
// kubectl does, until ctx ends. It returns the local port.
func (c *Cluster) PortForward(ctx context.Context, ns, pod string, port int) (int, error) {
	url := c.Client.CoreV1().RESTClient().Post().Namespace(ns).Resource("pods").Name(pod).SubResource("portforward").URL()
	dialer, err := portforward.NewSPDYOverWebsocketDialer(url, c.Config)
	if err != nil {
		return 0, err
	}
	ready, ended := make(chan struct{}), make(chan error, 1)
	pf, err := portforward.NewOnAddresses(dialer, []string{"127.0.0.1"},
		[]string{fmt.Sprintf("0:%d", port)}, ctx.Done(), ready, io.Discard, io.Discard)
	if err != nil {
		return 0, err
	}
	go func() { ended <- pf.ForwardPorts() }()
	select {
	case <-ready:
	case err := <-ended:
		return 0, fmt.Errorf("forwarding port %d of pod %s/%s: %w", port, ns, pod, err)
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	ports, err := pf.GetPorts()
	if err != nil {
		return 0, err
	}
	return int(ports[0].Local), nil
}
