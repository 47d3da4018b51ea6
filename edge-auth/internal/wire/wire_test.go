package wire_test

import (
	"encoding/binary"
	"reflect"
	"strconv"
	"testing"

	"weir/edge-auth/internal/gate"
	"weir/edge-auth/internal/wire"
)

// message puts fields together as the shim does.
func message(fields ...string) []byte {
	var m []byte
	for _, field := range fields {
		m = binary.LittleEndian.AppendUint32(m, uint32(len(field)))
		m = append(m, field...)
	}
	return m
}

// split takes a message apart as the shim does, or gives nil if it cannot.
func split(m []byte) []string {
	var fields []string
	for len(m) > 0 {
		if len(m) < 4 || len(m)-4 < int(binary.LittleEndian.Uint32(m)) {
			return nil
		}
		end := 4 + int(binary.LittleEndian.Uint32(m))
		fields, m = append(fields, string(m[4:end])), m[end:]
	}
	return fields
}

var requestFields = []string{"1800000000", "GET", "http://h/videos/a/b", "Bearer x", "bytes=0-1", `"r"`, `"m"`, `"n"`, "since", "until"}

var request = gate.Request{
	Method: "GET", URL: "http://h/videos/a/b", Authorization: "Bearer x", Range: "bytes=0-1", IfRange: `"r"`,
	IfMatch: `"m"`, IfNoneMatch: `"n"`, IfModifiedSince: "since", IfUnmodifiedSince: "until",
}

func TestReadSecret(t *testing.T) {
	if got, ok := wire.ReadSecret(message("keys")); got != "keys" || !ok {
		t.Errorf("got %q, %v", got, ok)
	}
	if _, ok := wire.ReadSecret(message("keys", "")); ok {
		t.Error("two fields are taken for one")
	}
}

func TestReadRequest(t *testing.T) {
	got, now, ok := wire.ReadRequest(message(requestFields...))
	if got != request || now != 1_800_000_000 || !ok {
		t.Errorf("got %+v, %d, %v", got, now, ok)
	}
}

func TestReadReply(t *testing.T) {
	fields := append(append([]string{}, requestFields...),
		"videos/a/b", "get", "1", "2", "3", "rewrite", "found", "4", `"e"`, "5", "max-age=6", "body\xff")
	r, f, o, ok := wire.ReadReply(message(fields...))
	wantFetch := gate.Fetch{Key: "videos/a/b", Op: gate.Get, Part: gate.Part{Offset: 1, Length: 2, Suffix: 3}, Use: gate.Rewrite}
	wantObject := gate.Object{Outcome: gate.Found, Size: 4, ETag: `"e"`, Modified: 5, CacheControl: "max-age=6", Body: []byte("body\xff")}
	if r != request || f != wantFetch || !reflect.DeepEqual(o, wantObject) || !ok {
		t.Errorf("got %+v\n%+v\n%+v\n%v", r, f, o, ok)
	}
}

func TestAppendStep(t *testing.T) {
	for _, c := range []struct {
		step gate.Step
		want []string
	}{
		{gate.Step{Fetch: &gate.Fetch{Key: "k", Op: gate.Head, Part: gate.Part{Offset: 1, Length: 2, Suffix: 3}, Use: gate.Pass}},
			[]string{"fetch", "k", "head", "1", "2", "3", "pass"}},
		{gate.Step{Answer: &gate.Answer{Status: 200, Body: gate.TextBody, Text: []byte("text"), Headers: []gate.Header{{Name: "A", Value: "b"}, {Name: "C", Value: ""}}}},
			[]string{"answer", "200", "text", "text", "A", "b", "C", ""}},
		{gate.Step{Answer: &gate.Answer{Status: 200, Body: gate.TextBody, Text: []byte("a\nb\n"), Token: "T"}},
			[]string{"answer", "200", "text", "a?token=T\nb?token=T\n"}},
	} {
		if got := split(wire.AppendStep(nil, c.step)); !reflect.DeepEqual(got, c.want) {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

// Of a message that is cut anywhere, or goes on, nothing is believed.
func TestWrongLengthsAreReported(t *testing.T) {
	whole := message(requestFields...)
	for end := range whole {
		if _, _, ok := wire.ReadRequest(whole[:end]); ok {
			t.Errorf("%d of %d bytes are taken for a request", end, len(whole))
		}
	}
	if _, _, ok := wire.ReadRequest(append(whole, 0)); ok {
		t.Error("a byte too many is not seen")
	}
	if _, _, ok := wire.ReadRequest([]byte{0xff, 0xff, 0xff, 0xff}); ok {
		t.Error("a length beyond the message is not seen")
	}
	wrong := append([]string{}, requestFields...)
	wrong[0] = "soon"
	if _, _, ok := wire.ReadRequest(message(wrong...)); ok {
		t.Error("a time that is no number is not seen")
	}
}

// No bytes make the readers panic, and what they take is what was meant: put together again, it is the same.
func FuzzMessagesAreReadBackOrReported(f *testing.F) {
	f.Add(message(requestFields...))
	f.Add(message(append(append([]string{}, requestFields...), "k", "get", "0", "0", "0", "pass", "found", "1", "e", "2", "c", "b")...))
	f.Add([]byte{1, 0, 0})
	f.Fuzz(func(t *testing.T, m []byte) {
		wire.ReadSecret(m)
		text := func(n int64) string { return strconv.FormatInt(n, 10) }
		head := func(r gate.Request, now string) []string {
			return []string{now, r.Method, r.URL, r.Authorization, r.Range, r.IfRange, r.IfMatch, r.IfNoneMatch, r.IfModifiedSince, r.IfUnmodifiedSince}
		}
		fields := split(m)
		if r, now, ok := wire.ReadRequest(m); ok {
			if got, _, again := wire.ReadRequest(message(head(r, text(now))...)); got != r || !again || len(fields) != 10 {
				t.Errorf("%q is read as %+v and then as %+v", fields, r, got)
			}
		}
		if r, fetch, o, ok := wire.ReadReply(m); ok {
			p := fetch.Part
			back := message(append(head(r, "0"), fetch.Key, string(fetch.Op), text(p.Offset), text(p.Length), text(p.Suffix), string(fetch.Use),
				string(o.Outcome), text(o.Size), o.ETag, text(o.Modified), o.CacheControl, string(o.Body))...)
			r2, fetch2, o2, again := wire.ReadReply(back)
			if r2 != r || fetch2 != fetch || !reflect.DeepEqual(o2, o) || !again || len(fields) != 22 {
				t.Errorf("%q is read as %+v and then as %+v", fields, o, o2)
			}
		}
	})
}
