package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading  = regexp.MustCompile(`(?m)^#+ (.*)$`)
	task     = regexp.MustCompile(`go tool task ([a-z]+(?:[:-][a-z]+)*)`)
	code     = regexp.MustCompile("`([^`]+)`")
	setting  = regexp.MustCompile(`^([A-Z][A-Z0-9_]{2,})(?:=.*)?$`)
	snake    = regexp.MustCompile(`^[a-z]+(?:_[a-z]+)+$`)
	testName = regexp.MustCompile(`^(?:Test|Fuzz|Benchmark)[A-Z]\w*$`)
	program  = regexp.MustCompile(`^(?:transcoder|edge-auth|deploy)(?:/[a-z0-9-]+)*$`)
)

// links finds relative links that lead nowhere. headings are those of each page, as fragments.
func links(d document, exists func(path string) bool, headings map[string][]string) (problems []string) {
	targets, lines := find(link, d.prose)
	for i, target := range targets {
		if strings.Contains(target, "://") {
			continue
		}
		path, fragment, _ := strings.Cut(target, "#")
		page := d.name
		if path != "" {
			page = filepath.ToSlash(filepath.Join(filepath.Dir(d.name), path))
		}
		switch {
		case !exists(page):
			problems = append(problems, d.problem(lines[i], "the link %s leads to no file", target))
		case fragment != "" && !slices.Contains(headings[page], fragment):
			problems = append(problems, d.problem(lines[i], "the link %s leads to no heading", target))
		}
	}
	return problems
}

// fragments are a page's headings as links name them.
func fragments(d document) (all []string) {
	for _, m := range heading.FindAllStringSubmatch(d.prose, -1) {
		kept := strings.Map(func(c rune) rune {
			if c == ' ' {
				return '-'
			}
			if strings.ContainsRune("`.,:;()!?'\"/&+·", c) {
				return -1
			}
			return c
		}, strings.ToLower(m[1]))
		all = append(all, kept)
	}
	return all
}

// spans calls see with each piece of code in the prose.
func (d document) spans(see func(text string, line int)) {
	texts, lines := find(code, d.prose)
	for i, text := range texts {
		see(text, lines[i])
	}
}

// tasks finds commands of `go tool task` that the Taskfile does not have.
func tasks(d document, there []string) (problems []string) {
	all := d.prose
	for _, b := range d.blocks {
		all += b.text
	}
	names, lines := find(task, all)
	for i, name := range names {
		if !slices.Contains(there, name) {
			problems = append(problems, d.problem(lines[i], "there is no task %q", name))
		}
	}
	return problems
}

// noSettings are words in capitals that are something else.
var noSettings = strings.Fields(`GET POST HEAD OPTIONS ERROR RESULT SIGTERM SIGKILL ENOSYS HTTP
	WEIR_JOB WEIR_FIRST WEIR_TASK WEIR_HOOK WEIR_SWEEP WEIR_DEAD NAME`)

// settings finds names in capitals that no program reads, and no command in the document.
func settings(d document, read func(name string) bool) (problems []string) {
	d.spans(func(text string, line int) {
		m := setting.FindStringSubmatch(text)
		if m == nil || slices.Contains(noSettings, m[1]) {
			return
		}
		used := slices.ContainsFunc(d.blocks, func(b block) bool { return b.language == "sh" && strings.Contains(b.text, "$"+m[1]) })
		if !used && !read(m[1]) {
			problems = append(problems, d.problem(line, "no program reads %s", m[1]))
		}
	})
	return problems
}

// words finds codes and fields, which are written with underscores, that the sources do not have.
func words(d document, source string) (problems []string) {
	d.spans(func(text string, line int) {
		if snake.MatchString(text) && !regexp.MustCompile(`\b`+text+`\b`).MatchString(source) {
			problems = append(problems, d.problem(line, "no program knows %s", text))
		}
	})
	return problems
}

// commands begin texts of several words that are no messages.
var commands = []string{"go tool task ", "wrangler ", "nats ", "jetstream "}

// messages finds quoted messages, which are three words or more, that no program says. An ellipsis stands for anything.
func messages(d document, source string) (problems []string) {
	d.spans(func(text string, line int) {
		if len(strings.Fields(text)) < 3 || slices.ContainsFunc(commands, func(c string) bool { return strings.HasPrefix(text, c) }) {
			return
		}
		for part := range strings.SplitSeq(text, "…") {
			if part = strings.Trim(part, " :"); !strings.Contains(source, part) {
				problems = append(problems, d.problem(line, "no program says %q", part))
			}
		}
	})
	return problems
}

// tests finds tests that are not in the package that was named last.
func tests(d document, there func(folder, name string) bool) (problems []string) {
	folder := ""
	d.spans(func(text string, line int) {
		if program.MatchString(text) {
			folder = text
		}
		if testName.MatchString(text) && !there(folder, text) {
			problems = append(problems, d.problem(line, "there is no %s in %q", text, folder))
		}
	})
	return problems
}

