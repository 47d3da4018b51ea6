package main

import (
	"bytes"
	"debug/buildinfo"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"
)

// sbom is the bill of materials of the image, in CycloneDX: the packages of Debian, what was built from source, the packages
// of npm that the player is made of, and the modules of the programs that are in Go. It depends on nothing but these.
func sbom(version, source string, packages []debian, player []npm, programs []string) (string, error) {
	component := func(kind cyclonedx.ComponentType, name, version, purl string) cyclonedx.Component {
		return cyclonedx.Component{Type: kind, BOMRef: purl, Name: name, Version: version, PackageURL: purl}
	}
	var parts []cyclonedx.Component
	for _, p := range packages {
		parts = append(parts, component(cyclonedx.ComponentTypeLibrary, p.Name, p.Version,
			fmt.Sprintf("pkg:deb/debian/%s@%s?arch=%s", escape(p.Name), escape(p.Version), p.Architecture)))
	}
	if name, version, ok := strings.Cut(source, "@"); ok {
		parts = append(parts, component(cyclonedx.ComponentTypeApplication, name, version, "pkg:generic/"+source))
	}
	for _, p := range player {
		parts = append(parts, component(cyclonedx.ComponentTypeLibrary, p.name, p.version, "pkg:npm/"+p.name+"@"+escape(p.version)))
	}
	for _, program := range programs {
		info, err := buildinfo.ReadFile(program)
		if err != nil {
			continue // it is not in Go
		}
		modules := append([]*debug.Module{{Path: "stdlib", Version: strings.TrimPrefix(info.GoVersion, "go")}}, info.Deps...)
		for _, m := range modules {
			if m.Replace != nil {
				m = m.Replace
			}
			part := component(cyclonedx.ComponentTypeLibrary, m.Path, m.Version, "pkg:golang/"+m.Path+"@"+escape(m.Version))
			if !slices.ContainsFunc(parts, func(c cyclonedx.Component) bool { return c.BOMRef == part.BOMRef }) {
				parts = append(parts, part) // programs share modules
			}
		}
	}
	weir := component(cyclonedx.ComponentTypeContainer, "weir", version, "pkg:generic/weir@"+escape(version))
	bom := cyclonedx.NewBOM()
	bom.Metadata = &cyclonedx.Metadata{Component: &weir}
	bom.Components = &parts
	var text bytes.Buffer
	err := cyclonedx.NewBOMEncoder(&text, cyclonedx.BOMFileFormatJSON).SetPretty(true).Encode(bom)
	return text.String(), err
}

// npm is a package of npm's.
type npm struct{ name, version string }

// moduleLine is one of licences.txt, as its first part has them: the package's name, its version, and its licence.
var moduleLine = regexp.MustCompile(`(?m)^  ([a-z][a-z0-9.-]*) +(\d+\.\d+\.\d+) +\S`)

// modules reads what a player is made of from its licences.txt; no file is no player.
func modules(file string) (all []npm, err error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for _, m := range moduleLine.FindAllStringSubmatch(string(text), -1) {
		all = append(all, npm{m[1], m[2]})
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s does not say what the player is made of", file)
	}
	return all, nil
}

// escape writes a part of a package URL: versions of Debian have colons and plus signs.
func escape(text string) string { return strings.ReplaceAll(url.PathEscape(text), "+", "%2B") }
