package catalog_test

import (
	"testing"
	"time"

	"weir/transcoder/internal/job"
	"weir/transcoder/internal/r2/r2test"
)

// While a video is replaced, the record knows whether the version that is watched has an MPD, whatever the next one has, and however
// often that fails.
func TestARecordKnowsWhetherTheVersionBeforeHasAnMPD(t *testing.T) {
	streams := spec
	streams.SegmentFormat = job.TS
	for name, c := range map[string]struct{ old, next job.Spec }{
		"streams after MP4": {spec, streams}, "MP4 after streams": {streams, spec},
	} {
		catalog := open(&r2test.Bucket{})
		j := accept(t, catalog, c.old)
		update(t, catalog, j.Ticket(), func(j *job.Job) { j.Publish(time.Now()); j.Finish(job.Result{}, time.Now()) })
		for range 2 {
			var err error
			if j, err = catalog.Accept(t.Context(), c.next, true); err != nil || j.HasMPD() != c.old.MPD() {
				t.Fatalf("%s: while it is replaced, an MPD is there: %v, %v", name, j.HasMPD(), err)
			}
			if j = update(t, catalog, j.Ticket(), func(j *job.Job) { j.Fail(job.Failure{}, time.Now()) }); j.HasMPD() != c.old.MPD() {
				t.Errorf("%s: after that failed, an MPD is there: %v", name, j.HasMPD())
			}
		}
		j = accept(t, catalog, c.next)
		if j = update(t, catalog, j.Ticket(), func(j *job.Job) { j.Finish(job.Result{}, time.Now()) }); j.HasMPD() != c.next.MPD() {
			t.Errorf("%s: at last, an MPD is there: %v", name, j.HasMPD())
		}
	}
}
