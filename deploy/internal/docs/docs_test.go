package docs_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"weir/deploy/local"
)

// document is one page.
type document struct {
	name   string // its path in the checkout
	prose  string // without the blocks of code, and with as many lines
	blocks []block
}

// block is a fenced block of code.
type block struct {
	language string
	text     string
	line     int
	note     string // of the comment on the line before it: <!-- note -->
}

// read takes a page apart.
func read(name, text string) document {
	d := document{name: name}
	var prose strings.Builder
	var open *block
	last := ""
	for i, line := range strings.Split(text, "\n") {
		language, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && open == nil:
			note, _ := strings.CutPrefix(strings.TrimSuffix(last, " -->"), "<!-- ")
			open = &block{language: language, line: i + 1}
			if note != last {
				open.note = note
			}
		case fence:
			d.blocks = append(d.blocks, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		default:
			prose.WriteString(line)
		}
		prose.WriteString("\n")
		last = line
	}
	d.prose = prose.String()
	return d
}

// root is the checkout's folder.
func root(t *testing.T) string {
	t.Helper()
	dir, err := local.Root()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// file is a file of the checkout.
func file(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// documents are README.md and all of docs/.
func documents(t *testing.T) (all []document) {
	t.Helper()
	pages, err := filepath.Glob(filepath.Join(root(t), "docs", "*.md"))
	if err != nil || len(pages) < 5 {
		t.Fatalf("docs/ has %v: %v", pages, err)
	}
	for _, name := range append([]string{"README.md"}, under(t, pages)...) {
		all = append(all, read(name, file(t, name)))
	}
	return all
}

// under makes paths those in the checkout.
func under(t *testing.T, paths []string) (names []string) {
	t.Helper()
	for _, p := range paths {
		name, err := filepath.Rel(root(t), p)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, filepath.ToSlash(name))
	}
	return names
}

// sources are the programs' own files, by their paths, without tests and without this package.
func sources(t *testing.T) map[string]string {
	t.Helper()
	return files(t, func(name string) bool {
		ext := filepath.Ext(name)
		return !strings.HasSuffix(name, "_test.go") && (ext == ".go" || ext == ".mjs" || ext == ".http")
	})
}

// files are those of the three programs that are wanted.
func files(t *testing.T, wanted func(name string) bool) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, program := range []string{"transcoder", "edge-auth", "deploy"} {
		err := filepath.WalkDir(filepath.Join(root(t), program), func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if e.IsDir() && slices.Contains([]string{"node_modules", "public", "docs"}, e.Name()) {
				return filepath.SkipDir
			}
			if name := under(t, []string{path})[0]; !e.IsDir() && wanted(name) {
				text, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				all[name] = string(text)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// joined is all of the texts.
func joined(texts map[string]string) string {
	var all strings.Builder
	for _, text := range texts {
		all.WriteString(text)
	}
	return all.String()
}

// find is a regular expression's matches in each line of a text: of its group, with the line's number in front.
func find(expression *regexp.Regexp, text string) (found []string, lines []int) {
	for i, line := range strings.Split(text, "\n") {
		for _, m := range expression.FindAllStringSubmatch(line, -1) {
			found, lines = append(found, m[1]), append(lines, i+1)
		}
	}
	return found, lines
}

// problem is what is wrong in a document, and where.
func (d document) problem(line int, format string, values ...any) string {
	return fmt.Sprintf("%s:%d: ", d.name, line) + fmt.Sprintf(format, values...)
}

// report fails the test with each problem.
func report(t *testing.T, problems []string) {
	t.Helper()
	for _, p := range problems {
		t.Error(p)
	}
}
