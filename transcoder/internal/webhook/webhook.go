// Package webhook tells backends how their videos come along, in the format of the Standard Webhooks specification 1.0.0.
//
// [Sender.Send] makes one attempt: signed with every secret in use, to public addresses alone, without following redirects.
// [Schedule] says when to try again. Keeping count, and keeping the message meanwhile, is the caller's business.
package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"code.dny.dev/ssrf"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const (
	// requestTimeout is what the specification gives a receiver, from the dial to the end of its answer.
	requestTimeout = 20 * time.Second
	// maxAnswer is how much of an answer's headers is taken, and how much of its body is read so that the connection can be
	// closed in order.
	maxAnswer = 64 << 10
	// maxRetryAfter bounds what a receiver may ask for.
	maxRetryAfter = 24 * time.Hour
)

// schedule holds the pauses before each attempt, as the specification suggests: ten attempts in 75 h 35 min 5 s.
var schedule = []time.Duration{
	0, 5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
	10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

// Schedule returns the pause after so many failed attempts, with up to a tenth more so that what failed together does not
// come again together; false means that there are no more attempts.
func Schedule(failed int) (time.Duration, bool) {
	if failed >= len(schedule) {
		return 0, false
	}
	d := schedule[failed]
	return d + rand.N(d/10+1), true //nolint:gosec // it spreads load and is no secret
}

// azureHost is where Azure's machines reach their host's services: an internal address that looks like a public one, and
// therefore is in no registry.
var azureHost = netip.MustParsePrefix("168.63.129.16/32")

// Sender sends webhooks.
type Sender struct {
	signers []*standardwebhooks.Webhook
	client  *http.Client
}

// New returns a sender that signs with every one of the secrets. allowPrivate lets it reach loopback and private addresses,
// for development.
func New(secrets []Secret, allowPrivate bool) (*Sender, error) {
	if len(secrets) == 0 {
		return nil, errors.New("no webhook secret: an event must be signed")
	}
	var signers []*standardwebhooks.Webhook
	for _, secret := range secrets {
		signer, err := standardwebhooks.NewWebhookRaw(secret)
		if err != nil {
			return nil, fmt.Errorf("use a webhook secret: %w", err)
		}
		signers = append(signers, signer)
	}
	dialer := &net.Dialer{Timeout: requestTimeout}
	if !allowPrivate {
		// Asked at each dial, after the name was resolved: a name that changes its address does not get around it.
		dialer.Control = ssrf.New(ssrf.WithAnyPort(), ssrf.WithDeniedV4Prefixes(azureHost)).Safe
	}
	return &Sender{
		signers: signers,
		client: &http.Client{
			Timeout: requestTimeout,
			// A redirect is a failure: it may lead anywhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				// No proxy: it would dial for us, unguarded.
				Proxy:                  nil,
				DialContext:            dialer.DialContext,
				DisableKeepAlives:      true,
				MaxResponseHeaderBytes: maxAnswer,
			},
		},
	}, nil
}

// Failure is an attempt that did not reach the receiver or was refused by it.
type Failure struct {
	// Reason is fit to be shown to the backend's operator.
	Reason string
	// RetryAfter is what the receiver asked for; 0 if nothing.
	RetryAfter time.Duration
	// Gone means that the receiver wants no more (410).
	Gone bool
	err  error
}

func (f *Failure) Error() string { return f.Reason }
func (f *Failure) Unwrap() error { return f.err }

// Send posts an event once. id is the same on every attempt, now is the attempt's own time. The error is a [*Failure].
func (s *Sender) Send(ctx context.Context, url, id string, now time.Time, body []byte) error {
	signature, err := s.sign(id, now, body)
	if err != nil {
		return &Failure{Reason: "the event could not be signed", err: err}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return &Failure{Reason: "the webhook URL is not usable", err: err}
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Weir-Webhook/1")
	r.Header.Set(standardwebhooks.HeaderWebhookID, id)
	r.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	r.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)

	response, err := s.client.Do(r)
	if err != nil {
		return &Failure{Reason: reason(err), err: err}
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, maxAnswer)
	if response.StatusCode >= 200 && response.StatusCode < 300 {
		return nil
	}
	return &Failure{
		Reason:     fmt.Sprintf("the receiver answered %s", response.Status),
		RetryAfter: retryAfter(response.Header.Get("Retry-After"), now),
		Gone:       response.StatusCode == http.StatusGone,
	}
}

// sign lists one signature for each secret: a receiver that knows any of them accepts.
func (s *Sender) sign(id string, now time.Time, body []byte) (string, error) {
	var list []string
	for _, signer := range s.signers {
		signature, err := signer.Sign(id, now, body)
		if err != nil {
			return "", err
		}
		list = append(list, signature)
	}
	return strings.Join(list, " "), nil
}

func reason(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, ssrf.ErrProhibitedIP), errors.Is(err, ssrf.ErrProhibitedNetwork):
		return "the webhook URL leads to a private address: use a public one"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "the receiver did not answer in time"
	default:
		return "the receiver could not be reached"
	}
}

// retryAfter reads the header in either of its forms (RFC 9110, section 10.2.3).
func retryAfter(value string, now time.Time) time.Duration {
	var d time.Duration
	if seconds, err := strconv.Atoi(value); err == nil && seconds < int(maxRetryAfter/time.Second) {
		d = time.Duration(seconds) * time.Second
	} else if err == nil {
		d = maxRetryAfter
	} else if date, err := http.ParseTime(value); err == nil {
		d = date.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}
