package worker_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"weir/transcoder/internal/worker"
)

// counted checks what a worker's meter prints.
func counted(t *testing.T, w *worker.Worker, want ...string) {
	t.Helper()
	answer := httptest.NewRecorder()
	w.Meter.(http.Handler).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	got := strings.Split(answer.Body.String(), "\n")
	for _, line := range want {
		name, _, _ := strings.Cut(line, " ")
		if !slices.Contains(got, line) {
			i := slices.IndexFunc(got, func(l string) bool { return strings.HasPrefix(l, name+" ") })
			t.Errorf("counted %q, want %q", got[max(i, 0)], line)
		}
	}
}
