package edge

import (
	"log/slog"
	"net/http"

	"weir/edge-auth/internal/gate"
)

// log writes a line about one request of so many as LogSample says, and about each that failed. Tokens are in none.
func (x *exchange) log(status int, key, code string) {
	nth := x.answered.Add(1)
	if status < http.StatusInternalServerError && (x.LogSample == 0 || nth%x.LogSample != 0) {
		return
	}
	x.Log.Info("a request was answered", "method", x.r.Method, "status", status, "key", key, "code", code,
		"timing", x.timing, "ms", x.Now().Sub(x.began).Milliseconds(), "country", x.request.Country)
}

// failed writes a line about the bucket, unless its call ended because the client went away.
func (x *exchange) failed(err error) {
	if x.r.Context().Err() == nil {
		x.Log.Error("the bucket failed", "error", err)
	}
}

// report writes a line for each thing that a player said of itself. What it did not say is not there.
func (x *exchange) report(points []gate.Point) {
	for _, p := range points {
		var said []slog.Attr
		for _, text := range []slog.Attr{
			slog.String("country", p.Country), slog.String("session", p.Session), slog.String("content", p.Content), slog.String("object", p.Object),
			slog.String("format", p.Format), slog.String("stream", p.Stream), slog.String("event", p.Event),
		} {
			if text.Value.String() != "" {
				said = append(said, text)
			}
		}
		for _, number := range []slog.Attr{
			slog.Int64("bitrate", p.Bitrate), slog.Int64("top", p.Top), slog.Int64("duration", p.Duration), slog.Int64("buffer", p.Buffer),
			slog.Int64("throughput", p.Throughput), slog.Int64("deadline", p.Deadline), slog.Int64("starved", p.Starved), slog.Int64("startup", p.Startup),
		} {
			if number.Value.Int64() >= 0 {
				said = append(said, number)
			}
		}
		x.Log.LogAttrs(x.r.Context(), slog.LevelInfo, "a player reported",
			append([]slog.Attr{slog.String("video", p.VideoID), slog.Int("status", p.Status)}, said...)...)
	}
}
