package dockerload

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// Engine is a Docker Engine.
type Engine struct {
	// Socket is the path of its API's socket, and Temp its folder for temporary files.
	Socket, Temp string
}

// post has Engine load an archive.
func (e Engine) post(ctx context.Context, archive []byte) error {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", e.Socket)
		},
		DisableKeepAlives: true,
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://docker/images/load?quiet=1", bytes.NewReader(archive))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-tar")
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return fmt.Errorf("asking the engine to load: %w", err)
	}
	defer resp.Body.Close()
	return answer(resp)
}

// answer gives the error in what Engine says, which may have begun well.
func answer(resp *http.Response) error {
	for decoder := json.NewDecoder(resp.Body); ; {
		var said struct{ Error, Message string }
		switch err := decoder.Decode(&said); {
		case errors.Is(err, io.EOF) && resp.StatusCode == http.StatusOK:
			return nil
		case err != nil:
			return fmt.Errorf("the engine answers %s: %w", resp.Status, err)
		case said.Error != "":
			return errors.New(said.Error)
		case resp.StatusCode != http.StatusOK:
			return errors.New(said.Message)
		}
	}
}