func TestLinksLeadSomewhere(t *testing.T) {
	all := documents(t)
	headings := map[string][]string{}
	for _, d := range all {
		headings[d.name] = fragments(d)
	}
	for _, d := range all {
		report(t, links(d, func(path string) bool {
			_, err := os.Stat(filepath.Join(root(t), path))
			return err == nil
		}, headings))
	}
}

func TestTasksAreThere(t *testing.T) {
	for _, d := range documents(t) {
		report(t, tasks(d, taskfile(t)))
	}
}

// taskfile gives the names of the tasks.
func taskfile(t *testing.T) []string {
	t.Helper()
	_, text, _ := strings.Cut(file(t, "Taskfile.yml"), "\ntasks:\n")
	names, _ := find(regexp.MustCompile(`^  ([a-z]+(?:[:-][a-z]+)*):$`), text)
	return names
}

func TestSettingsAreRead(t *testing.T) {
	texts := sources(t)
	texts["wrangler.toml"] = file(t, "wrangler.toml")
	source := joined(texts)
	for _, d := range documents(t) {
		report(t, settings(d, func(name string) bool {
			return slices.ContainsFunc([]string{`"` + name + `"`, `"` + name + `=`, `env.` + name + ` `, `env.` + name + `?`, `{ ` + name + ` }`}, func(form string) bool {
				return strings.Contains(source, form)
			})
		}))
	}
}

// Whoever adds a setting says what it does.
func TestSettingsAreDocumented(t *testing.T) {
	names, _ := find(regexp.MustCompile(`(?:v\.(?:text|required|url|header)|getenv)\("([A-Z0-9_]+)"`), file(t, "transcoder/config.go")+file(t, "edge-auth/weir/config.go"))
	workers, _ := find(regexp.MustCompile(`\benv\.([A-Z_]+)\b`), file(t, "edge-auth/worker.mjs")+file(t, "edge-auth/module.mjs"))
	if len(names) < 30 || len(workers) < 5 {
		t.Fatalf("found %v and %v", names, workers)
	}
	bindings := []string{"BUCKET", "UPLOADS_DEAD"} // which wrangler.toml has
	readme := file(t, "README.md")
	for _, name := range append(names, workers...) {
		if !slices.Contains(bindings, name) && !strings.Contains(readme, "`"+name+"`") {
			t.Errorf("README.md does not say what %s does", name)
		}
	}
}

func TestCodesAndFieldsAreKnown(t *testing.T) {
	source := joined(sources(t))
	for _, d := range documents(t) {
		report(t, words(d, source))
	}
}

func TestMessagesAreSaid(t *testing.T) {
	source := joined(sources(t))
	report(t, messages(read("docs/operations.md", file(t, "docs/operations.md")), source))
}

func TestTestsAreThere(t *testing.T) {
	texts := files(t, func(name string) bool { return strings.HasSuffix(name, "_test.go") })
	there := func(folder, name string) bool {
		for path, text := range texts {
			if filepath.ToSlash(filepath.Dir(path)) == folder && strings.Contains(text, "\nfunc "+name+"(") {
				return true
			}
		}
		return false
	}
	for _, d := range documents(t) {
		report(t, tests(d, there))
	}
}

// A document in which all is wrong shows that each check can fail; one in which all is right, that it need not.
func TestTheChecksNotice(t *testing.T) {
	const text = "## A part, of it\n[a](x.md) [b](x.md#part) [c](#a-part-of-it) [d](https://example.com/none)\n" +
		"`go tool task build`, `SETTING=1`, `GET`, `some_code`, `the job … was done`, `deploy/internal/a`: `TestA`\n"
	d := read("docs/wrong.md", text)
	yes, no := func(string) bool { return true }, func(string) bool { return false }
	is := func(answer bool) func(string, string) bool { return func(string, string) bool { return answer } }
	headings := map[string][]string{"docs/x.md": {"part"}, "docs/wrong.md": fragments(d)}
	for name, got := range map[string]struct {
		wrong []string
		want  int
		right []string
	}{
		"links":    {links(d, no, nil), 3, links(d, yes, headings)},
		"headings": {links(d, yes, nil), 2, nil},
		"tasks":    {tasks(d, nil), 1, tasks(d, []string{"build"})},
		"settings": {settings(d, no), 1, settings(d, yes)},
		"words":    {words(d, "some_codec"), 1, words(d, `"some_code"`)},
		"messages": {messages(d, "the job was lost"), 1, messages(d, "the job x was done")},
		"tests":    {tests(d, is(false)), 1, tests(d, is(true))},
	} {
		if len(got.wrong) != got.want || len(got.right) != 0 {
			t.Errorf("%s: noticed %q, want %d; of what is right %q", name, got.wrong, got.want, got.right)
		}
	}
}
