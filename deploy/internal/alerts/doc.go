// Package alerts has no code but its tests: the rules and the dashboard of deploy/metrics, in a real Prometheus.
//
// Each rule has cases in deploy/metrics/rules.test.yaml, on a clock of their own. The dashboard's queries are asked of a Prometheus that
// watches a real transcoder. What the transcoder prints is the business of its own tests.
package alerts
