package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/golang-jwt/jwt/v5"

	"weir/deploy/local"
)

// cloud is the Worker as it is released, in the real workerd, with the real local R2 behind it; native is `weir edge` over the same
// bucket, with the same settings.
var (
	cloud  *local.Cloud
	native string // URL
)

func TestMain(m *testing.M) {
	code, err := testMain(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "weir:", err)
		code = 1
	}
	os.Exit(code)
}

func testMain(m *testing.M) (code int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	transcoder := httptest.NewServer(http.HandlerFunc(echo))
	defer transcoder.Close()
	if cloud, err = local.Start(ctx, local.Options{Settings: map[string]string{"TRANSCODER_URL": transcoder.URL}}); err != nil {
		return 1, err
	}
	defer func() {
		if stopErr := cloud.Stop(); err == nil {
			err = stopErr
		}
	}()
	if err := fill(ctx); err != nil {
		return 1, err
	}
	edge, err := start(map[string]string{
		"R2_ENDPOINT": cloud.Endpoint, "R2_BUCKET": cloud.Bucket, "R2_ACCESS_KEY_ID": cloud.AccessKeyID, "R2_SECRET_ACCESS_KEY": cloud.SecretAccessKey,
		"TOKEN_KEYS": `{"keys":[` + cloud.TokenKey + `]}`, "ENCRYPTION_KEY": cloud.EncryptionKey, "TRANSCODER_URL": transcoder.URL,
		"PUBLIC_DIR": "../public", "COUNTRY_HEADER": "X-Country", "LOG_SAMPLE": "0",
	})
	if err != nil {
		return 1, err
	}
	native = edge.url
	code = m.Run()
	return code, edge.stop()
}

// echo is a transcoder that says what it was asked.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Served-By", "transcoder")
	heard := map[string]any{"method": r.Method, "uri": r.RequestURI, "body": string(body)}
	for _, name := range []string{"Authorization", "Content-Type", "Cookie", "Origin", "X-Own", "Te", "Keep-Alive", "Proxy-Connection", "Range", "User-Agent"} {
		heard[name] = strings.Join(r.Header.Values(name), ", ")
	}
	_ = json.NewEncoder(w).Encode(heard)
}

// objects is what the two find in the bucket.
var objects = []struct{ key, cacheControl, body string }{
	{"videos/abc/hls/720p/init_a.mp4", "", "init"},
	{"videos/abc/hls/720p/segment_1_a.m4s", "no-cache", "0123456789"},
	{"videos/abc/hls/720p/segment_2_b.m4s", "public, max-age=31536000, immutable", strings.Repeat("0123456789abcdef", 1<<16)},
	{"videos/abc/hls/720p/playlist.m3u8", "public, max-age=1", "#EXTM3U\n#EXT-X-MAP:URI=\"init_a.mp4\"\n#EXTINF:6,\nsegment_1_a.m4s\n"},
	{"videos/abc/hls/master.m3u8", "", "#EXTM3U\n720p/playlist.m3u8\n"},
	{"videos/abc/hls/long/playlist.m3u8", "", "#EXTM3U\n" + strings.Repeat("#EXTINF:6,\nsegment_1_a.m4s\n", 10_000)},
	{"videos/abc/dash/manifest.mpd", "", `<MPD><Period><SegmentTemplate media="$Number$.m4s"/></Period></MPD>`},
	{"videos/abc/manifest.json", "max-age=5", "{}"},
	{"videos/abc/poster.jpg", "", "jpeg"},
	{"videos/abc/storyboard/storyboard.vtt", "", "WEBVTT\n\n00:00.000 --> 00:05.000\nsprite_0.jpg#xywh=0,0,160,90\n"},
	{"videos/abc/subtitles/en/empty.vtt", "", ""},
	{"videos/abc/empty.m3u8", "", ""},
	{"videos/abc/notes in ü+%.html", "", "<script>"},
	{"videos/abcd/manifest.json", "", "{}"},
	{"videos/old/manifest.json", "", "{}"},
	{"epochs/old", "", "1700000000"},
	{"videos/broken/manifest.json", "", "{}"},
	{"epochs/broken", "", "yesterday"},
	{"jobs/abc.json", "", "{}"},
}

