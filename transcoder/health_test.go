package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHealthcheckAsksTheNodeThatListens(t *testing.T) {
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			t.Errorf("asked for %s", r.URL)
		}
		w.WriteHeader(status)
	}))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	check := func(listen string, args ...string) error {
		return command(t.Context(), append([]string{"healthcheck"}, args...), func(name string) string {
			return map[string]string{"LISTEN": listen}[name]
		}, io.Discard)
	}
	for _, listen := range []string{address, ":" + port, "0.0.0.0:" + port} {
		if err := check(listen); err != nil {
			t.Errorf("LISTEN=%s: %v", listen, err)
		}
	}
	status = http.StatusServiceUnavailable
	if err := check(address); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("of a node that is not well: %v", err)
	}
	server.Close()
	if err := check(address); err == nil || errors.Is(err, errUsage) {
		t.Errorf("of nobody: %v", err)
	}
	for _, err := range []error{check("nowhere"), check(address, "now"), command(t.Context(), []string{"help"}, func(string) string { return "" }, io.Discard)} {
		if !errors.Is(err, errUsage) {
			t.Errorf("got %v, want a wrong usage", err)
		}
	}
}
