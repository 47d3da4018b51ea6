// Package wrangler knows wrangler.toml, the wanted state of the Worker and its container. Start at [Read].
//
// It understands what a deployment needs beside Wrangler itself: names of buckets and queues, and whether the door is shut. All else in
// the file is between Wrangler and Cloudflare. [Release] runs it.
package wrangler

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Config is what wrangler.toml says of one environment.
type Config struct {
	Environment string
	Worker      string // its name
	Bucket      Bucket // bound to BUCKET
	Uploads     string // the queue that is told of uploads
	Dead        string // the queue for what could not be taken in
	Image       string // of a transcoder that runs in a container beside the Worker; "" is none
}

// registry is what the names of an account's images begin with.
const registry = "registry.cloudflare.com/"

// Bucket is an R2 bucket.
type Bucket struct {
	Name         string
	Jurisdiction string // "" is the default one, which is everywhere
}

// Read reads wrangler.toml for one of its environments. The error names every problem.
func Read(name, environment string) (Config, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return Config{}, fmt.Errorf("read the configuration: %w", err)
	}
	c, err := parse(text, environment)
	if err != nil {
		return Config{}, fmt.Errorf("%s, environment %q: %w", name, environment, err)
	}
	return c, nil
}

// file is what is looked at. Wrangler knows more keys, and complains about those that it does not know.
type file struct {
	section
	Env map[string]section `toml:"env"`
}

type section struct {
	Name       string            `toml:"name"`
	Assets     *assets           `toml:"assets"`
	Cache      *cache            `toml:"cache"`
	Exports    map[string]export `toml:"exports"`
	Containers []struct {
		Image string `toml:"image"`
	} `toml:"containers"`
	Buckets []struct {
		Binding      string `toml:"binding"`
		Name         string `toml:"bucket_name"`
		Jurisdiction string `toml:"jurisdiction"`
	} `toml:"r2_buckets"`
	Queues struct {
		Consumers []struct {
			Queue string `toml:"queue"`
			Dead  string `toml:"dead_letter_queue"`
		} `toml:"consumers"`
	} `toml:"queues"`
}

type assets struct {
	WorkerFirst any `toml:"run_worker_first"` // true, or patterns of paths
}

type cache struct {
	Enabled bool `toml:"enabled"`
}

type export struct {
	Cache *cache `toml:"cache"`
}

func parse(text []byte, environment string) (Config, error) {
	var f file
	if err := toml.Unmarshal(text, &f); err != nil {
		return Config{}, err
	}
	s, ok := f.Env[environment]
	if !ok {
		return Config{}, fmt.Errorf("there is no [env.%s]: choose from %s", environment, strings.Join(slices.Sorted(maps.Keys(f.Env)), ", "))
	}
	// These are inherited where an environment does not say them; what binds to something is not.
	if s.Assets == nil {
		s.Assets = f.Assets
	}
	if s.Cache == nil {
		s.Cache = f.Cache
	}
	if s.Exports == nil {
		s.Exports = f.Exports
	}
	if s.Name == "" {
		s.Name = f.Name + "-" + environment
	}
	return s.config(environment)
}

// protected are the paths that nobody may get without the Worker's word.
var protected = []string{"/videos/*", "/t/*"}

func (s section) config(environment string) (Config, error) {
	c := Config{Environment: environment, Worker: s.Name}
	var problems []error
	refuse := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }

	for _, b := range s.Buckets {
		if b.Binding == "BUCKET" {
			c.Bucket = Bucket{Name: b.Name, Jurisdiction: b.Jurisdiction}
		}
	}
	if c.Bucket.Name == "" {
		refuse("no [[r2_buckets]] with the binding BUCKET and a bucket_name")
	}
	switch c.Bucket.Jurisdiction {
	case "", "eu", "fedramp":
	default:
		refuse(`the bucket's jurisdiction is %q: it must be "eu", "fedramp", or left out`, c.Bucket.Jurisdiction)
	}
	if len(s.Queues.Consumers) == 1 {
		c.Uploads, c.Dead = s.Queues.Consumers[0].Queue, s.Queues.Consumers[0].Dead
	}
	if c.Uploads == "" || c.Dead == "" || c.Uploads == c.Dead {
		refuse("there must be one [[queues.consumers]], with a queue and another dead_letter_queue")
	}
	if len(s.Containers) > 0 {
		c.Image = s.Containers[0].Image
		if name, ok := strings.CutPrefix(c.Image, registry); len(s.Containers) > 1 || !ok || !strings.Contains(name, ":") {
			refuse("there must be one [[containers]], with an image of this account's, as %sweir:1", registry)
		}
	}

	// A cache before the entrypoint that checks tokens answers without it.
	if def := s.Exports["default"]; def.Cache != nil {
		s.Cache = def.Cache
	}
	if s.Cache != nil && s.Cache.Enabled {
		refuse("a cache is in front of the Worker's default entrypoint, so that what one viewer may see, all may: " +
			"set [exports.default.cache] enabled = false")
	}
	if s.Assets != nil {
		for _, path := range protected {
			if !s.Assets.leaves(path) {
				refuse("[assets] is asked before the Worker for %s: name it in run_worker_first", path)
			}
		}
	}
	return c, errors.Join(problems...)
}

// leaves tells whether the Worker is asked first for a pattern of paths.
func (a assets) leaves(path string) bool {
	switch first := a.WorkerFirst.(type) {
	case bool:
		return first
	case []any:
		return slices.Contains(first, any(path))
	}
	return false
}
