package nodeimage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// fetch writes what a URL holds to w. All of it, or it is an error.
func (b *builder) fetch(ctx context.Context, url string, w io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	client := *b.r.env.HTTP
	client.CheckRedirect = keepTLS
	resp, err := client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &NetworkError{What: req.URL.Host, Err: err}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return &NetworkError{What: url, Err: statusError(resp.Status)}
	}
	return copyBody(ctx, url, w, resp.Body)
}

// copyBody tells a broken connection from a disk that is full.
func copyBody(ctx context.Context, url string, w io.Writer, body io.Reader) error {
	read := &readError{r: body}
	_, err := io.Copy(w, read)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case read.err != nil:
		return &NetworkError{What: url, Err: read.err}
	}
	return err
}

// readError remembers what went wrong with reading.
type readError struct {
	r   io.Reader
	err error
}

func (e *readError) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		e.err = err
	}
	return n, err
}

const redirects = 10

// keepTLS refuses to be sent from https to http.
func keepTLS(req *http.Request, via []*http.Request) error {
	if len(via) >= redirects {
		return fmt.Errorf("more than %d redirects", redirects)
	}
	if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return fmt.Errorf("redirected to %s, which is not https", req.URL.Redacted())
	}
	return nil
}

// textLimit is more than any checksum file has.
const textLimit = 1 << 20

// fetchText is fetch for checksum files and signatures.
func (b *builder) fetchText(ctx context.Context, url string) ([]byte, error) {
	var text bytes.Buffer
	err := b.fetch(ctx, url, &limited{w: &text, left: textLimit})
	return text.Bytes(), err
}

// limited fails once more than left bytes were written to it.
type limited struct {
	w    io.Writer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, errors.New("too long for a checksum file")
	}
	return l.w.Write(p)
}