func fill(ctx context.Context) error {
	client := cloud.S3()
	for _, o := range objects {
		in := &s3.PutObjectInput{Bucket: &cloud.Bucket, Key: &o.key, Body: strings.NewReader(o.body), ContentType: aws.String("text/html")}
		if o.cacheControl != "" {
			in.CacheControl = &o.cacheControl
		}
		if _, err := client.PutObject(ctx, in); err != nil {
			return fmt.Errorf("put %q: %w", o.key, err)
		}
	}
	return nil
}

// mint signs a token as the transcoder does.
func mint(t testing.TB, claims jwt.MapClaims) string {
	t.Helper()
	var jwk struct{ Kid, K string }
	if err := json.Unmarshal([]byte(cloud.TokenKey), &jwk); err != nil {
		t.Fatal(err)
	}
	secret, err := base64.RawURLEncoding.DecodeString(jwk.K)
	if err != nil {
		t.Fatal(err)
	}
	all := jwt.MapClaims{"sub": "videos/abc", "exp": time.Now().Add(time.Hour).Unix()}
	maps.Copy(all, claims)
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, all)
	token.Header["kid"] = jwk.Kid
	compact, err := token.SignedString(secret)
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

// rules are the access rules of a token.
func rules(text string) jwt.MapClaims {
	var list []any
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		panic(err)
	}
	return jwt.MapClaims{"accessRules": list}
}

// tokens are good and bad ones.
func tokens(t testing.TB) []string {
	now := time.Now().Unix()
	good := mint(t, nil)
	return []string{
		good,
		mint(t, jwt.MapClaims{"sub": "videos/abc/hls"}),
		mint(t, jwt.MapClaims{"sub": "videos/other"}),
		mint(t, jwt.MapClaims{"sub": "videos"}),
		mint(t, jwt.MapClaims{"sub": "jobs"}),
		mint(t, jwt.MapClaims{"exp": now - 3600}),
		mint(t, jwt.MapClaims{"nbf": now + 3600}),
		mint(t, jwt.MapClaims{"kind": "playlist"}),
		mint(t, jwt.MapClaims{"kind": "thumbnail"}),
		mint(t, jwt.MapClaims{"kind": "key"}),
		mint(t, jwt.MapClaims{"kind": "everything"}),
		mint(t, jwt.MapClaims{"sub": "videos/old", "iat": 1699999999}),
		mint(t, jwt.MapClaims{"sub": "videos/old", "iat": 1700000000}),
		mint(t, jwt.MapClaims{"sub": "videos/broken", "iat": 1700000000}),
		mint(t, rules(`[{"type":"ip.src","action":"allow","ip":["127.0.0.0/8","::1"]},{"type":"any","action":"block"}]`)),
		mint(t, rules(`[{"type":"ip.src","action":"block","ip":["127.0.0.0/8","::1"]}]`)),
		mint(t, rules(`[{"type":"ip.geoip.country","action":"allow","country":["US"]},{"type":"any","action":"block"}]`)),
		mint(t, rules(`[{"type":"ip.geoip.country","action":"block","country":["US"]}]`)),
		mint(t, rules(`[{"type":"origin","action":"allow","origin":["https://example.com"]},{"type":"any","action":"block"}]`)),
		good[:len(good)-4] + "AAAA", "abc", "a.b.c", "%20", "", "%C3%A9",
	}
}

// exchange is a request as it goes over the wire, and what came back of it.
type exchange struct {
	method, path string
	headers      []string
	body         string
}

func (e exchange) String() string {
	text := fmt.Sprintf("%s %s %q %.100q", e.method, e.path, e.headers, e.body)
	return signed.ReplaceAllString(text, "{$1}")
}

