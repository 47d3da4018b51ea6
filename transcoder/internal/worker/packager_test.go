package worker_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/transcoder/internal/encrypt"
	"weir/transcoder/internal/job"
	"weir/transcoder/internal/plan"
	"weir/transcoder/internal/queue"
)

// A node that has another secret than the one which planned the video, or none, takes no part in it: the fault is the node's, not
// the upload's.
func TestANodeWithAnotherSecretEncryptsNothing(t *testing.T) {
	secret := func(letter string) encrypt.Master {
		m, err := encrypt.ParseMaster(base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat(letter, 32))))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	key, err := secret("a").Video("intro")
	if err != nil {
		t.Fatal(err)
	}
	for name, master := range map[string]encrypt.Master{"another": secret("b"), "none": {}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := walk(t, func(p plan.Plan) plan.Plan { p.KeyID = key.ID(); return p })
				d.worker.EncryptionKey = master
				message := fmt.Appendf(nil, `{"video_id":"intro","run":%q,"task":"chunk_0"}`, d.job.Run)
				err := d.worker.RunTask(t.Context(), queue.Delivery{Data: message, Attempt: 5, Faults: 5, Since: time.Now()})
				var fault *queue.Fault
				if !errors.As(err, &fault) || !strings.Contains(err.Error(), "ENCRYPTION_KEY") {
					t.Errorf("the task ended with %v", err)
				}
				counted(t, d.worker, `weir_tasks_total{kind="h264",outcome="retried"} 1`, `weir_tasks_running{kind="h264"} 0`)
				if d.state() == job.Failed {
					t.Error("the job failed")
				}
				d.end()
			})
		})
	}
}
