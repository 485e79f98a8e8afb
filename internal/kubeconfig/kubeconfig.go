// Package kubeconfig renders kubeconfigs of clusters, and merges them into and
// removes them from the user's own file. That file belongs to the user: all that
// is not the entry in question stays as it is, comments and unknown fields
// included; it is replaced atomically, under the lock that kubectl takes too; and
// a file that cannot be read as a kubeconfig is left alone.
package kubeconfig

import (
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// Entry is one cluster in a kubeconfig: a cluster, a user and a context, all
// three of the same name.
type Entry struct {
	Name   string // "kluster-NAME"
	Server string // "https://127.0.0.1:40123"
	// CA, ClientCertificate and ClientKey are PEM.
	CA, ClientCertificate, ClientKey []byte
	// ServerName, if not empty, is the name in the server's certificate, where
	// it is not Server's own.
	ServerName string
	// Creation, if not empty, is the ID of the create that made the cluster, so that
	// who deletes one does not take the entry of the next of its name.
	Creation string
}

// mark is the extension of a context that holds Entry.Creation.
type mark struct {
	Creation string `json:"creation"`
}

const markName = "kluster.dev"

// Render gives a kubeconfig that holds e alone.
func Render(e Entry) ([]byte, error) {
	c := api.NewConfig()
	c.Clusters[e.Name] = &api.Cluster{
		Server: e.Server, TLSServerName: e.ServerName, CertificateAuthorityData: e.CA,
	}
	c.AuthInfos[e.Name] = &api.AuthInfo{ClientCertificateData: e.ClientCertificate, ClientKeyData: e.ClientKey}
	c.Contexts[e.Name] = &api.Context{Cluster: e.Name, AuthInfo: e.Name, Extensions: e.extensions()}
	c.CurrentContext = e.Name
	b, err := clientcmd.Write(*c)
	if err != nil {
		return nil, fmt.Errorf("encoding kubeconfig %s: %w", e.Name, err)
	}
	return b, nil
}

func (e Entry) extensions() map[string]runtime.Object {
	if e.Creation == "" {
		return nil
	}
	text, err := json.Marshal(mark{e.Creation})
	if err != nil {
		panic(err) // a string can be encoded
	}
	return map[string]runtime.Object{markName: &runtime.Unknown{Raw: text, ContentType: runtime.ContentTypeJSON}}
}

// creationOf reads the mark of a context, "" if it has none.
func creationOf(c *api.Context) string {
	raw, ok := c.Extensions[markName].(*runtime.Unknown)
	if !ok {
		return ""
	}
	var m mark
	if json.Unmarshal(raw.Raw, &m) != nil {
		return "" // not ours
	}
	return m.Creation
}

// Parse reads the entry that data's current context names, as Render wrote it or
// kubeadm's admin.conf holds it. The entry's name is the context's.
func Parse(data []byte) (Entry, error) {
	c, err := clientcmd.Load(data)
	if err != nil {
		return Entry{}, fmt.Errorf("reading kubeconfig: %w", err)
	}
	ctx := c.Contexts[c.CurrentContext]
	if ctx == nil || c.Clusters[ctx.Cluster] == nil || c.AuthInfos[ctx.AuthInfo] == nil {
		return Entry{}, fmt.Errorf("reading kubeconfig: context %q does not name a cluster and a user", c.CurrentContext)
	}
	cluster, user := c.Clusters[ctx.Cluster], c.AuthInfos[ctx.AuthInfo]
	return Entry{
		Name: c.CurrentContext, Server: cluster.Server, ServerName: cluster.TLSServerName, CA: cluster.CertificateAuthorityData,
		ClientCertificate: user.ClientCertificateData, ClientKey: user.ClientKeyData,
		Creation: creationOf(ctx),
	}, nil
}

// Rewrite gives the current context of conf, such as kubeadm's admin.conf, as a
// kubeconfig of its own, with another name and server.
func Rewrite(conf []byte, name, server string) ([]byte, error) {
	e, err := Parse(conf)
	if err != nil {
		return nil, err
	}
	e.Name, e.Server = name, server
	return Render(e)
}

// Mark gives the current context of conf as a kubeconfig of its own, as the one of a
// create.
func Mark(conf []byte, creation string) ([]byte, error) {
	e, err := Parse(conf)
	if err != nil {
		return nil, err
	}
	e.Creation = creation
	return Render(e)
}