// signed is a token, of which its claims say enough.
var signed = regexp.MustCompile(`eyJ[\w-]+\.eyJ([\w-]+)\.[\w-]+`)

type answer struct {
	status int
	header http.Header
	body   []byte
}

// send writes a request byte by byte: net/http would clean the path.
func send(base string, e exchange) (answer, error) {
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return answer{}, err
	}
	lines := append([]string{e.method + " " + e.path + " HTTP/1.1", "Host: edge.example", "Connection: close"}, e.headers...)
	if e.body != "" {
		lines = append(lines, fmt.Sprintf("Content-Length: %d", len(e.body)))
	}
	if _, err := io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\n\r\n"+e.body); err != nil {
		return answer{}, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: e.method})
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	if resp.Header.Get("Content-Encoding") == "gzip" && len(body) > 0 {
		unpacked, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return answer{}, err
		}
		if body, err = io.ReadAll(unpacked); err != nil {
			return answer{}, err
		}
		resp.Header.Set("Content-Length", "compressed") // two compressors
	}
	return answer{resp.StatusCode, resp.Header, body}, nil
}

var milliseconds = regexp.MustCompile(`dur=\d+`)

// differences compares what the Worker answered with what the edge did.
func differences(worker, edge answer) (all []string) {
	if worker.status != edge.status {
		all = append(all, fmt.Sprintf("the status is %d, the Worker's %d", edge.status, worker.status))
	}
	names := map[string]bool{}
	for _, h := range []http.Header{worker.header, edge.header} {
		for name := range h {
			names[name] = true
		}
	}
	// Before the Worker's answers arrive, the network may compress what is no object; and a page, whose length is then not told.
	network := (edge.header.Get("ETag") == "" || edge.status == 304) && edge.header.Get("Content-Encoding") == ""
	for _, name := range slices.Sorted(maps.Keys(names)) {
		switch {
		case name == "Date" || name == "Server" || name == "Connection",
			network && name == "Content-Encoding" && worker.header.Get(name) == "gzip",
			network && name == "Content-Length" && worker.header.Get("Content-Encoding") == "gzip",
			network && name == "Content-Length" && worker.header.Get(name) == "" && strings.HasPrefix(edge.header.Get("Content-Type"), "text/html"):
			continue
		}
		want := milliseconds.ReplaceAllString(strings.Join(worker.header.Values(name), ", "), "dur=N")
		if got := milliseconds.ReplaceAllString(strings.Join(edge.header.Values(name), ", "), "dur=N"); got != want {
			all = append(all, fmt.Sprintf("%s is %q, the Worker's %q", name, got, want))
		}
	}
	if !bytes.Equal(worker.body, edge.body) {
		all = append(all, fmt.Sprintf("the body is %.200q, the Worker's %.200q", edge.body, worker.body))
	}
	return all
}

// compare asks both and tells what the edge does otherwise.
func compare(t *testing.T, e exchange) answer {
	t.Helper()
	worker, err := send(cloud.URL, e)
	if err != nil {
		t.Fatalf("%s: the Worker: %v", e, err)
	}
	edge, err := send(native, e)
	if err != nil {
		t.Fatalf("%s: the edge: %v", e, err)
	}
	if strings.Contains(e.path, "/empty.") { // of an empty object there is no part: it takes a second call of S3
		edge.header["Server-Timing"] = worker.header["Server-Timing"]
	}
	for _, d := range differences(worker, edge) {
		t.Errorf("%s: %s", e, d)
	}
	return edge
}

