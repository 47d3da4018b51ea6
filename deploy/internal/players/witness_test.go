package players_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// witness is a proxy in front of the Worker that notes what a player asks for and is answered. It changes nothing.
type witness struct {
	URL string

	mu        sync.Mutex
	exchanges []exchange
}

// exchange is a request and its answer.
type exchange struct {
	method, uri, authorization, cookie string
	takes                              string // Accept-Encoding
	status                             int
	encoding                           string // Content-Encoding
}

func (e exchange) String() string {
	return fmt.Sprintf("%d %s %s (Authorization %q, Cookie %q, Accept-Encoding %q, Content-Encoding %q)",
		e.status, e.method, short(e.uri), short(e.authorization), short(e.cookie), e.takes, e.encoding)
}

// carries lists the ways in which a request presents a token.
func (e exchange) carries(token string) (all []way) {
	file, query, _ := strings.Cut(e.uri, "?")
	for w, text := range map[way]string{inPath: file, inQuery: query, inBearer: e.authorization, inCookie: e.cookie} {
		if strings.Contains(text, token) {
			all = append(all, w)
		}
	}
	return all
}

// short is text with its token cut short.
func short(text string) string { return jws.ReplaceAllString(text, "eyJ…") }

var jws = regexp.MustCompile(`eyJ[\w.-]+`)

// watch makes the witness of one player.
func watch(t *testing.T) *witness {
	t.Helper()
	worker, err := url.Parse(theWorld.weir.Cloud.URL)
	if err != nil {
		t.Fatal(err)
	}
	w := &witness{}
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(worker) },
		Transport:      &http.Transport{DisableCompression: true}, // or it would ask for gzip of its own accord
		ModifyResponse: w.note,
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	w.URL = server.URL
	return w
}

func (w *witness) note(resp *http.Response) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := resp.Request
	w.exchanges = append(w.exchanges, exchange{
		method: r.Method, uri: r.URL.RequestURI(), authorization: r.Header.Get("Authorization"), cookie: r.Header.Get("Cookie"),
		takes: r.Header.Get("Accept-Encoding"), status: resp.StatusCode, encoding: resp.Header.Get("Content-Encoding"),
	})
	return nil
}

// seen is what was noted, without preflights: they ask for nothing and carry no token.
func (w *witness) seen(t *testing.T) (all []exchange) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.exchanges {
		if e.method != http.MethodOptions {
			all = append(all, e)
		} else if e.status != http.StatusNoContent || e.authorization+e.cookie != "" {
			t.Errorf("a preflight: %v", e)
		}
	}
	return all
}

func (w *witness) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var lines strings.Builder
	for _, e := range w.exchanges {
		fmt.Fprintln(&lines, e)
	}
	return lines.String()
}

// wantAdmitted holds every request to the way in which it was to carry the token, and every answer to success, compressed if
// the player said that it takes that. list is where it begins.
func (w *witness) wantAdmitted(t *testing.T, list string, by way, token string) {
	t.Helper()
	playlists, segments, least := 0, 0, 3 // the master's, the picture's and the sound's
	if list == mpd {
		least = 1
	}
	for _, e := range w.seen(t) {
		switch e.status {
		case http.StatusOK, http.StatusPartialContent, http.StatusNotModified:
		default:
			t.Errorf("not admitted: %v", e)
		}
		if carried := e.carries(token); !slices.Equal(carried, []way{by}) {
			t.Errorf("the token is in %q: %v", carried, e)
		}
		file, _, _ := strings.Cut(e.uri, "?")
		switch path.Ext(file) {
		case path.Ext(list):
			playlists++
			if takes := strings.Contains(e.takes, "gzip"); e.status == http.StatusOK && takes != (e.encoding == "gzip") {
				t.Errorf("the playlist is not as the player takes it: %v", e)
			}
		case ".m4s":
			segments++
			if e.encoding != "" {
				t.Errorf("a segment is compressed: %v", e)
			}
		}
	}
	if playlists < least || segments < 2 {
		t.Errorf("only %d playlists and %d segments were asked for:\n%s", playlists, segments, w)
	}
}

// wantRefused wants the Worker to be asked, and every answer to be 401.
func (w *witness) wantRefused(t *testing.T) {
	t.Helper()
	all := w.seen(t)
	for _, e := range all {
		if e.status != http.StatusUnauthorized {
			t.Errorf("not refused: %v", e)
		}
	}
	if len(all) == 0 {
		t.Error("the Worker was not asked")
	}
}
