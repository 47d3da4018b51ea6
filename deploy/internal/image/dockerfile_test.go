package image_test

import (
	"go/version"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{"..", "..", ".."}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// enabled are the parts of a kind that the image's FFmpeg is built with by name.
func enabled(t *testing.T, kind string) []string {
	t.Helper()
	dockerfile := read(t, "deploy", "Dockerfile")
	if !strings.Contains(dockerfile, "--disable-"+kind+"s ") {
		t.Errorf("the image's FFmpeg has every %s", kind)
	}
	var names []string
	for _, m := range regexp.MustCompile(`--enable-`+kind+`=(\S+)`).FindAllStringSubmatch(dockerfile, -1) {
		names = append(names, strings.Split(m[1], ",")...)
	}
	if len(names) == 0 {
		t.Fatalf("the image's FFmpeg has no %s", kind)
	}
	return names
}

// named are what the arguments of FFmpeg name, by kind. They are those of the builders' golden files, and those that are written out in the
// sources beside.
func named(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	add := func(kind string, names ...string) {
		for _, name := range names {
			if name != "copy" && !slices.Contains(all[kind], name) {
				all[kind] = append(all[kind], name)
			}
		}
	}
	for _, golden := range []string{"arguments.txt", "codecs.txt"} {
		lines := strings.Split(read(t, "transcoder", "internal", "encode", "testdata", golden), "\n")
		format := ""
		for i, line := range lines[:len(lines)-1] {
			switch next := lines[i+1]; line {
			case "-f":
				format = next
			case "-i":
				add("demuxer", format)
				format = ""
			case "-protocol_whitelist":
				add("protocol", strings.Split(next, ",")...)
			case "-c:v", "-c:a", "-c:s":
				add("encoder", next)
			case "-movflags":
				add("muxer", format)
			}
			if strings.HasPrefix(line, "[0:") {
				add("filter", filters(line)...)
			}
		}
	}
	for _, folder := range []string{"encode", "probe", "ffmpeg"} {
		files, err := filepath.Glob(filepath.Join("..", "..", "..", "transcoder", "internal", folder, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no sources in %s: %v", folder, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range []struct{ kind, pattern string }{
				{"encoder", `"-c:[va]", "(\w+)"`},
				{"encoder", `\bcodec := "(\w+)"`},
				{"encoder", `\{job\.\w+, "(\w+)"`},
				{"encoder", `VideoEncoder = "(\w+)"`},
				{"demuxer", `PipedArgs\("(\w+)"\)`},
				{"demuxer", `return "(\w+)"(?:\n|, err|, nil)`},
				{"muxer", `"-f", "(\w+)"`},
				{"protocol", `"-protocol_whitelist", "([\w,]+)"`},
			} {
				if p.pattern[0] == 'r' && filepath.Base(file) != "sniff.go" && filepath.Base(file) != "frames.go" {
					continue
				}
				for _, m := range regexp.MustCompile(p.pattern).FindAllStringSubmatch(string(text), -1) {
					add(p.kind, strings.Split(m[1], ",")...)
				}
			}
			// Graphs are written as formats, whose texts begin with a filter or have it behind a comma, a semicolon or a label.
			for _, m := range regexp.MustCompile("\"((?:[^\"\\\\\n]|\\\\.)*)\"").FindAllStringSubmatch(string(text), -1) {
				if folder == "encode" && filepath.Base(file) != "codecs.go" && regexp.MustCompile(`^(\[[^\]]*\]|;|,)*([a-z]+=[%'\w-]|;\[\w+\][a-z]+$)`).MatchString(m[1]) {
					add("filter", filters(m[1])...)
				}
			}
		}
	}
	return all
}

var filterName = regexp.MustCompile(`^(?:\[[^\]]*\])*([a-z]+)(?:=.*)?$`)

// filters are those of a graph.
func filters(graph string) []string {
	graph = regexp.MustCompile(`'[^']*'`).ReplaceAllString(graph, "")
	var names []string
	for _, part := range strings.FieldsFunc(graph, func(r rune) bool { return r == ',' || r == ';' }) {
		part = regexp.MustCompile(`(\[[^\]]*\])+$`).ReplaceAllString(part, "")
		if m := filterName.FindStringSubmatch(part); m != nil {
			names = append(names, m[1])
		}
	}
	return names
}

// What the transcoder asks of FFmpeg is in the image, and nothing is there that it does not ask for.
func TestTheImagesFFmpegIsTheOneThatIsUsed(t *testing.T) {
	wanted := named(t)
	for kind, least := range map[string]int{"encoder": 7, "muxer": 5, "demuxer": 13, "protocol": 3, "filter": 20} {
		has := enabled(t, kind)
		if kind == "demuxer" { // the flag has the name of the source file
			for i, name := range has {
				if name == "mpegps" {
					has[i] = "mpeg"
				}
			}
		}
		slices.Sort(wanted[kind])
		slices.Sort(has)
		if len(wanted[kind]) < least {
			t.Errorf("the arguments name only these %ss: %v", kind, wanted[kind])
		}
		for _, name := range wanted[kind] {
			if !slices.Contains(has, name) {
				t.Errorf("the transcoder uses the %s %s, which the image's FFmpeg is not built with", kind, name)
			}
		}
		for _, name := range has {
			if !slices.Contains(wanted[kind], name) {
				t.Errorf("the image's FFmpeg is built with the %s %s, which nobody names", kind, name)
			}
		}
	}
}

func TestTheImageIsBuiltWithAGoThatTheModuleTakes(t *testing.T) {
	m := regexp.MustCompile(`ARG GO_VERSION=(\S+)`).FindStringSubmatch(read(t, "deploy", "Dockerfile"))
	module := regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(read(t, "go.mod"))
	if m == nil || module == nil {
		t.Fatal("no version of Go")
	}
	if has, wants := "go"+m[1], "go"+module[1]; version.Compare(has, wants) < 0 || version.Lang(has) != version.Lang(wants) {
		t.Errorf("the image is built with %s, and go.mod wants %s", has, wants)
	}
}

func TestTheImageIsForNobodyInParticular(t *testing.T) {
	dockerfile := read(t, "deploy", "Dockerfile")
	for _, want := range []string{
		"\nUSER 65532:65532\n", "\nSTOPSIGNAL SIGTERM\n", "\nVOLUME /data\n", `CMD ["transcoder", "healthcheck"]`, "\nCMD [\"transcoder\"]\n", "sha256sum --check",
	} {
		if !strings.Contains(dockerfile, want) {
			t.Errorf("the Dockerfile has no %q", want)
		}
	}
	versions := regexp.MustCompile(`ARG FFMPEG_VERSION=(\S+)`).FindAllStringSubmatch(dockerfile, -1)
	for _, v := range versions {
		if v[1] != versions[0][1] {
			t.Errorf("the Dockerfile names two versions of FFmpeg: %s and %s", v[1], versions[0][1])
		}
	}
}

// The context of the build has all packages of the image's programs, and the Dockerfile takes nothing that is not there.
func TestTheContextHasWhatTheProgramsAreMadeOf(t *testing.T) {
	var copied []string
	for _, m := range regexp.MustCompile(`(?m)^COPY ([\w./ -]+) \S+$`).FindAllStringSubmatch(read(t, "deploy", "Dockerfile"), -1) {
		copied = append(copied, strings.Fields(m[1])...)
	}
	within := func(folders []string, path string) bool {
		return slices.ContainsFunc(folders, func(f string) bool { return path == f || strings.HasPrefix(path, f+"/") })
	}
	var let []string
	for line := range strings.Lines(read(t, "deploy", "Dockerfile.dockerignore")) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "!"); ok {
			let = append(let, path)
		}
	}
	for _, path := range copied {
		if !within(let, path) {
			t.Errorf("the Dockerfile copies %s, which is not in its context", path)
		}
	}
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "./transcoder", "./edge-auth/weir", "./deploy/internal/image/rootfs")
	list.Dir = filepath.Join("..", "..", "..")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := 0
	for line := range strings.Lines(string(out)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "weir/"); ok {
			packages++
			if !within(copied, path) {
				t.Errorf("the Dockerfile does not copy %s, which a program imports", path)
			}
		}
	}
	if packages < 20 {
		t.Errorf("the programs have only %d packages", packages)
	}
}