// Whatever is asked, the edge answers as the Worker does: status, headers, and body.
func TestTheEdgeAnswersAsTheWorkerDoes(t *testing.T) {
	const count = 1500
	words := newWords(t)
	statuses := map[int]int{}
	for _, token := range words.tokens {
		for _, video := range []string{"abc", "abcd", "old", "broken"} {
			e := exchange{method: "GET", path: "/t/" + token + "/videos/" + video + "/manifest.json", headers: []string{"X-Country: US"}}
			statuses[compare(t, e).status]++
		}
	}
	for range count {
		e := words.request()
		statuses[compare(t, e).status]++
	}
	t.Logf("statuses of %d requests: %v", count, statuses)
	for _, status := range []int{200, 204, 206, 304, 400, 401, 403, 404, 405, 412, 416, 502} {
		if statuses[status] == 0 {
			t.Errorf("none of %d requests was answered %d", count, status)
		}
	}
}

// Of a path that is not in its plain spelling, the Worker never sees more than what its runtime makes of it. The edge sees it as it was
// sent, and knows no object under it: whoever is refused here would be there, or has a token for what is meant.
func TestPathsThatWorkerdSpellsAnew(t *testing.T) {
	good := mint(t, nil)
	for path, want := range map[string]struct{ worker, edge int }{
		"/t/" + good + "/videos/abc/hls/../manifest.json":             {200, 404},
		"/t/" + good + "/videos/abc/./manifest.json":                  {200, 404},
		"/t/" + good + "/videos/abc/hls/%2e%2E/manifest.json":         {200, 404},
		"/t/" + good + "/videos/abc/../abcd/manifest.json":            {403, 404},
		"/t/" + good + "/videos/abc\\manifest.json":                   {200, 404},
		"/t/" + good + "/videos/abc/../../jobs/abc.json":              {404, 404},
		"/videos/abc/hls/../manifest.json?token=" + good:              {200, 404},
		"/t/" + good + "/videos/abc/%2":                               {404, 400}, // net/http refuses it, as edge.http says
		"http://elsewhere/t/" + good + "/videos/abc/manifest.json":    {200, 200},
		"http://elsewhere/t/" + good + "/videos/abc/../manifest.json": {404, 404},
	} {
		e := exchange{method: "GET", path: path}
		worker, err := send(cloud.URL, e)
		if err != nil {
			t.Fatal(err)
		}
		edge, err := send(native, e)
		if err != nil {
			t.Fatal(err)
		}
		if worker.status != want.worker || edge.status != want.edge {
			t.Errorf("%s: the Worker answers %d, the edge %d", e, worker.status, edge.status)
		}
	}
}

// An empty object is whole, whatever part of it is asked for. The Worker says so as well, of a bucket at Cloudflare: the one of this
// machine fails at parts of nothing.
func TestEmptyObjects(t *testing.T) {
	good := mint(t, nil)
	for _, path := range []string{"/t/" + good + "/videos/abc/subtitles/en/empty.vtt", "/videos/abc/subtitles/en/empty.vtt?token=" + good, "/t/" + good + "/videos/abc/empty.m3u8"} {
		for _, header := range []string{"X-Own: 1", "If-None-Match: *", "Accept-Encoding: gzip", "Range: bytes=0-"} {
			for _, method := range []string{"GET", "HEAD"} {
				compare(t, exchange{method: method, path: path, headers: []string{header}})
			}
		}
	}
	for _, e := range []exchange{
		{method: "GET", path: "/videos/abc/empty.m3u8?token=" + good},
		{method: "HEAD", path: "/videos/abc/empty.m3u8?token=" + good},
		{method: "GET", path: "/t/" + good + "/videos/abc/subtitles/en/empty.vtt", headers: []string{"Range: bytes=0-1"}},
		{method: "GET", path: "/t/" + good + "/videos/abc/subtitles/en/empty.vtt", headers: []string{"Range: bytes=-1"}},
	} {
		got, err := send(native, e)
		if err != nil || got.status != 200 || len(got.body) > 0 || got.header.Get("Content-Length") != "0" {
			t.Errorf("%s: %+v, %v", e, got, err)
		}
	}
}

