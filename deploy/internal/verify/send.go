package verify

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// answerTimeout is for one exchange; the objects are small.
	answerTimeout = 30 * time.Second
	// closeTimeout is how long is waited for bytes behind an answer that should have ended.
	closeTimeout = time.Second
)

// answer is what came back.
type answer struct {
	status string
	header http.Header
	body   string // as it was before its Content-Encoding
}

// send makes a request on a connection of its own and writes it itself: net/http would clean the path, add headers, and hide a
// body where none may be.
func send(ctx context.Context, base, method, path string, header []field, body string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	u, err := url.Parse(base)
	if err != nil {
		return answer{}, err
	}
	conn, err := dial(ctx, u)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()

	request := method + " " + path + " HTTP/1.1\r\nHost: " + u.Host + "\r\nUser-Agent: weir-verify\r\nConnection: close\r\n"
	if body != "" {
		request += "Content-Length: " + strconv.Itoa(len(body)) + "\r\n"
	}
	for _, f := range header {
		request += f.name + ": " + f.value + "\r\n"
	}
	if _, err := io.WriteString(conn, request+"\r\n"+body); err != nil {
		return answer{}, err
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, &http.Request{Method: method})
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	got := answer{status: strconv.Itoa(resp.StatusCode), header: resp.Header}
	received, err := io.ReadAll(resp.Body)
	got.body = string(received)
	if err != nil {
		return got, fmt.Errorf("read the body, of which Content-Length says %q: %w", resp.Header.Get("Content-Length"), err)
	}
	if err := ended(conn, in); err != nil {
		return got, err
	}
	if resp.Header.Get("Content-Encoding") == "gzip" && len(received) > 0 {
		if got.body, err = unpack(received); err != nil {
			return got, fmt.Errorf("unpack the body: %w", err)
		}
	}
	return got, nil
}

func dial(ctx context.Context, u *url.URL) (net.Conn, error) {
	port := u.Port()
	if u.Scheme == "https" {
		if port == "" {
			port = "443"
		}
		return (&tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS12}}).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	}
	if port == "" {
		port = "80"
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
}

// ended tells whether an answer is followed by nothing: a body in an answer to HEAD would be, or more bytes than Content-Length
// says.
func ended(conn net.Conn, in io.Reader) error {
	if err := conn.SetReadDeadline(time.Now().Add(closeTimeout)); err != nil {
		return err
	}
	if n, _ := io.CopyN(io.Discard, in, 1); n > 0 {
		return errors.New("the answer goes on behind its end")
	}
	return nil
}

func unpack(packed []byte) (string, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(r)
	return string(text), err
}

// lines are the answer for a message.
func (a answer) lines(w *words) []string {
	lines := []string{"HTTP " + a.status}
	for name, values := range a.header {
		lines = append(lines, w.redact(name+": "+strings.Join(values, ", ")))
	}
	slices.Sort(lines[1:])
	if a.body != "" {
		lines = append(lines, "| "+w.redact(shorten(a.body)))
	}
	return lines
}
