package wire_test

import (
	"slices"
	"testing"

	"weir/edge-auth/internal/intake"
	"weir/edge-auth/internal/wire"
)

func TestReadIntake(t *testing.T) {
	n, s, sent, r, ok := wire.ReadIntake(message("PutObject", "uploads/a", "1", "2", "http://hook", "key", "a", "1", "202", "3", "4", "code"))
	if n != (intake.Notification{Action: "PutObject", Key: "uploads/a", Time: 1, Attempts: 2}) ||
		s != (intake.Settings{WebhookURL: "http://hook", APIKey: "key"}) || sent != (intake.Request{VideoID: "a", Replace: true}) ||
		r != (intake.Reply{Status: 202, RetryAfter: "3", Created: 4, Code: "code"}) || !ok {
		t.Errorf("got %+v\n%+v\n%+v\n%+v, %v", n, s, sent, r, ok)
	}
}

func TestAppendIntake(t *testing.T) {
	n := intake.Notification{Key: "uploads/a"}
	s := intake.Settings{Transcoder: "http://h", WebhookURL: "http://hook", APIKey: "key older"}
	for _, c := range []struct {
		step intake.Step
		want []string
	}{
		{intake.Step{Request: &intake.Request{VideoID: "a"}}, []string{"post", "http://h/transcode", "key", "a", "", "uploads/a", "http://hook"}},
		{intake.Step{Request: &intake.Request{VideoID: "a", Replace: true}}, []string{"post", "http://h/transcode", "key", "a", "1", "uploads/a", "http://hook"}},
		{intake.Step{Outcome: intake.Retry, Delay: 5, Reason: "r"}, []string{"retry", "5", "r"}},
		{intake.Step{Outcome: intake.Done}, []string{"done", "0", ""}},
	} {
		if got := split(wire.AppendIntake(nil, n, s, c.step)); !slices.Equal(got, c.want) {
			t.Errorf("%+v: got %q, want %q", c.step, got, c.want)
		}
	}
}

func FuzzReadIntake(f *testing.F) {
	f.Add([]byte("\x00"))
	f.Add(message("PutObject", "uploads/a", "1", "2", "http://hook", "key", "a", "1", "202", "3", "4", "code"))
	f.Fuzz(func(_ *testing.T, m []byte) {
		if n, s, sent, r, ok := wire.ReadIntake(m); ok {
			wire.AppendIntake(nil, n, s, intake.Next(n, s, sent, r))
		}
	})
}
