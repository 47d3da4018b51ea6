// Package metrics counts what an operator of Weir watches, and prints it in Prometheus's text format.
//
// Whoever does something tells [Metrics] of it: the worker, the bucket and ffmpeg, by functions that main hands to them; what there is
// to do is asked for when somebody looks ([Metrics.Watch]). Every node prints what it did itself, and what all nodes together have to
// do. Labels have few values, known beforehand, which are there from the start: none is of a video. Only this package imports
// Prometheus's own client, which knows the format, its histograms, and what Go and the kernel say of a process.
package metrics

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"weir/transcoder/internal/job"
)

// The values of labels.
var (
	// kinds are those of tasks, as plan.Task.Kind says them.
	kinds = []string{string(job.H264), string(job.HEVC), string(job.AV1), "sound", "stills", "subtitles"}
	// outcomes are those of tasks, as package worker says them.
	outcomes = []string{finished, "stopped", "interrupted", "retried", "failed"}
	codes    = []job.Code{
		job.SourceNotFound, job.SourceChanged, job.SourceTruncated, job.SourceEmpty,
		job.UnsupportedFormat, job.EncodingFailed, job.CodecUnavailable, job.Internal,
	}
	programs = []string{"ffmpeg", "ffprobe"}
)

const (
	finished = "finished" // of a task
	told     = "told"     // of an attempt to tell a backend, as those that follow
	failed   = "failed"
	givenUp  = "given_up"
)

var (
	// taskBuckets are seconds from a poster to the sound of a film.
	taskBuckets = []float64{0.5, 1, 2, 5, 10, 20, 60, 120, 300, 900, 3600}
	// jobBuckets are seconds from a clip that nobody keeps waiting to a film that waits for a night.
	jobBuckets = []float64{1, 2, 5, 10, 30, 60, 180, 600, 1800, 3600, 3 * 3600, 12 * 3600}
)

// Metrics are those of a node. Its methods may be called side by side.
type Metrics struct {
	registry *prometheus.Registry

	jobs           *prometheus.CounterVec
	jobDuration    *prometheus.HistogramVec
	source         prometheus.Counter
	published      prometheus.Counter
	running        *prometheus.GaugeVec
	tasks          *prometheus.CounterVec
	taskDuration   *prometheus.HistogramVec
	encoded        *prometheus.CounterVec
	webhooks       *prometheus.CounterVec
	bucketRequests *prometheus.CounterVec
	ffmpegFailures *prometheus.CounterVec
}

// New returns metrics that are all zero, beside those of the process and of Go.
func New() *Metrics {
	m := &Metrics{
		registry:       prometheus.NewRegistry(),
		jobs:           counters("weir_jobs_total", "Jobs that ended on this node, by their state then, and the code of those that failed.", "state", "code"),
		jobDuration:    histograms("weir_job_duration_seconds", "Time from a job's acceptance until it was playable, and until it was processed.", jobBuckets, "state"),
		source:         counter("weir_source_seconds_total", "Length of the videos that were processed."),
		published:      counter("weir_published_bytes_total", "Size of the media of the videos that were processed."),
		running:        prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "weir_tasks_running", Help: "Tasks that this node is at."}, []string{"kind"}),
		tasks:          counters("weir_tasks_total", "Attempts at tasks on this node, by how they ended.", "kind", "outcome"),
		taskDuration:   histograms("weir_task_duration_seconds", "Time that finished tasks took.", taskBuckets, "kind"),
		encoded:        counters("weir_encoded_seconds_total", "Length of the parts of videos that finished tasks encoded.", "kind"),
		webhooks:       counters("weir_webhook_attempts_total", "Attempts to tell a backend, by how they ended.", "outcome"),
		bucketRequests: counters("weir_bucket_requests_total", "Requests to the bucket, tries that are repeated included, by method and status; none is without an answer.", "method", "code"),
		ffmpegFailures: counters("weir_ffmpeg_failures_total", "Processes of ffmpeg and ffprobe that failed by themselves.", "program"),
	}
	m.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.jobs, m.jobDuration, m.source, m.published, m.running, m.tasks, m.taskDuration, m.encoded, m.webhooks, m.bucketRequests, m.ffmpegFailures,
	)
	// What was never counted is 0: from nothing, no rate can be told.
	m.jobs.WithLabelValues(string(job.Processed), "")
	m.jobs.WithLabelValues(string(job.Deleted), "")
	for _, code := range codes {
		m.jobs.WithLabelValues(string(job.Failed), string(code))
	}
	for _, state := range []job.State{job.Playable, job.Processed} {
		m.jobDuration.WithLabelValues(string(state))
	}
	for _, kind := range kinds {
		m.running.WithLabelValues(kind)
		m.taskDuration.WithLabelValues(kind)
		m.encoded.WithLabelValues(kind)
		for _, outcome := range outcomes {
			m.tasks.WithLabelValues(kind, outcome)
		}
	}
	for _, outcome := range []string{told, failed, givenUp} {
		m.webhooks.WithLabelValues(outcome)
	}
	for _, program := range programs {
		m.ffmpegFailures.WithLabelValues(program)
	}
	return m
}

// ServeHTTP prints all metrics.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}).ServeHTTP(w, r)
}

// Task counts a task that begins. The function that it returns is called once, at the end: with the outcome, and with the length of
// the part of the video, in seconds, if it was finished.
func (m *Metrics) Task(kind string) (end func(outcome string, seconds float64)) {
	began := time.Now()
	m.running.WithLabelValues(kind).Inc()
	return func(outcome string, seconds float64) {
		m.running.WithLabelValues(kind).Dec()
		m.tasks.WithLabelValues(kind, outcome).Inc()
		if outcome == finished {
			m.taskDuration.WithLabelValues(kind).Observe(time.Since(began).Seconds())
			m.encoded.WithLabelValues(kind).Add(seconds)
		}
	}
}

// Playable counts a job that can be watched from now on.
func (m *Metrics) Playable(j job.Job) {
	m.jobDuration.WithLabelValues(string(job.Playable)).Observe(j.PlayableAt.Sub(j.CreatedAt).Seconds())
}

// Ended counts a job that has ended.
func (m *Metrics) Ended(j job.Job) {
	code := job.Code("")
	if j.Failure != nil {
		code = j.Failure.Code
	}
	m.jobs.WithLabelValues(string(j.State), string(code)).Inc()
	if j.State == job.Processed {
		m.jobDuration.WithLabelValues(string(j.State)).Observe(j.EndedAt.Sub(j.CreatedAt).Seconds())
		m.source.Add(j.Result.Duration)
		m.published.Add(float64(j.Result.Bytes))
	}
}

// Told counts an attempt to tell a backend, which the notice knows of already.
func (m *Metrics) Told(n job.Notice) {
	outcome := failed
	switch {
	case n.DeliveredAt != nil:
		outcome = told
	case n.GivenUp:
		outcome = givenUp
	}
	m.webhooks.WithLabelValues(outcome).Inc()
}

// BucketRequest counts a request to the bucket; status 0 is no answer.
func (m *Metrics) BucketRequest(method string, status int) {
	code := "none"
	if status != 0 {
		code = strconv.Itoa(status)
	}
	m.bucketRequests.WithLabelValues(method, code).Inc()
}

// FFmpegFailure counts a program, ffmpeg or ffprobe, that failed.
func (m *Metrics) FFmpegFailure(program string) { m.ffmpegFailures.WithLabelValues(program).Inc() }

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
}
