package lifecycle_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/docker/docker/api/types/network"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// input is something wrong to give to create. In args and says, DIR is the
// spec's folder, PORT a port in use, and SUBNET a subnet of another network.
type input struct {
	args []string
	// file, if not "", is written to DIR/cluster.yaml.
	file string
	code int
	// says are words of the message: they name the cause.
	says []string
}

const header = "apiVersion: kluster.dev/v1alpha1\nkind: Cluster\n"

// config is what create is told to read DIR/cluster.yaml with.
var config = []string{"--config", "DIR/cluster.yaml"}

var _ = DescribeTable("Bad input is refused with its cause, and nothing is made:", harness.Short,
	func(ctx SpecContext, in input) {
		k := harness.New()
		name := named(k, "bad")
		fill := strings.NewReplacer("DIR", fixtures(), "PORT", takenPort(ctx), "SUBNET", takenSubnet(ctx).String(), "NAME", name).Replace
		if in.file != "" {
			Expect(os.WriteFile(fill("DIR/cluster.yaml"), []byte(fill(in.file)), 0o600)).To(Succeed())
		}
		args := []string{"create"}
		if !strings.Contains(strings.Join(in.args, " "), "--name") {
			args = append(args, "--name", name)
		}
		for _, a := range in.args {
			args = append(args, fill(a))
		}
		r := k.Run(ctx, args...)
		Expect(r.Code).To(Equal(in.code), r.String())
		Expect(r.Stdout).To(BeEmpty())
		for _, words := range in.says {
			Expect(r.Stderr).To(ContainSubstring(fill(words)))
		}
		expectNothingLeft(ctx, k, name)
		Expect(k.Kubeconfig).NotTo(BeAnExistingFile())
	},
	Entry("an unknown flag", input{args: []string{"--node", "3"}, code: 2, says: []string{"--node"}}),
	Entry("an unknown command's word", input{args: []string{"3"}, code: 2, says: []string{"3"}}),
	Entry("a flag's value of the wrong type", input{args: []string{"--nodes", "three"}, code: 2, says: []string{"three"}}),
	Entry("no nodes", input{args: []string{"--nodes", "0"}, code: 2, says: []string{"0"}}),
	Entry("a negative number of nodes", input{args: []string{"--nodes", "-1"}, code: 2, says: []string{"-1"}}),
	Entry("99 nodes", input{args: []string{"--nodes", "99"}, code: 2, says: []string{"99", "32"}}),
	Entry("two control planes", input{args: []string{"--control-planes", "2"}, code: 2, says: []string{"control"}}),
	Entry("a name with bad characters", input{args: []string{"--name", "Bad_Name"}, code: 2, says: []string{"Bad_Name"}}),
	Entry("a name that is a path", input{args: []string{"--name", "../x"}, code: 2, says: []string{"../x"}}),
	Entry("a name that is too long", input{args: []string{"--name", strings.Repeat("long", 20)}, code: 2, says: []string{"--name", "80"}}),
	Entry("an unknown Kubernetes version", input{args: []string{"--kubernetes-version", "v1.2.3"}, code: 2, says: []string{"v1.2.3"}}),
	Entry("no time to wait", input{args: []string{"--wait", "-1s"}, code: 2, says: []string{"--wait"}}),
	Entry("an unknown output format", input{args: []string{"-o", "xml"}, code: 2, says: []string{"xml"}}),
	Entry("a missing image", input{args: []string{"--image", "kluster.test/none:v0"}, code: 1, says: []string{"kluster.test/none:v0"}}),

	Entry("a kubeconfig that is a directory", input{args: []string{"--kubeconfig", "DIR"}, code: 2, says: []string{"DIR", "not a regular file"}}),
	Entry("a kubeconfig that is none", input{args: []string{"--kubeconfig", "DIR/binary"}, code: 2, says: []string{"DIR/binary", "not a kubeconfig"}}),

	Entry("a config that does not exist", input{args: []string{"--config", "DIR/none.yaml"}, code: 2, says: []string{"DIR/none.yaml"}}),
	Entry("a config that is a directory", input{args: []string{"--config", "DIR"}, code: 2, says: []string{"DIR", "directory"}}),
	Entry("a config that is empty", input{args: []string{"--config", "DIR/empty"}, code: 2, says: []string{"DIR/empty", "empty"}}),
	Entry("a config that is binary", input{args: []string{"--config", "DIR/binary"}, code: 2, says: []string{"DIR/binary"}}),
	Entry("a config of another kind", input{args: config, file: "apiVersion: v1\nkind: Pod\n", code: 2, says: []string{"cluster.yaml:1", `"v1"`}}),
	Entry("an unknown field, with its line and what was meant", input{
		args: config,
		file: header + "networking:\n  podSubnets: 10.1.0.0/16\n", code: 2, says: []string{"cluster.yaml:4", "podSubnets", "podSubnet"},
	}),
	Entry("several mistakes, all at once", input{
		args: config,
		file: header + "nodes:\n- role: master\n- count: 99\nruntime: rkt\n", code: 2, says: []string{"cluster.yaml:4", "master", "cluster.yaml:5", "99", "rkt"},
	}),
	Entry("a subnet that is none", input{
		args: config,
		file: header + "networking: {podSubnet: 10.1.0.0/99}\n", code: 2, says: []string{"cluster.yaml:3", "10.1.0.0/99"},
	}),
	Entry("subnets that overlap one another", input{
		args: config,
		file: header + "networking: {podSubnet: 10.1.0.0/16, serviceSubnet: 10.1.2.0/24}\n", code: 2, says: []string{"cluster.yaml:3", "overlap"},
	}),
	Entry("nodes in a subnet of another network", input{
		args: config,
		file: header + "networking: {nodeSubnet: SUBNET}\n", code: 4, says: []string{"SUBNET"},
	}),
	Entry("an API port that is taken", input{
		args: config,
		file: header + "networking: {apiServerPort: PORT}\n", code: 4, says: []string{"PORT"},
	}),
	Entry("a published port that is taken", input{
		args: config,
		file: header + "nodes:\n- extraPortMappings: [{containerPort: 80, hostPort: PORT}]\n", code: 4, says: []string{"PORT"},
	}),
	Entry("a host path that is not there", input{
		args: config,
		file: header + "nodes:\n- extraMounts: [{hostPath: DIR/none, containerPath: /x}]\n", code: 2, says: []string{"DIR/none"},
	}),
)

