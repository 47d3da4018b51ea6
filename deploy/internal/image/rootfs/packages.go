package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// dpkg is where Debian's package manager keeps what it knows.
const dpkg = "/var/lib/dpkg"

// debian is a package that is installed.
type debian struct {
	Name, Version, Architecture string
	Stanza                      string // all that is known of it
}

// owners are the packages that some of the files are of, by their names. A file that is of none was built.
func owners(files []string) ([]debian, error) {
	wanted := map[string]bool{}
	for _, f := range files {
		wanted[usr(f)] = true
		if real, err := filepath.EvalSymlinks(f); err == nil { // a library's soname is a link
			wanted[usr(real)] = true
		}
	}
	lists, err := filepath.Glob(filepath.Join(dpkg, "info", "*.list"))
	if err != nil || len(lists) == 0 {
		return nil, fmt.Errorf("no packages in %s: this is no Debian", dpkg)
	}
	names := map[string]bool{certificatesPackage: true} // its file is made when it is installed
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			if wanted[usr(strings.TrimSpace(line))] {
				name, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(list), ".list"), ":")
				names[name] = true
			}
		}
	}
	return stanzas(names)
}

const certificatesPackage = "ca-certificates"

// usr is the name of a file where /bin, /lib and /lib64 are links into /usr; packages may have the old one.
func usr(path string) string {
	for _, name := range merged {
		if strings.HasPrefix(path, "/"+name+"/") {
			return "/usr" + path
		}
	}
	return path
}

// stanzas reads what is known of packages.
func stanzas(names map[string]bool) ([]debian, error) {
	text, err := os.ReadFile(filepath.Join(dpkg, "status"))
	if err != nil {
		return nil, err
	}
	var all []debian
	for stanza := range strings.SplitSeq(string(text), "\n\n") {
		p := debian{Stanza: strings.TrimSpace(stanza)}
		installed := false
		for line := range strings.Lines(stanza) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			switch name {
			case "Package":
				p.Name = value
			case "Version":
				p.Version = value
			case "Architecture":
				p.Architecture = value
			case "Status":
				installed = strings.HasSuffix(value, " installed")
			}
		}
		if names[p.Name] && installed {
			all = append(all, p)
			delete(names, p.Name)
		}
	}
	if len(names) > 0 {
		return nil, fmt.Errorf("%s/status does not know %v", dpkg, names)
	}
	slices.SortFunc(all, func(a, b debian) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}