// The files of the page for people are served as Cloudflare does, but for the name of their validator.
func TestThePlayersFiles(t *testing.T) {
	for _, path := range []string{"/player/watch.js", "/player/watch.css", "/player/icon.svg", "/player/licences.txt", "/player/watch.js?v=1"} {
		for _, method := range []string{"GET", "HEAD"} {
			e := exchange{method: method, path: path}
			worker, err := send(cloud.URL, e)
			if err != nil {
				t.Fatal(err)
			}
			edge, err := send(native, e)
			if err != nil {
				t.Fatal(err)
			}
			if worker.header.Get("ETag") == "" || edge.header.Get("ETag") == "" {
				t.Errorf("%s: no validator", e)
			}
			again, err := send(native, exchange{method: method, path: path, headers: []string{"If-None-Match: " + edge.header.Get("ETag")}})
			if err != nil || again.status != 304 {
				t.Errorf("%s: again: %d, %v", e, again.status, err)
			}
			for _, name := range []string{"Content-Type", "Cache-Control"} {
				if got, want := edge.header.Get(name), worker.header.Get(name); got != want {
					t.Errorf("%s: %s is %q, the Worker's %q", e, name, got, want)
				}
			}
			if edge.status != worker.status || !bytes.Equal(edge.body, worker.body) {
				t.Errorf("%s: %d with %d bytes, the Worker's %d with %d", e, edge.status, len(edge.body), worker.status, len(worker.body))
			}
		}
	}
}

// words are what requests are made of.
type words struct {
	random       *rand.Rand
	tokens       []string
	etag, date   string
	good, paths  []string // those of objects of videos/abc, and all
	methods      []string
	ranges       []string
	conditionals []string
	others       []string
}

