package check

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

const (
	// fetchTimeout is for one object over a slow line.
	fetchTimeout = 2 * time.Minute
	// maxObject bounds what one answer may take of memory: more than six seconds at 200 Mbit/s.
	maxObject = 256 << 20
	// maxRedirects is where a client gives up.
	maxRedirects = 5
)

// response is an answer, read to its end.
type response struct {
	url        *url.URL // after redirects
	status     int
	header     http.Header
	body       []byte // decompressed
	gzip       bool
	redirected bool
}

// fetcher asks for objects. It sees redirects and compression, which the standard client hides.
type fetcher struct {
	client http.Client
	header http.Header
}

func newFetcher(header http.Header) *fetcher {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true
	return &fetcher{header: header, client: http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// get fetches an object, or a range of it, with gzip if the server likes. Errors do not tell the URL, which may have a token
// in it.
func (f *fetcher) get(ctx context.Context, u *url.URL, rng string) (*response, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	for redirects := 0; ; redirects++ {
		r, err := f.once(ctx, u, rng)
		if failed := (*url.Error)(nil); errors.As(err, &failed) {
			return nil, failed.Err
		} else if err != nil {
			return nil, err
		}
		r.redirected = redirects > 0
		location := r.header.Get("Location")
		if r.status < 300 || r.status > 399 || location == "" || redirects == maxRedirects {
			return r, nil
		}
		next, err := u.Parse(location)
		if err != nil || next.Host != u.Host && len(f.header) > 0 {
			return r, nil // a secret is for one host
		}
		u = next
	}
}

func (f *fetcher) once(ctx context.Context, u *url.URL, rng string) (*response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	for name, values := range f.header {
		req.Header[name] = values
	}
	if rng != "" {
		req.Header.Set("Range", rng)
	} else {
		req.Header.Set("Accept-Encoding", "gzip")
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	r := &response{url: u, status: resp.StatusCode, header: resp.Header, gzip: resp.Header.Get("Content-Encoding") == "gzip"}
	body := io.Reader(resp.Body)
	if r.gzip {
		if body, err = gzip.NewReader(resp.Body); err != nil {
			return nil, fmt.Errorf("decompress the answer: %w", err)
		}
	}
	var data bytes.Buffer
	if _, err := io.Copy(&data, io.LimitReader(body, maxObject)); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	r.body = data.Bytes()
	return r, nil
}