// fixtures is a folder with an empty file and a binary one.
func fixtures() string {
	GinkgoHelper()
	dir := GinkgoT().TempDir()
	Expect(os.WriteFile(filepath.Join(dir, "empty"), nil, 0o600)).To(Succeed())
	Expect(os.WriteFile(filepath.Join(dir, "binary"), []byte("\x7fELF\x02\x01\x01\x00\xff\xfe\x00"), 0o600)).To(Succeed())
	return dir
}

// takenPort is a port of 127.0.0.1 that is in use while the spec runs.
func takenPort(ctx SpecContext) string {
	GinkgoHelper()
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(l.Close)
	return fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
}

// takenSubnet is the subnet of a network that exists while the spec runs; the
// engine picks it.
func takenSubnet(ctx SpecContext) netip.Prefix {
	GinkgoHelper()
	e := engine(ctx)
	made, err := e.API.NetworkCreate(ctx, harness.Name("taken"), network.CreateOptions{Driver: "bridge"})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func(ctx SpecContext) error { return e.API.NetworkRemove(ctx, made.ID) })
	found, err := e.API.NetworkInspect(ctx, made.ID, network.InspectOptions{})
	Expect(err).NotTo(HaveOccurred())
	return netip.MustParsePrefix(found.IPAM.Config[0].Subnet)
}
