package cli

import "github.com/kluster-project/kluster/internal/config"

// loadConfig resolves the cluster that the flags and the file ask for.
func (a *app) loadConfig(opts *createOptions) (*config.Cluster, error) {
	options, err := a.deps.Config()
	if err != nil {
		return nil, err
	}
	if opts.file == "" {
		return config.FromFlags(opts.flags, options)
	}
	return config.Load(opts.file, a.streams.In, opts.flags, options)
}
