package boot

import (
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// Record is one line of nodespec.BootRecord.
type Record struct {
	Name  string    `json:"name"`
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
	Error string    `json:"error,omitempty"`
}

// record notes how long a step took. A node that cannot keep the record boots
// all the same.
func (m *Machine) record(step string, start time.Time, err error) {
	r := Record{Name: step, Start: start, End: time.Now()}
	if err != nil {
		r.Error = err.Error()
	}
	line, jerr := json.Marshal(r)
	file := m.path(nodespec.BootRecord)
	if jerr != nil || os.MkdirAll(filepath.Dir(file), 0o755) != nil {
		return
	}
	f, oerr := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if oerr != nil {
		return
	}
	defer f.Close()
	// What cannot be written is missing in a trace, and nowhere else.
	_, _ = f.Write(append(line, '\n'))
}
