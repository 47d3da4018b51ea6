package docs_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// step is a command of the documents, and who runs it: this package, CI itself, or another test. Where nobody can, reason says why,
// and other tests hold what can be held.
type step struct {
	command string // how it begins
	run     func(t *testing.T, line string)
	ci      string // the line of .ci/run, or of a task that this runs
	test    string // folder and name of a test that does the same
	reason  string
}

// walk is all that a newcomer is told to type, in the documents' blocks and as tasks.
var walk = []step{
	{command: "go tool task setup", ci: "go tool task setup"},
	{command: "go tool task lint", ci: "go tool task lint"},
	{command: "go tool task test", ci: "go tool task test"},
	{command: "go tool task wasm", ci: "- task: wasm"}, // the first thing that the tests do
	{command: "go tool task demo", test: "deploy/internal/demo TestRunLeavesWithAResult"},
	{command: "go tool task dev", test: "deploy/internal/demo TestDevRunsUntilItIsToldToEnd"},
	{command: "go tool task build", run: builds},
	{command: "go tool task plan", run: prints("to add: ", "--", "--offline")},
	{command: "go tool task check", run: prints("usage: deploy COMMAND", "--", "--help")},
	{command: "export CLOUDFLARE_ACCOUNT_ID=", test: "deploy TestADeploymentFromNothingAndBack", reason: "needs an account; the test has the API in memory"},
	{command: "go tool task deploy", test: "deploy TestADeploymentFromNothingAndBack", reason: "needs an account; the test has the API in memory"},
	{command: "go tool task deploy:destroy", test: "deploy TestADeploymentFromNothingAndBack", reason: "needs an account; the test has the API in memory"},
	{command: "go tool task deploy:rotate-keys", test: "deploy/internal/rotate TestNoViewerIsRefused", reason: "needs an account; the test has the real Worker"},
	{command: "go tool task deploy:verify-local", run: prints(`"failed":0,"job":{`)},
	{command: "go tool task verify", test: "deploy TestVerifyTakesAVideoThrough", reason: "needs a deployment; the test has one on this machine"},
	{command: "go tool task chaos", test: "deploy/internal/chaos TestWeirKeepsItsPromises", reason: "takes an hour and a half; the test takes minutes"},
	{command: "go tool task fuzz", test: "edge-auth/internal/token TestCampaignVerdictsEqualGolangJWT", reason: "as the test, but longer"},
	{command: "go tool task fuzz:media", test: "transcoder/internal/encode TestDamagedFilesEndWithAVerdict", reason: "as the test, but longer"},
	{command: "go tool task bench", test: "deploy/internal/bench/picture TestShortRunCompares", reason: "takes an hour and a half"},
	{command: "go tool task bench:engine", test: "deploy/internal/bench TestShortRunMeasures", reason: "takes long"},
	{command: "go tool task bench:edge", test: "deploy/internal/bench/edge TestShortRunMeasures", reason: "takes long"},
	{command: "go tool task image", test: "deploy/internal/image TestTheImagesFFmpegIsTheOneThatIsUsed", reason: "needs Docker or Podman, and compiles FFmpeg"},
	{command: "go tool task image:verify", test: "deploy/internal/stack TestWithoutTheWorker", reason: "needs the image; the test has its programs without it"},
	{command: "curl ", test: "deploy/internal/docs TestTheAPIIsAsItsPageSays"},
	{command: "openssl rand 32 ", run: shell},
	{command: "k=$(openssl rand 32 ", run: shell},
	{command: `echo "{\"keys\":`, run: shell},
}

// prints runs a task and looks at what it says.
func prints(want string, args ...string) func(*testing.T, string) {
	return func(t *testing.T, line string) {
		name := strings.Fields(line)[3]
		got := run(t, exec.CommandContext(t.Context(), "go", append([]string{"tool", "task", name}, args...)...))
		if !strings.Contains(got, want) {
			t.Errorf("%s does not say %q: %s", line, want, got)
		}
	}
}

// builds runs what the task would, but into a folder of its own, and with the paths that are in the cache already: without them, all of
// the dependencies are compiled once more, for minutes.
func builds(t *testing.T, line string) {
	m := regexp.MustCompile(`\n  build:\n.*\n    cmds: \[(go build .*-o bin/ .*)\]`).FindStringSubmatch(file(t, "Taskfile.yml"))
	if m == nil {
		t.Fatalf("%s: the Taskfile does not say what it builds", line)
	}
	dir := t.TempDir()
	shell(t, strings.NewReplacer(" -trimpath", "", "-o bin/", "-o "+dir).Replace(m[1])+" && ls "+dir)
}

