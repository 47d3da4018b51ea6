package image

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestConfinement(t *testing.T) {
	const status = "Name:\ttranscoder\nUid:\t65532\t65532\t65532\t65532\nGid:\t65532\t65532\t65532\t65532\n" +
		"CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n"
	const mounts = "30 20 0:25 / / ro,relatime - overlay overlay rw\n31 30 0:26 / /data rw,nosuid - ext4 /dev/vda rw\n"
	if err := confinement(status, mounts); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]struct{ status, mounts, want string }{
		"root":            {strings.Replace(status, "65532", "0", 1), mounts, "Uid"},
		"a capability":    {strings.Replace(status, "CapEff:\t0", "CapEff:\t1", 1), mounts, "CapEff"},
		"new privileges":  {strings.Replace(status, "NoNewPrivs:\t1", "NoNewPrivs:\t0", 1), mounts, "NoNewPrivs"},
		"no filter":       {strings.Replace(status, "Seccomp:\t2", "Seccomp:\t0", 1), mounts, "Seccomp"},
		"a root to write": {status, strings.Replace(mounts, " ro,", " rw,", 1), "read-only"},
		"no root":         {status, "", "read-only"},
	} {
		if err := confinement(c.status, c.mounts); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An engine that takes no image ends the build, and is not waited for.
func TestABaseThatIsNotTakenIsAnError(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"engine": "exit 1", "mmdebstrap": "exec cat /dev/zero"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := (engine{path: filepath.Join(dir, "engine")}).base(ctx, io.Discard); err == nil || ctx.Err() != nil {
		t.Errorf("got %v, %v", err, ctx.Err())
	}
}
