package docs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"weir/deploy/internal/port"
	"weir/deploy/internal/sample"
	"weir/deploy/internal/stack"
)

// limit is for all of a small video's life, on a slow machine with a cold build cache.
const limit = 5 * time.Minute

// The commands of api.md are run against a real Weir as they are written, its answers have the fields that it shows, and its programs mint
// tokens that the Worker takes.
func TestTheAPIIsAsItsPageSays(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	page := read("docs/api.md", file(t, "docs/api.md"))
	weir, err := stack.Start(ctx, stack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := weir.Stop(); err != nil {
			t.Error(err)
		}
	})
	video := filepath.Join(t.TempDir(), "intro.mp4")
	if err := (sample.Sample{Width: 320, Height: 180, Duration: 6 * time.Second, Rate: 15}).Make(ctx, video); err != nil {
		t.Fatal(err)
	}
	if err := weir.Upload(ctx, video, "uploads/intro.mp4"); err != nil {
		t.Fatal(err)
	}
	env := []string{"WEIR=" + weir.Cloud.URL, "API_KEY=" + weir.APIKey, "HOOK=" + weir.Hooks.URL, "TOKEN_KEY=" + weir.Cloud.TokenKey}

	commands := page.in("sh")
	if len(commands) != 4 {
		t.Fatalf("there are %d blocks of commands: post, follow, play, and what ends it were meant", len(commands))
	}
	tell := func(b block) {
		got, err := script(ctx, root(t), b.text, env...)
		if err != nil {
			t.Fatalf("docs/api.md:%d: %v\n%s", b.line, err, got)
		}
	}
	for _, b := range commands[:3] {
		tell(b)
	}
	if err := weir.Processed(ctx, "intro"); err != nil {
		t.Fatal(err)
	}
	master := weir.Cloud.URL + "/videos/intro/hls/master.m3u8"
	for _, p := range []*exec.Cmd{goProgram(t, page, "golang-jwt"), nodeProgram(t, page, "TOKEN_KEY")} {
		p.Env = append(os.Environ(), env...)
		token, err := p.Output()
		if err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		for text, want := range map[string]int{strings.TrimSpace(string(token)): 200, strings.TrimSpace(string(token)) + "x": 401} {
			if got, _ := ask(t, "GET", master, text); got != want {
				t.Errorf("%s: the Worker answers %d to its token, want %d", p, got, want)
			}
		}
	}
	shown := 0
	for _, b := range page.in("json") {
		request, found := strings.CutPrefix(b.note, "answer: ")
		if !found {
			continue
		}
		shown++
		method, path, _ := strings.Cut(request, " ")
		status, body := ask(t, method, weir.Cloud.URL+path, weir.APIKey)
		if status != 200 {
			t.Errorf("%s: %d %s", request, status, body)
		}
		report(t, differences(request, decode(t, []byte(b.text)), decode(t, body)))
	}
	if shown != 4 {
		t.Errorf("%d answers are shown", shown)
	}
	tell(commands[3])
}

// ask sends a request with a bearer.
func ask(t *testing.T, method, url, bearer string) (status int, body []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+bearer)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

func decode(t *testing.T, text []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

// differences are where an answer has other fields than is shown of it, or of another kind. Of a list, the first element is looked at.
func differences(where string, shown, got any) (problems []string) {
	switch s := shown.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return []string{fmt.Sprintf("%s is shown as an object and is %T", where, got)}
		}
		for name := range s {
			if _, ok := g[name]; !ok {
				problems = append(problems, where+" has no "+name)
				continue
			}
			problems = append(problems, differences(where+" "+name, s[name], g[name])...)
		}
		for name := range g {
			if _, ok := s[name]; !ok {
				problems = append(problems, where+" has "+name+", which is not shown")
			}
		}
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) == 0 != (len(s) == 0) {
			return []string{fmt.Sprintf("%s is shown as a list of %d and is %v", where, len(s), got)}
		}
		if len(s) > 0 {
			return differences(where+"[0]", s[0], g[0])
		}
	default:
		if shown, got := fmt.Sprintf("%T", shown), fmt.Sprintf("%T", got); shown != got {
			problems = append(problems, where+" is shown as "+shown+" and is "+got)
		}
	}
	return problems
}

