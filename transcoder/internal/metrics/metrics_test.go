package metrics_test

import (
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/transcoder/internal/job"
	"weir/transcoder/internal/metrics"
	"weir/transcoder/internal/plan"
)

// lines are what is printed of Weir itself, without comments.
func lines(t *testing.T, m *metrics.Metrics) []string {
	t.Helper()
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, "text/plain; version=0.0.4") {
		t.Errorf("it is %s", got)
	}
	return slices.DeleteFunc(strings.Split(w.Body.String(), "\n"), func(line string) bool { return !strings.HasPrefix(line, "weir_") })
}

// has checks which lines are printed.
func has(t *testing.T, m *metrics.Metrics, want ...string) {
	t.Helper()
	got := lines(t, m)
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("%s is not printed, in\n%s", line, strings.Join(got, "\n"))
		}
	}
}

func TestWhatIsDoneIsCounted(t *testing.T) {
	m := metrics.New()
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	end := m.Task("h264")
	m.Task("h264")("interrupted", 60)
	has(t, m, `weir_tasks_running{kind="h264"} 1`)
	end("finished", 12.5)
	m.Task("sound")("retried", 60)
	m.Playable(job.Job{State: job.Playable, CreatedAt: began, PlayableAt: began.Add(4 * time.Second)})
	m.Ended(job.Job{State: job.Processed, CreatedAt: began, EndedAt: began.Add(40 * time.Second), Result: &job.Result{Duration: 90.5, Bytes: 1 << 20}})
	m.Ended(job.Job{State: job.Failed, Failure: &job.Failure{Code: job.SourceEmpty}})
	m.Ended(job.Job{State: job.Deleted})
	for _, n := range []job.Notice{{Attempts: 1}, {Attempts: 2}, {Attempts: 3, DeliveredAt: &began}, {Attempts: 10, GivenUp: true}} {
		m.Told(n)
	}
	m.BucketRequest("PUT", 200)
	m.BucketRequest("PUT", 503)
	m.BucketRequest("GET", 0)
	m.FFmpegFailure("ffprobe")
	has(t, m,
		`weir_tasks_running{kind="h264"} 0`,
		`weir_tasks_total{kind="h264",outcome="finished"} 1`,
		`weir_tasks_total{kind="h264",outcome="interrupted"} 1`,
		`weir_tasks_total{kind="sound",outcome="retried"} 1`,
		`weir_task_duration_seconds_count{kind="h264"} 1`,
		`weir_task_duration_seconds_count{kind="sound"} 0`,
		`weir_encoded_seconds_total{kind="h264"} 12.5`,
		`weir_encoded_seconds_total{kind="sound"} 0`,
		`weir_job_duration_seconds_sum{state="playable"} 4`,
		`weir_job_duration_seconds_sum{state="processed"} 40`,
		`weir_jobs_total{code="",state="processed"} 1`,
		`weir_jobs_total{code="",state="deleted"} 1`,
		`weir_jobs_total{code="source_empty",state="failed"} 1`,
		`weir_jobs_total{code="internal",state="failed"} 0`,
		`weir_source_seconds_total 90.5`,
		`weir_published_bytes_total 1.048576e+06`,
		`weir_webhook_attempts_total{outcome="failed"} 2`,
		`weir_webhook_attempts_total{outcome="told"} 1`,
		`weir_webhook_attempts_total{outcome="given_up"} 1`,
		`weir_bucket_requests_total{code="200",method="PUT"} 1`,
		`weir_bucket_requests_total{code="503",method="PUT"} 1`,
		`weir_bucket_requests_total{code="none",method="GET"} 1`,
		`weir_ffmpeg_failures_total{program="ffmpeg"} 0`,
		`weir_ffmpeg_failures_total{program="ffprobe"} 1`,
	)
}

func TestWhatThereIsToDoIsAskedFor(t *testing.T) {
	m := metrics.New()
	var seen *job.Outlook
	depths, err := map[string]uint64(nil), errors.New("the queue is away")
	m.Watch(func() *job.Outlook { return seen }, func() (map[string]uint64, error) { return depths, err })
	for _, line := range lines(t, m) {
		if strings.HasPrefix(line, "weir_open") || strings.HasPrefix(line, "weir_queue") || strings.HasPrefix(line, "weir_webhooks") {
			t.Errorf("nobody knows, and it says %s", line)
		}
	}
	seen = &job.Outlook{Queued: 3, Processing: 2, Untold: 1}
	depths, err = map[string]uint64{"job": 5, "task": 4}, nil
	has(t, m,
		`weir_open_jobs{state="queued"} 3`, `weir_open_jobs{state="processing"} 2`, `weir_open_jobs{state="playable"} 0`,
		`weir_webhooks_waiting 1`, `weir_queue_messages{lane="job"} 5`, `weir_queue_messages{lane="task"} 4`,
	)
}

// A series that appears with its first event has no rate before the second.
func TestEveryKindOfTaskIsThereFromTheStart(t *testing.T) {
	m := metrics.New()
	tasks := []plan.Task{{Sound: true}, {Still: true}, {Text: true}, {}}
	for _, codec := range []job.Codec{job.H264, job.HEVC, job.AV1} {
		tasks = append(tasks, plan.Task{Codec: codec})
	}
	for _, task := range tasks {
		has(t, m, `weir_tasks_total{kind="`+task.Kind()+`",outcome="finished"} 0`, `weir_tasks_running{kind="`+task.Kind()+`"} 0`)
	}
}
