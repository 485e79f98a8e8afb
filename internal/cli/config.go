package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/kluster-project/kluster/internal/config"
)

// maxConfig is more than any configuration is long; what is longer is not one.
const maxConfig = 4 << 20

// loadConfig resolves the cluster that the flags and the file ask for.
func (a *app) loadConfig(opts *createOptions) (*config.Cluster, error) {
	options, err := a.deps.Config()
	if err != nil {
		return nil, err
	}
	if opts.file == "" {
		return config.FromFlags(opts.flags, options)
	}
	name, data, err := a.readConfig(opts.file)
	if err != nil {
		return nil, err
	}
	return config.Parse(name, data, opts.flags, options)
}

// readConfig reads a configuration file, or standard input for "-".
func (a *app) readConfig(path string) (name string, data []byte, err error) {
	if path == "-" {
		name = "standard input"
		data, err = readSome(a.streams.In)
	} else {
		name = path
		data, err = readFile(path)
	}
	if err != nil {
		return "", nil, badInput("reading the configuration %s: %w", name, err)
	}
	return name, data, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, cause(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, cause(err)
	}
	if info.IsDir() {
		return nil, errors.New("it is a directory")
	}
	return readSome(f)
}

func readSome(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxConfig+1))
	if err != nil {
		return nil, cause(err)
	}
	if len(data) > maxConfig {
		return nil, fmt.Errorf("it is longer than %d MiB", maxConfig>>20)
	}
	return data, nil
}

// cause drops the path from an error of the file system: the caller names it.
func cause(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}
