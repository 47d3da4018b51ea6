package edge_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
)

// A segment of 4 MiB, and a playlist, through the edge; and through a proxy that checks nothing, to the same bucket.
func BenchmarkObject(b *testing.B) {
	r := start(b, nil, "")
	s3 := httptest.NewServer(r.store)
	defer s3.Close()
	target, err := url.Parse(s3.URL)
	if err != nil {
		b.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }})
	defer proxy.Close()
	for _, c := range []struct {
		name, url string
		size      int64
	}{
		{"segment/weir", r.url + "/t/" + r.token + "/" + segment, int64(len(large))},
		{"segment/proxy", proxy.URL + "/bucket/" + segment, int64(len(large))},
		{"playlist/weir", r.url + "/t/" + r.token + "/" + playlist, 0},
		{"playlist/proxy", proxy.URL + "/bucket/" + playlist, 0},
	} {
		b.Run(c.name, func(b *testing.B) {
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}}
			defer client.CloseIdleConnections()
			b.SetBytes(c.size)
			b.ReportAllocs()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					resp, err := client.Get(c.url)
					if err != nil {
						b.Error(err)
						return
					}
					n, err := io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					if err != nil || resp.StatusCode != 200 || c.size > 0 && n != c.size {
						b.Errorf("%d, %d bytes: %v", resp.StatusCode, n, err)
					}
				}
			})
		})
	}
}
