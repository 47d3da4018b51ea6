package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"weir/transcoder/internal/job"
)

var (
	openJobs = prometheus.NewDesc("weir_open_jobs",
		"Jobs that have not ended, by state, as the bucket said within the last minute: of all nodes together.", []string{"state"}, nil)
	untold = prometheus.NewDesc("weir_webhooks_waiting",
		"Events that backends are still to be told, as the bucket said within the last minute: of all nodes together.", nil, nil)
	messages = prometheus.NewDesc("weir_queue_messages",
		"Messages that wait or are worked on, by lane of the queue: of all nodes that share it.", []string{"lane"}, nil)
)

// Watch prints what there is to do, too. seen says what all jobs have to do, nil if nobody knows; depths, how many messages are in
// each lane of the queue. What is not known is not printed. It is called once.
func (m *Metrics) Watch(seen func() *job.Outlook, depths func() (map[string]uint64, error)) {
	m.registry.MustRegister(watch{seen, depths})
}

type watch struct {
	seen   func() *job.Outlook
	depths func() (map[string]uint64, error)
}

// Describe is for the registry.
func (watch) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{openJobs, untold, messages} {
		to <- d
	}
}

// Collect is for the registry.
func (w watch) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, n float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, n, labels...)
	}
	if o := w.seen(); o != nil {
		gauge(openJobs, float64(o.Queued), string(job.Queued))
		gauge(openJobs, float64(o.Processing), string(job.Processing))
		gauge(openJobs, float64(o.Playable), string(job.Playable))
		gauge(untold, float64(o.Untold))
	}
	if depths, err := w.depths(); err == nil { // else /readyz says why
		for lane, n := range depths {
			gauge(messages, float64(n), lane)
		}
	}
}