func newWords(t *testing.T) *words {
	segment, err := send(cloud.URL, exchange{method: "GET", path: "/t/" + mint(t, nil) + "/videos/abc/hls/720p/segment_1_a.m4s"})
	if err != nil || segment.status != 200 {
		t.Fatalf("%v %v", segment, err)
	}
	etag, date := segment.header.Get("ETag"), segment.header.Get("Last-Modified")
	w := &words{random: rand.New(rand.NewPCG(1, 2)), tokens: tokens(t), etag: etag, date: date}
	for _, o := range objects {
		if o.body != "" { // see TestEmptyObjects
			w.paths = append(w.paths, "/"+strings.NewReplacer("%", "%25", " ", "%20", "ü", "%C3%BC").Replace(o.key))
		}
	}
	w.good = w.paths[:9]
	w.paths = append(w.paths,
		"/videos/abc/nothing.json", "/videos/abc/nothing.m3u8", "/videos/none/manifest.json", "/keys/abc", "/keys/abcd", "/keys/none", "/keys/", "/keys/a/b", "/beacon/abc",
		"/beacon/none", "/watch/abc", "/watch/none", "/watch/", "/", "/favicon.ico", "/player/", "/player/nothing.js", "/videos/", "/videos/abc/",
		"/videos//abc/manifest.json", "//videos/abc/manifest.json", "/videos/abc/hls%2fmaster.m3u8", "/videos/abc/m%61nifest.json", "/videos/abc/%252e%252e/x",
		"/videos/abc/%00", "/videos/abc/%0a.json", "/videos/abc/%ff.json", "/videos/abc/%5c..%5cmanifest.json", "/videos/abc.d/manifest.json",
		"/VIDEOS/abc/manifest.json", "/videos/abc/manifest.json/", "/videos/abc/a;b=c", "/videos/abc/a:b@c", "/videos/abc/manifest.json#f", "/t/", "/t", "/healthz/", "/readyz", "/metrics",
		"/videos/abc/"+strings.Repeat("x", 1100)+".mp4",
		"/transcode", "/videos", "/videos/abc", "/videos/abc/events", "/videos/abc/playback", "/videos/abc/revoke", "/webhooks/dead", "/webhooks/x/replay", "/transcode/x",
	)
	w.methods = append(slices.Repeat([]string{"GET"}, 14), "HEAD", "HEAD", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH")
	w.ranges = []string{"bytes=0-1", "bytes=2-4", "bytes=5-", "bytes=-3", "bytes=-300", "bytes=0-", "bytes=10-", "bytes=-0", "bytes=8-99", "bytes=0-1,3-4", "bytes=4-2",
		"bytes=-", "bytes=a-b", "Bytes=1-2", "seconds=0-1", "bytes=99999999999999999999-", "bytes= 1-2", "bytes=1-2 ", "bytes=70000-140000", "bytes=-100000"}
	w.conditionals = []string{
		"If-None-Match: " + etag, "If-None-Match: W/" + etag, `If-None-Match: "x"`, "If-None-Match: *", `If-None-Match: "x", ` + etag, "If-None-Match: x",
		"If-Match: " + etag, "If-Match: W/" + etag, `If-Match: "x"`, "If-Match: *", "If-Modified-Since: " + date, "If-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT",
		"If-Modified-Since: soon", "If-Unmodified-Since: " + date, "If-Unmodified-Since: Sat, 01 Jan 2000 00:00:00 GMT", "If-Unmodified-Since: Saturday, 01-Jan-00 00:00:00 GMT",
		"If-Range: " + etag, `If-Range: "x"`, "If-Range: W/" + etag, "If-Range: " + date, "If-Range: Fri, 01 Jan 2100 00:00:00 GMT",
	}
	w.others = []string{
		"Origin: https://example.com", "Origin: https://example.org", "Referer: https://example.com/page", "Accept-Encoding: gzip", "Accept-Encoding: deflate;q=0.9, gzip;q=0.5",
		"Accept-Encoding: identity, gzip;q=0", "Accept: text/html", "CMCD-Request: bl=1200", `CMCD-Session: sid="a"`, "Cookie: a=b", "X-Forwarded-For: 192.0.2.1",
		"Content-Type: application/json", "Access-Control-Request-Method: GET", "User-Agent: differ/1",
	}
	return w
}

func (w *words) one(of []string) string { return of[w.random.IntN(len(of))] }

func (w *words) chance(percent int) bool { return w.random.IntN(100) < percent }

// request makes one up.
func (w *words) request() exchange {
	e := exchange{method: w.one(w.methods), path: w.one(w.good), headers: []string{"X-Country: US"}}
	if w.chance(50) {
		e.path = w.one(w.paths)
	}
	if strings.HasPrefix(e.path, "/beacon/") && w.chance(80) {
		e.method = "POST"
	}
	query := []string{}
	for range 1 + w.random.IntN(5)/4 {
		token := w.one(w.tokens)
		if w.chance(60) { // most get somewhere
			token = w.tokens[0]
		}
		switch w.random.IntN(5) {
		case 0, 1:
			e.path = "/t/" + token + e.path
		case 2:
			query = append(query, "token="+token)
		case 3:
			e.headers = append(e.headers, w.one([]string{"Authorization: Bearer ", "Authorization: bearer ", "Authorization: Basic "})+token)
		case 4:
			e.headers = append(e.headers, "Cookie: a=b; weir_token="+token)
		}
	}
	if w.chance(20) {
		query = append(query, w.one([]string{"CMCD=br%3D3200%2Csid%3D%22a%22", "a=b", "a", "&&", "token", "x=%2F%20+"}))
	}
	if len(query) > 0 {
		e.path += "?" + strings.Join(query, "&")
	}
	if w.chance(30) {
		e.headers = append(e.headers, "Range: "+w.one(w.ranges))
	}
	for w.chance(35) {
		e.headers = append(e.headers, w.one(w.conditionals))
	}
	for w.chance(35) {
		e.headers = append(e.headers, w.one(w.others))
	}
	if e.method == "POST" || e.method == "PUT" || e.method == "PATCH" {
		e.body = w.one([]string{"", "bl=1200,sid=\"a\"\ne=ps", "hello", strings.Repeat("bl=1\n", 10), strings.Repeat("x", 17<<10)})
	}
	return e
}
