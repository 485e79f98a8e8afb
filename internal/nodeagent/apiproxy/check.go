package apiproxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/kluster-project/kluster/internal/wait"
)

// errNoCA says that it cannot be known yet whom to trust.
var errNoCA = errors.New("no certificate authority yet")

// watch checks a server until ctx ends, or it is gone.
func (p *pool) watch(ctx context.Context, s *server, c *checker) {
	defer c.client.CloseIdleConnections()
	for !p.forget(s) {
		err := c.check(ctx)
		if ctx.Err() != nil {
			return
		}
		if !errors.Is(err, errNoCA) {
			p.report(s, err == nil)
		}
		pause := p.timing.Retry
		if err == nil {
			pause = p.timing.Interval
		}
		if !wait.ForOr(ctx, pause, s.nudge) {
			return
		}
	}
}

// checker asks one server whether it is ready.
type checker struct {
	url    string
	caFile string
	pem    []byte // what client trusts
	client *http.Client
	timing Timing
}

func newChecker(addr string, config Config) *checker {
	return &checker{
		url: "https://" + addr + "/readyz", caFile: config.CAFile,
		client: &http.Client{}, timing: config.Timing,
	}
}

// check is nil for a server that is ready, and errNoCA while that cannot be
// found out. Servers that let nobody ask anonymously are ready when they say
// so ("unauthorized").
func (c *checker) check(ctx context.Context) error {
	if err := c.trust(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timing.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		return err
	}
	response, err := c.client.Do(request)
	if err != nil {
		c.client.CloseIdleConnections()
		return err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<16))
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return err
	}
	if code := response.StatusCode; code != http.StatusOK && code != http.StatusUnauthorized {
		return fmt.Errorf("server says %s", response.Status)
	}
	return nil
}

// trust reads the certificate authority, which may appear late and be renewed.
func (c *checker) trust() error {
	pem, err := os.ReadFile(c.caFile)
	if errors.Is(err, os.ErrNotExist) {
		return errNoCA
	}
	if err != nil {
		return fmt.Errorf("reading the certificate authority: %w", err)
	}
	if bytes.Equal(pem, c.pem) {
		return nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return errNoCA // half written
	}
	c.client.CloseIdleConnections()
	c.client.Transport = &http.Transport{
		DialContext:     Dialer(c.timing.Timeout).DialContext,
		TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
	}
	c.pem = pem
	return nil
}
