package edge

import (
	"net/http"
	"net/netip"
	"strings"

	"weir/edge-auth/internal/gate"
)

// cmcd are the headers in which players say something of themselves (CTA-5004).
var cmcd = []string{"CMCD-Request", "CMCD-Object", "CMCD-Status", "CMCD-Session"}

// request is what the gate looks at. The URL is as it was sent, but for its host, which means nothing here.
func (s *Server) request(r *http.Request) gate.Request {
	header := func(name string) string { return strings.Join(r.Header.Values(name), ", ") }
	url := r.RequestURI
	if strings.HasPrefix(url, "/") {
		url = "http://edge" + url
	}
	var said []string
	for _, name := range cmcd {
		if text := header(name); text != "" {
			said = append(said, text)
		}
	}
	return gate.Request{
		URL:           url,
		Authorization: header("Authorization"),
		Cookie:        header("Cookie"),
		Referer:       header("Referer"),
		IP:            s.address(r),
		CMCD:          strings.Join(said, ","),

		Method:            r.Method,
		Country:           s.country(r),
		Origin:            header("Origin"),
		Range:             header("Range"),
		IfRange:           header("If-Range"),
		IfMatch:           header("If-Match"),
		IfNoneMatch:       header("If-None-Match"),
		IfModifiedSince:   header("If-Modified-Since"),
		IfUnmodifiedSince: header("If-Unmodified-Since"),
		Accept:            header("Accept"),
		AcceptEncoding:    header("Accept-Encoding"),
	}
}

// address is the client's: the connection's, or the last one in the header that the proxy writes, for what stands before it may be the
// client's own words. What is no address is "", which rules that block do not let in.
func (s *Server) address(r *http.Request) string {
	if s.IPHeader == "" {
		at, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			return ""
		}
		return at.Addr().Unmap().WithZone("").String()
	}
	list := strings.Join(r.Header.Values(s.IPHeader), ",")
	at, err := netip.ParseAddr(strings.TrimSpace(list[strings.LastIndexByte(list, ',')+1:]))
	if err != nil {
		return ""
	}
	return at.Unmap().WithZone("").String()
}

// country is the client's, or "" if it is not known.
func (s *Server) country(r *http.Request) string {
	if s.CountryHeader == "" {
		return ""
	}
	values := r.Header.Values(s.CountryHeader)
	if len(values) == 0 || len(values[len(values)-1]) != 2 {
		return ""
	}
	return strings.ToUpper(values[len(values)-1])
}
