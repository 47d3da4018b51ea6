package edge

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"weir/edge-auth/internal/gate"
)

// dialTimeout is for a connection to the transcoder.
const dialTimeout = 5 * time.Second

// withheld are headers that are for one connection (RFC 9110 section 7.6.1), and the cookie, which opens objects.
var withheld = []string{"Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Cookie"}

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout: dialTimeout,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true, // the client's wish is passed on
	}
}

// forward hands a request to the transcoder. Bodies flow both ways as they come, and end when the client goes; streams, which have no
// limit, end with the server as well.
func (x *exchange) forward(f gate.Forward) {
	ctx, cancel := context.WithCancel(x.r.Context())
	defer cancel()
	if f.Limit > 0 {
		limit := time.Duration(f.Limit) * time.Millisecond
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
		_ = x.control.SetWriteDeadline(x.began.Add(limit + stallTimeout)) // the context ends no write
	} else {
		defer context.AfterFunc(x.draining, cancel)()
	}
	target, err := url.Parse(f.URL)
	if err != nil {
		x.unanswered(err)
		return
	}
	_ = x.control.EnableFullDuplex()
	proxy := &httputil.ReverseProxy{
		Transport:     x.transcoder,
		FlushInterval: -1, // at once
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL, r.Out.Host = target, ""
			for _, name := range withheld {
				r.Out.Header.Del(name)
			}
		},
		ModifyResponse: func(r *http.Response) error {
			x.log(r.StatusCode, "", "forwarded")
			return nil
		},
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) { x.unanswered(err) },
	}
	proxy.ServeHTTP(x.w.ResponseWriter, x.r.WithContext(ctx)) // not x.w: a stream may be silent for as long as it wants
}

// unanswered answers in the transcoder's place.
func (x *exchange) unanswered(err error) {
	if x.r.Context().Err() == nil {
		x.Log.Error("the transcoder did not answer", "error", err)
	}
	x.answer(*gate.Unanswered(x.request).Answer, nil)
}
