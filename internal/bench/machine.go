package bench

import (
	"os"
	"runtime"
	"strconv"
	"strings"
)

// Machine is where the figures come from; it names no host.
type Machine struct {
	CPU           string `json:"cpu"`
	Cores         int    `json:"cores"`
	MemoryBytes   int64  `json:"memoryBytes"`
	OS            string `json:"os"`
	Kernel        string `json:"kernel"`
	Engine        string `json:"engine"`
	StorageDriver string `json:"storageDriver"`
	CgroupVersion string `json:"cgroupVersion"`
}

// cpuModel is the processor's name as /proc/cpuinfo has it, else its architecture.
func cpuModel(cpuinfo string) string {
	for line := range strings.Lines(cpuinfo) {
		name, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// withCPU adds what the engine does not say.
func (m Machine) withCPU() Machine {
	info, _ := os.ReadFile("/proc/cpuinfo") // what cannot be read has no model
	m.CPU = cpuModel(string(info))
	return m
}

// load is the machine's load of the last minute, 0 where that is not known.
func load() float64 {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), " ")
	v, _ := strconv.ParseFloat(first, 64)
	return v
}