// shell runs a line by itself; k is what the line before it sets.
func shell(t *testing.T, line string) {
	got := run(t, exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", "k=${k-}; "+line))
	if !strings.Contains(line, "k=") && strings.TrimSpace(got) == "" {
		t.Errorf("%s prints nothing", line)
	}
}

// run runs a command in the checkout and returns what it prints.
func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	cmd.Dir = root(t)
	got, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", cmd, err, got)
	}
	return string(got)
}

// told are the commands that documents tell: the lines of their shell blocks, and the tasks that they name anywhere.
func told(all []document) (commands []string) {
	for _, d := range all {
		names, _ := find(task, d.prose)
		for _, name := range names {
			commands = append(commands, "go tool task "+name)
		}
		for _, b := range d.blocks {
			if b.language != "sh" {
				continue
			}
			for line := range strings.Lines(strings.ReplaceAll(b.text, "\\\n", " ")) {
				line, _, _ = strings.Cut(line, "  #")
				commands = append(commands, strings.TrimSpace(line))
			}
		}
	}
	slices.Sort(commands)
	return slices.DeleteFunc(slices.Compact(commands), func(c string) bool { return c == "" })
}

// taken finds the step that a command is.
func taken(command string) (step, bool) {
	var best step
	for _, s := range walk {
		after, found := strings.CutPrefix(command, s.command)
		whole := !strings.HasPrefix(s.command, "go tool task ") || after == "" || after[0] == ' '
		if found && whole && len(s.command) > len(best.command) {
			best = s
		}
	}
	return best, best.command != ""
}

func TestANewcomersWalk(t *testing.T) {
	commands := told(documents(t))
	if len(commands) < len(walk) {
		t.Errorf("only %d commands were found", len(commands))
	}
	ci := file(t, ".ci/run") + file(t, "Taskfile.yml")
	walked := map[string]bool{}
	for _, command := range commands {
		s, ok := taken(command)
		if !ok {
			t.Errorf("nobody runs what the documents tell to run: %s\nAdd it to the list in walk_test.go, with how it is tested.", command)
			continue
		}
		walked[s.command] = true
		if s.ci != "" && !regexp.MustCompile(`(?m)^\s*(?:if ! )?`+regexp.QuoteMeta(s.ci)).MatchString(ci) {
			t.Errorf("CI does not run %s", s.ci)
		}
		if folder, name, found := strings.Cut(s.test, " "); found && !isTest(t, folder, name) {
			t.Errorf("%s: there is no %s in %s", command, name, folder)
		}
		if s.ci == "" && s.test == "" && s.run == nil {
			t.Errorf("%s: nobody runs it", command)
		}
		if s.run != nil {
			t.Run(command, func(t *testing.T) { s.run(t, command) })
		}
	}
	for _, s := range walk {
		if !walked[s.command] {
			t.Errorf("no document tells to run %q any more", s.command)
		}
	}
}

func isTest(t *testing.T, folder, name string) bool {
	t.Helper()
	texts, err := filepath.Glob(filepath.Join(root(t), folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(texts, func(path string) bool {
		text, err := os.ReadFile(path)
		return err == nil && strings.Contains(string(text), "\nfunc "+name+"(")
	})
}

func TestWhatNobodyRunsIsNoticed(t *testing.T) {
	d := read("x.md", "Say `go tool task fly`.\n\n```sh\ngo tool task demo  # or another\ncp a \\\n  b\n```\n\n```json\n{}\n```\n")
	got := told([]document{d})
	if strings.Join(got, ";") != "cp a    b;go tool task demo;go tool task fly" {
		t.Fatalf("told %q", got)
	}
	for command, want := range map[string]bool{
		"cp a    b": false, "go tool task demo": true, "go tool task demo -- x": true, "go tool task fly": false, "go tool task benchmark": false,
		"go tool task bench:edge": true,
	} {
		if s, ok := taken(command); ok != want {
			t.Errorf("%s: taken as %q", command, s.command)
		}
	}
}

// in gives a page's blocks in a language.
func (d document) in(language string) (all []block) {
	return slices.DeleteFunc(slices.Clone(d.blocks), func(b block) bool { return b.language != language })
}

// script runs a block of shell commands.
func script(ctx context.Context, dir, text string, env ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", text)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	return cmd.CombinedOutput()
}
