package config

import "slices"

// resolveAddons takes those of the file and of the command line, each once.
func resolveAddons(w *wish, c *Cluster, o Options, p *problems) {
	add := func(field, name string) {
		if !slices.Contains(o.Addons, name) {
			p.add(field, nearestOrAll(name, o.Addons), "there is no add-on %q", shorten(name))
		} else if !slices.Contains(c.Addons, name) {
			c.Addons = append(c.Addons, name)
		}
	}
	for i, name := range w.Addons {
		add(item("addons", i), name)
	}
	for _, name := range w.addonFlags {
		add("--addon", name)
	}
}
