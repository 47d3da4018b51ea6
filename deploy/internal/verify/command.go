package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
)

// ErrFailed is a deployment that does something else than the script says.
var ErrFailed = errors.New("the Worker is not as specified")

// Load reads where the deployment is from the environment, with the names that the transcoder uses, and names every problem at
// once. site stands in for PUBLIC_URL, unless it is "".
func Load(getenv func(string) string, site string) (Target, error) {
	var problems []error
	required := func(name, what string) string {
		value := getenv(name)
		if value == "" {
			problems = append(problems, fmt.Errorf("%s is missing: %s", name, what))
		}
		return value
	}
	if site == "" {
		site = required("PUBLIC_URL", "the Worker's URL (or --url)")
	}
	site = strings.TrimSuffix(site, "/")
	if u, ok := parseURL(site); site != "" && (!ok || site != u.Scheme+"://"+u.Host) {
		problems = append(problems, fmt.Errorf("the Worker's URL must be like https://video.example.com, without a path, not %q", site))
	}
	endpoint := required("R2_ENDPOINT", "the bucket's S3 endpoint, https://ACCOUNT.r2.cloudflarestorage.com")
	if _, ok := parseURL(endpoint); endpoint != "" && !ok {
		problems = append(problems, errors.New("R2_ENDPOINT must be an absolute http(s) URL"))
	}
	bucket := OpenS3(endpoint, required("R2_BUCKET", "the bucket's name"),
		required("R2_ACCESS_KEY_ID", "of an R2 API token that may write to the bucket"),
		required("R2_SECRET_ACCESS_KEY", "the same token's secret"))
	target := Target{URL: site, Bucket: bucket}
	if text := required("TOKEN_KEY", "the JSON Web Key that signs playback tokens, one of the Worker's TOKEN_KEYS"); text != "" {
		var err error
		if target.Key, err = ParseKey(text); err != nil {
			problems = append(problems, fmt.Errorf("TOKEN_KEY: %w", err))
		}
	}
	return target, errors.Join(problems...)
}

func parseURL(text string) (*url.URL, bool) {
	u, err := url.Parse(text)
	return u, err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

// Command runs the specification of the Worker against a deployment and, unless it is nil, a whole job. It prints a line a section,
// failures in full, and RESULT as the last line. A failure is [ErrFailed].
func Command(ctx context.Context, target Target, job *Job, out io.Writer) error {
	script, err := Edge()
	if err != nil {
		return err
	}
	return command(ctx, target, script, job, out)
}

func command(ctx context.Context, target Target, script Script, job *Job, out io.Writer) error {
	var result struct {
		Checks int        `json:"checks"`
		Failed int        `json:"failed"`
		Job    *JobResult `json:"job,omitempty"`
	}
	var section struct {
		heading        string
		checks, failed int
		failures       string
	}
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format, args...) }
	flush := func() {
		if section.checks > 0 {
			say("%-54s %3d of %3d\n%s", section.heading, section.checks-section.failed, section.checks, section.failures)
		}
		section.checks, section.failed, section.failures = 0, 0, ""
	}
	err := Run(ctx, target, script, func(r Result) {
		if r.Section != section.heading {
			flush()
			section.heading = r.Section
		}
		result.Checks++
		section.checks++
		if r.Failure != "" {
			result.Failed++
			section.failed++
			section.failures += "\n" + r.Failure + "\n"
		}
	})
	flush()
	if err != nil {
		return err
	}
	if job != nil {
		done, err := job.Run(ctx, NewID())
		if err != nil {
			return fmt.Errorf("a whole job: %w", err)
		}
		say("%-54s playable after %.1f s, processed after %.1f s, %d segments, %.1f MB\n", "A whole job", done.PlayableS, done.ProcessedS, done.Segments, float64(done.Bytes)/1e6)
		result.Job = &done
	}
	line, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	say("RESULT %s\n", line)
	if result.Failed > 0 {
		return fmt.Errorf("%w: %d of %d checks failed, see above", ErrFailed, result.Failed, result.Checks)
	}
	return nil
}
