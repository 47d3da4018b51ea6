package setup

import (
	"fmt"
	"slices"
	"strings"
)

// Scope is what the machine is to be able to do.
type Scope int

const (
	// Page is to build what the page for people loads.
	Page Scope = iota
	// Demo is to build and to run everything.
	Demo
	// Tests is Demo, the players of the tests, a browser and mpv, and Prometheus.
	Tests
)

// machine is what inspect found.
type machine struct {
	apt, root, sudo bool

	ffmpeg     []string // what is wrong with ffmpeg, as words: "the ffprobe program", "the flite filter"
	font       bool     // drawtext finds a font
	chromium   bool
	mpv        bool
	prometheus bool // and promtool
	gcc        bool
	npm        bool
	tinygo     bool     // a fit TinyGo is on the PATH or in the cache
	llvm       []string // packages that are missing to build TinyGo
	wasmOpt    bool     // wasm-opt, which TinyGo runs at the end and does not bring
	packages   bool     // edge-auth/node_modules is what the lock file says
}

// action is what a step does after its packages are installed.
type action int

const (
	nothingMore action = iota
	buildTinyGo
	installNode
	unpackPrometheus
)

type step struct {
	name    string
	install []string // Debian packages
	unpack  string   // one that is not installed
	action  action
}

// plan decides the steps, in order. The error says what a person has to do where set-up may not.
func plan(m machine, scope Scope) ([]step, error) {
	var steps []step
	add := func(missing bool, s step) {
		if missing {
			steps = append(steps, s)
		}
	}
	add(len(m.ffmpeg) > 0 && scope >= Demo, step{
		name:    "install ffmpeg (missing: " + strings.Join(m.ffmpeg, ", ") + ")",
		install: []string{"ffmpeg"},
	})
	add(!m.font && len(m.ffmpeg) == 0 && scope >= Demo, step{name: "install a font for the sample's clock", install: []string{"fonts-dejavu-core"}})
	add(!m.chromium && scope == Tests, step{name: "install chromium, in which the tests play videos", install: []string{"chromium"}})
	add(!m.mpv && scope == Tests, step{name: "install mpv, in which they play as well", install: []string{"mpv"}})
	add(!m.gcc && scope == Tests, step{name: "install gcc, with which the race detector is linked", install: []string{"gcc", "libc6-dev"}})
	add(!m.prometheus && scope == Tests, step{
		// Installed, it would be a service, which starts at once.
		name:   "unpack prometheus, which runs the rules and the dashboard's queries",
		unpack: "prometheus", action: unpackPrometheus,
	})
	add(!m.npm, step{name: "install npm", install: []string{"npm"}})
	add(!m.tinygo && scope >= Demo, step{
		name:    "build TinyGo " + tinyGoVersion + " (the compiler of the Worker)",
		install: m.llvm, action: buildTinyGo,
	})
	add(!m.wasmOpt && scope >= Demo, step{name: "install binaryen, whose wasm-opt TinyGo runs", install: []string{"binaryen"}})
	add(!m.packages, step{name: "fetch wrangler, its Node and the players of pages into edge-auth/node_modules", action: installNode})

	var wanted []string
	for _, s := range steps {
		wanted = append(wanted, s.install...)
		if s.unpack != "" {
			wanted = append(wanted, s.unpack)
		}
	}
	slices.Sort(wanted)
	wanted = slices.Compact(wanted)
	switch {
	case len(wanted) == 0, m.apt && (m.root || m.sudo):
		return steps, nil
	case m.apt:
		return nil, fmt.Errorf("set-up needs Debian packages, and may not install them: run as root: apt-get update && apt-get install --yes %s",
			strings.Join(wanted, " "))
	default:
		return nil, fmt.Errorf("set-up needs packages, and this system has no apt-get: install by hand what Debian calls %s%s",
			strings.Join(wanted, ", "), because(m))
	}
}

// because adds what exactly ffmpeg lacks: a self-built one may be there without a filter.
func because(m machine) string {
	if len(m.ffmpeg) == 0 {
		return ""
	}
	return " (of ffmpeg this is missing: " + strings.Join(m.ffmpeg, ", ") + ")"
}

// hint says where to look when a step was done and did not help.
func hint(m machine) string {
	if len(m.ffmpeg) > 0 {
		return "another ffmpeg comes first on the PATH; put Debian's (/usr/bin) before it"
	}
	return "run the step by hand to see why"
}
