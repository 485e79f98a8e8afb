package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// reportForm is the form of a report; it changes when fields change meaning.
const reportForm = 1

// Report is everything of a run, as it is written to the JSON file.
type Report struct {
	Form     int       `json:"form"`
	Date     time.Time `json:"date"`
	Commit   string    `json:"commit,omitempty"` // of kluster's source
	Machine  Machine   `json:"machine"`
	Versions Versions  `json:"versions"`
	Settings Settings  `json:"settings"`
	// ImageBytes is the size of kluster's node image, uncompressed.
	ImageBytes int64 `json:"imageBytes,omitempty"`
	// KindImageBytes is the same of kind's, if that was measured.
	KindImageBytes int64 `json:"kindImageBytes,omitempty"`
	// KindNote says why kind was not measured, or not fully.
	KindNote string        `json:"kindNote,omitempty"`
	Floor    []FloorSample `json:"floor"`
	Samples  []Sample      `json:"samples"`
	Figures  []Figure      `json:"figures"`
	// Runtimes and RuntimeFigures stand for Samples and Figures in a run that
	// measured container runtimes.
	Runtimes       []RuntimeSample `json:"runtimes,omitempty"`
	RuntimeFigures []RuntimeFigure `json:"runtimeFigures,omitempty"`
	// Loads and LoadFigures stand for them in a run that measured loads.
	Loads       []LoadSample `json:"loads,omitempty"`
	LoadFigures []LoadFigure `json:"loadFigures,omitempty"`
}

// Versions of what was measured.
type Versions struct {
	Kubernetes string `json:"kubernetes,omitempty"`
	Kluster    string `json:"kluster,omitempty"`
	Image      string `json:"image,omitempty"`
	Kind       string `json:"kind,omitempty"`
	KindImage  string `json:"kindImage,omitempty"`
}

// Settings are how it was measured.
type Settings struct {
	Rounds      int     `json:"rounds"`
	Cases       []Case  `json:"cases"`
	IdleSeconds float64 `json:"idleSeconds"`
	// FloorOn says on which disk etcd of the floor wrote.
	FloorOn string `json:"floorOn"`
	// Runtimes is nil unless container runtimes were measured, and nothing else.
	Runtimes *RuntimeSettings `json:"runtimes,omitempty"`
	// Load is nil unless loads were measured, and nothing else.
	Load *LoadSettings `json:"load,omitempty"`
}

// FloorSample is one start of etcd and kube-apiserver. Seconds count from the
// start of the two processes.
type FloorSample struct {
	Round        int     `json:"round"`
	Load         float64 `json:"load"` // of the machine before the start
	ReadySeconds float64 `json:"readySeconds,omitempty"`
	CPUSeconds   float64 `json:"cpuSeconds,omitempty"`
	Error        string  `json:"error,omitempty"`
}

// Sample is one cluster of one tool. Seconds count from the start of the tool's
// process; a field that was not reached is 0.
type Sample struct {
	Round int     `json:"round"`
	Tool  string  `json:"tool"`
	Case  string  `json:"case"`
	Load  float64 `json:"load"` // of the machine before the start
	// Kubelet is the version that the nodes report.
	Kubelet string `json:"kubelet,omitempty"`
	// APISeconds: the API server first answered.
	APISeconds float64 `json:"apiSeconds,omitempty"`
	// ReadySeconds: all nodes are Ready.
	ReadySeconds float64 `json:"readySeconds,omitempty"`
	// UsableSeconds: that, and a pod has resolved kubernetes.default.
	UsableSeconds float64 `json:"usableSeconds,omitempty"`
	// ReturnedSeconds: the tool's process ended.
	ReturnedSeconds float64 `json:"returnedSeconds,omitempty"`
	// CPUSeconds are those of the cluster's containers until it was usable and
	// of the tool's process, ToolCPUSeconds the latter alone.
	CPUSeconds     float64 `json:"cpuSeconds,omitempty"`
	ToolCPUSeconds float64 `json:"toolCPUSeconds,omitempty"`
	// MemoryBytes is the working set of all containers of the idle cluster.
	MemoryBytes int64 `json:"memoryBytes,omitempty"`
	// Containers are the cluster's when it was idle.
	Containers []ContainerUse `json:"containers,omitempty"`
	// AddSeconds: one more worker was Ready, from the start of the tool's
	// process that added it.
	AddSeconds    float64 `json:"addWorkerSeconds,omitempty"`
	DeleteSeconds float64 `json:"deleteSeconds,omitempty"`
	Error         string  `json:"error,omitempty"`
}

// ContainerUse is what one container of an idle cluster holds.
type ContainerUse struct {
	Name        string `json:"name"`
	Role        string `json:"role"`
	MemoryBytes int64  `json:"memoryBytes"`
	// DiskBytes are the blocks of its volumes and of its own layer.
	DiskBytes int64 `json:"diskBytes"`
}

// Write writes the report to a file.
func (r *Report) Write(file string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the report: %w", err)
	}
	if err := os.WriteFile(file, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// ReadReport reads what Write has written.
func ReadReport(file string) (*Report, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the report: %w", err)
	}
	r := &Report{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("reading the report %s: %w", file, err)
	}
	if r.Form != reportForm {
		return nil, fmt.Errorf("report %s has form %d, and this program knows %d", file, r.Form, reportForm)
	}
	return r, nil
}

// Failed says how many measurements of the floor and of kluster did not get to
// their end; nil if all did. A kind that cannot run here is no failure.
func (r *Report) Failed() error {
	failed := 0
	for _, f := range r.Floor {
		if f.Error != "" {
			failed++
		}
	}
	for _, s := range r.Samples {
		if s.Error != "" && s.Tool != kindName {
			failed++
		}
	}
	for _, s := range r.Runtimes {
		if s.Error != "" {
			failed++
		}
	}
	for _, s := range r.Loads {
		if s.Error != "" {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d measurements failed", failed, len(r.Floor)+len(r.Samples)+len(r.Runtimes)+len(r.Loads))
	}
	return nil
}
