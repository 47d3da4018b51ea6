package chaos

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"weir/deploy/local"
)

func TestAMutantThatDoesNotFitIsAnError(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "a.go"), []byte("one two two"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, file, old string
	}{
		{"the text is not there", "a.go", "three"},
		{"the text is there twice", "a.go", "two"},
		{"the file is not there", "b.go", "one"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := mutant{edits: []edit{{c.file, c.old, "new"}}}.overlay(root)
			if !errors.Is(err, errMutation) {
				t.Errorf("error %v", err)
			}
		})
	}
	overlay, err := mutant{edits: []edit{{"a.go", "one", "1"}, {"a.go", "1 two", "2"}}}.overlay(root)
	if err != nil || string(overlay["a.go"]) != "2 two" {
		t.Errorf("two edits of a file: %q, %v", overlay["a.go"], err)
	}
}

// The mutants themselves take minutes; that each still fits the code, and has a fault run, is seen at once.
func TestMutantsFitTheCode(t *testing.T) {
	root, err := local.Root()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutants {
		if _, err := m.overlay(root); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
		if !slices.Contains(Parts(), m.part) {
			t.Errorf("%s: there is no fault run %q", m.name, m.part)
		}
	}
}