func TestOtherFieldsAreNoticed(t *testing.T) {
	const shown = `{"a": 1, "b": [{"c": "x"}], "d": []}`
	for got, want := range map[string]int{
		`{"a": 2, "b": [{"c": ""}, {}], "d": []}`:        0,
		`{"b": [{"c": ""}], "d": []}`:                    1,
		`{"a": "2", "b": [{"c": ""}], "d": []}`:          1,
		`{"a": 2, "b": [{"c": ""}], "d": [], "e": null}`: 1,
		`{"a": 2, "b": [], "d": [1]}`:                    2,
		`[]`:                                             1,
	} {
		if problems := differences("it", decode(t, []byte(shown)), decode(t, []byte(got))); len(problems) != want {
			t.Errorf("%s: noticed %q, want %d", got, problems, want)
		}
	}
}

// goProgram builds the page's program in Go that has a text in it.
func goProgram(t *testing.T, page document, with string) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	source, binary := filepath.Join(dir, "main.go"), filepath.Join(dir, "program")
	if err := os.WriteFile(source, []byte(page.program(t, "go", with)), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, exec.CommandContext(t.Context(), "go", "build", "-o", binary, source))
	return exec.CommandContext(t.Context(), binary)
}

// nodeProgram is the page's program for Node that has a text in it.
func nodeProgram(t *testing.T, page document, with string) *exec.Cmd {
	t.Helper()
	source := filepath.Join(t.TempDir(), "main.mjs")
	if err := os.WriteFile(source, []byte(page.program(t, "js", with)), 0o600); err != nil {
		t.Fatal(err)
	}
	return exec.CommandContext(t.Context(), filepath.Join(root(t), "edge-auth", "node_modules", "node", "bin", "node"), source)
}

// program is the one block in a language that has a text in it.
func (d document) program(t *testing.T, language, with string) string {
	t.Helper()
	all := slices.DeleteFunc(d.in(language), func(b block) bool { return !strings.Contains(b.text, with) })
	if len(all) != 1 {
		t.Fatalf("%s has %d programs in %s with %s", d.name, len(all), language, with)
	}
	return all[0].text
}

// The receivers of api.md take what is signed, and refuse what was changed on the way.
func TestReceiversBelieveWhatIsSigned(t *testing.T) {
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="
	signer, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	page := read("docs/api.md", file(t, "docs/api.md"))
	for name, receiver := range map[string]*exec.Cmd{
		"Go":   goProgram(t, page, "standardwebhooks"),
		"Node": nodeProgram(t, page, "WEBHOOK_SECRET"),
	} {
		t.Run(name, func(t *testing.T) {
			listen, err := port.Free(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			address := net.JoinHostPort("127.0.0.1", strconv.Itoa(listen))
			receiver.Env = append(os.Environ(), "WEBHOOK_SECRET="+secret, "LISTEN="+address)
			if err := receiver.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _, _ = receiver.Process.Kill(), receiver.Wait() })
			body := []byte(`{"type":"video.playable","video_id":"größe"}`)
			now := time.Now()
			signature, err := signer.Sign("evt_1", now, body)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range []struct {
				name      string
				signature string
				at        time.Time
				body      []byte
				want      int
			}{
				{"as it was signed", signature, now, body, 200},
				{"with a second signature", "v1,AAAA " + signature, now, body, 200},
				{"with another body", signature, now, []byte("{}"), 401},
				{"at another time", signature, now.Add(-time.Minute), body, 401},
				{"without a signature", "", now, body, 401},
			} {
				if got := deliver(t, "http://"+address+"/hook", c.signature, c.at, c.body); got != c.want {
					t.Errorf("%s: %d, want %d", c.name, got, c.want)
				}
			}
			old := now.Add(-time.Hour)
			if signature, err = signer.Sign("evt_1", old, body); err != nil {
				t.Fatal(err)
			}
			if got := deliver(t, "http://"+address+"/hook", signature, old, body); got != 401 {
				t.Errorf("from an hour ago: %d, want 401", got)
			}
		})
	}
}

// deliver posts an event and waits for the receiver to listen, if it does not yet.
func deliver(t *testing.T, url, signature string, at time.Time, body []byte) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for {
		r, err := http.NewRequestWithContext(ctx, "POST", url, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Webhook-Id", "evt_1")
		r.Header.Set("Webhook-Timestamp", strconv.FormatInt(at.Unix(), 10))
		r.Header.Set("Webhook-Signature", signature)
		resp, err := http.DefaultClient.Do(r)
		if err == nil {
			_ = resp.Body.Close()
			return resp.StatusCode
		}
		var refused *net.OpError
		if !errors.As(err, &refused) || refused.Op != "dial" {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
