package docker

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/configfile"

	"github.com/kluster-project/kluster/provider"
)

// configDir is the folder of the docker command's configuration. It is not
// config.Dir, which remembers its first answer for the life of the process.
func configDir() string {
	if dir := os.Getenv("DOCKER_CONFIG"); dir != "" {
		return dir
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ".docker"
	}
	return filepath.Join(home, ".docker")
}

// loadConfig reads the docker command's configuration; a file that does not
// exist is an empty one.
func loadConfig() (*configfile.ConfigFile, error) {
	file, err := config.Load(configDir())
	if err != nil {
		return nil, fmt.Errorf("%w: reading the docker configuration in %s: %w", provider.ErrUnavailable, configDir(), err)
	}
	return file, nil
}

// proxyEnv is the proxy configuration for containers: the docker
// configuration's where it says something, else this process's environment.
func proxyEnv(file *configfile.ConfigFile, host string) map[string]string {
	proxy, ok := file.Proxies[host]
	if !ok {
		proxy = file.Proxies["default"]
	}
	configured := map[string]string{
		"HTTP_PROXY":  proxy.HTTPProxy,
		"HTTPS_PROXY": proxy.HTTPSProxy,
		"NO_PROXY":    proxy.NoProxy,
	}
	env := map[string]string{}
	for name, value := range configured {
		if value = firstOf(value, os.Getenv(name), os.Getenv(strings.ToLower(name))); value != "" {
			env[name] = value
		}
	}
	return env
}

// hubKey is what the docker command calls Docker Hub in its configuration.
const hubKey = "https://index.docker.io/v1/"

// Credentials implements provider.Provider, with those that "docker login" left,
// in its file or in a credential helper.
func (p *Provider) Credentials(ctx context.Context, registry string) (provider.Credentials, error) {
	none := provider.Credentials{}
	if err := ctx.Err(); err != nil {
		return none, fmt.Errorf("looking for credentials of %s: %w", registry, err)
	}
	file, err := loadConfig()
	if err != nil {
		return none, err
	}
	key := registry
	if registry == "docker.io" {
		key = hubKey
	}
	auth, err := file.GetAuthConfig(key)
	if err != nil {
		return none, fmt.Errorf("looking for credentials of %s: %w", registry, err)
	}
	return provider.Credentials{Username: auth.Username, Password: auth.Password, IdentityToken: auth.IdentityToken}, nil
}

// firstOf gives the first string that is not empty.
func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
