package job_test

import (
	"testing"
	"time"

	"weir/transcoder/internal/job"
)

func TestOutlookIsWhatAllJobsHaveToDo(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	told, hour, day := now, now.Add(time.Hour), now.Add(24*time.Hour)
	closed := job.Job{State: job.Processed, Notices: []job.Notice{{At: now, DeliveredAt: &told}, {At: now, GivenUp: true}}}
	swept := func(at time.Time) job.Job { return job.Job{State: job.Processed, SweepAt: at} }
	tried := job.Job{State: job.Failed, Notices: []job.Notice{{At: now.Add(-time.Hour), Attempts: 3}}}
	for name, c := range map[string]struct {
		jobs []job.Job
		want job.Outlook
	}{
		"nothing is open":                    {nil, job.Outlook{}},
		"what is closed waits for nothing":   {[]job.Job{closed}, job.Outlook{}},
		"a job that waits":                   {[]job.Job{closed, {State: job.Queued}}, job.Outlook{Busy: true, Queued: 1}},
		"a job that can be watched":          {[]job.Job{{State: job.Playable}, closed}, job.Outlook{Busy: true, Playable: 1}},
		"remains are swept later":            {[]job.Job{swept(hour)}, job.Outlook{DueAt: hour}},
		"the first of several":               {[]job.Job{swept(day), swept(hour), swept(day)}, job.Outlook{DueAt: hour}},
		"a sweep that is due":                {[]job.Job{swept(now), swept(day)}, job.Outlook{Busy: true, DueAt: day}},
		"a backend that was not told yet":    {[]job.Job{{State: job.Processed, Notices: []job.Notice{{At: now}}}}, job.Outlook{Busy: true, Untold: 1}},
		"a backend that has not answered":    {[]job.Job{tried}, job.Outlook{DueAt: hour, Untold: 1}},
		"work does not hide what comes next": {[]job.Job{swept(day), {State: job.Processing}}, job.Outlook{Busy: true, DueAt: day, Processing: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			var got job.Outlook
			for _, j := range c.jobs {
				got.Add(j, now)
			}
			if got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}
