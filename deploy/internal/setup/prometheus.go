package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// PrometheusTools are where the programs are. Each is of the same package.
type PrometheusTools struct{ Prometheus, Promtool string }

// Prometheus says where prometheus and promtool are.
func Prometheus() (PrometheusTools, error) {
	tools, err := findPrometheus()
	if err == nil && tools == nil {
		err = errors.New("no prometheus: run `go tool task setup`")
	}
	if err != nil {
		return PrometheusTools{}, err
	}
	return *tools, nil
}

// findPrometheus looks on the PATH, then in the cache. nil means that there is none.
func findPrometheus() (*PrometheusTools, error) {
	server, serverErr := exec.LookPath("prometheus")
	tool, toolErr := exec.LookPath("promtool")
	if serverErr == nil && toolErr == nil {
		return &PrometheusTools{server, tool}, nil
	}
	dir, err := prometheusDir()
	if err != nil {
		return nil, err
	}
	bin := filepath.Join(dir, "usr", "bin")
	if _, err := os.Stat(bin); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return &PrometheusTools{filepath.Join(bin, "prometheus"), filepath.Join(bin, "promtool")}, nil
}

func prometheusDir() (string, error) {
	dir, err := Cache()
	return filepath.Join(dir, "prometheus"), err
}

// prometheusFromPackage unpacks Debian's package into the cache.
func prometheusFromPackage(ctx context.Context, name string) error {
	dir, err := prometheusDir()
	if err != nil {
		return err
	}
	return intoCache(dir, func(temp string) error {
		if err := quietly(ctx, temp, nil, "apt-get", "-qq", "download", name); err != nil {
			return err
		}
		packages, err := filepath.Glob(filepath.Join(temp, "*.deb"))
		if err != nil || len(packages) != 1 {
			return fmt.Errorf("download %s: got %q: %w", name, packages, err)
		}
		return errors.Join(quietly(ctx, temp, nil, "dpkg-deb", "--extract", packages[0], temp), os.Remove(packages[0]))
	})
}
