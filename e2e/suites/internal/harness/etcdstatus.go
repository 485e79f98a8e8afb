package harness

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// EtcdStatus is what a member of etcd says of itself, as its JSON gateway writes it.
type EtcdStatus struct {
	Header struct {
		MemberID uint64 `json:"member_id,string"`
	} `json:"header"`
	Leader  uint64   `json:"leader,string"`
	Term    uint64   `json:"raftTerm,string"`
	Learner bool     `json:"isLearner"`
	Errors  []string `json:"errors"` // alarms
}

// Leads says whether the member takes itself for the leader.
func (s EtcdStatus) Leads() bool { return s.Leader != 0 && s.Leader == s.Header.MemberID }

// EtcdClient asks members of etcd from the host, past the API, so that it also works
// while there is none.
type EtcdClient struct {
	http *http.Client
}

// etcdTimeout bounds a question to a member, which may be paused.
const etcdTimeout = time.Second

// EtcdClient makes a client with the credentials of a control plane's member.
func (e *Engine) EtcdClient(ctx context.Context, node string) (*EtcdClient, error) {
	var pem [3][]byte
	for i, file := range []string{"ca.crt", "server.crt", "server.key"} {
		r, err := e.Exec(ctx, node, "cat", etcdPKI+file)
		if err != nil || r.Code != 0 {
			return nil, fmt.Errorf("reading %s of %s: exit code %d, %w", file, node, r.Code, err)
		}
		pem[i] = []byte(r.Stdout)
	}
	own, err := tls.X509KeyPair(pem[1], pem[2])
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem[0]) {
		return nil, errors.New("no certificate in etcd's ca.crt")
	}
	return &EtcdClient{&http.Client{Timeout: etcdTimeout, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{own}, RootCAs: roots, MinVersion: tls.VersionTLS12},
		// A connection from before a fault may lead nowhere.
		DisableKeepAlives: true,
	}}}, nil
}

// Status asks the member at an address.
func (c *EtcdClient) Status(ctx context.Context, address string) (EtcdStatus, error) {
	var s EtcdStatus
	err := c.ask(ctx, address, "maintenance/status", &s)
	return s, err
}

// Voters counts the members that vote, and Learners those that do not yet, as the
// member at an address knows them.
func (c *EtcdClient) Voters(ctx context.Context, address string) (voters, learners int, err error) {
	var list struct {
		Members []struct {
			Learner bool `json:"isLearner"`
		} `json:"members"`
	}
	err = c.ask(ctx, address, "cluster/member/list", &list)
	for _, m := range list.Members {
		if m.Learner {
			learners++
		} else {
			voters++
		}
	}
	return voters, learners, err
}

func (c *EtcdClient) ask(ctx context.Context, address, what string, into any) error {
	url := "https://" + net.JoinHostPort(address, "2379") + "/v3/" + what
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("{}"))
	if err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	return json.NewDecoder(response.Body).Decode(into)
}
