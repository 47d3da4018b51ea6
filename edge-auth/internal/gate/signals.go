package gate

import (
	"strings"

	"weir/edge-auth/internal/cmcd"
)

// maxPoints is how many reports a player may send at once, and maxSaid how many bytes they may have.
const maxPoints, maxSaid = 16, 16 << 10

// Point is what is recorded of a player's request, or of an event that it reports.
type Point struct {
	VideoID string
	Status  int // of the answer; 0 for an event
	Country string
	cmcd.Report
}

// record notes what the player said with a request that was answered.
func (a *Answer) record(r Request, f Fetch, videoID string) {
	if f.CMCD == "" || a.Status >= 400 {
		return
	}
	if report, ok := cmcd.Parse(f.CMCD); ok {
		a.Points = []Point{{videoID, a.Status, r.Country, report}}
	}
}

// beacon takes a player's reports, one a line.
func beacon(r Request, o Object, videoID string) Answer {
	switch o.Outcome {
	case Found:
	case NoSuchPart:
		return failure(r, 413, "too_large", "Send fewer reports at once: at most 16, and 16 KB.")
	default:
		return failure(r, 400, "unreadable", "The request's body did not arrive. Send it again.")
	}
	a := Answer{Status: 204, Body: NoBody, Headers: []Header{{"Cache-Control", "no-store"}}}
	for text := string(o.Body); text != "" && len(a.Points) < maxPoints; {
		line, rest, _ := strings.Cut(text, "\n")
		if report, ok := cmcd.Parse(strings.TrimSpace(line)); ok {
			a.Points = append(a.Points, Point{videoID, 0, r.Country, report})
		}
		text = rest
	}
	if len(a.Points) == 0 {
		return failure(r, 400, "no_reports", "Send reports as CTA-5004 has them: key-value pairs with commas between them, a report a line.")
	}
	return a
}
