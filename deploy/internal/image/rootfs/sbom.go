package main

import (
	"bytes"
	"debug/buildinfo"
	"fmt"
	"net/url"
	"runtime/debug"
	"strings"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"
)

// sbom is the bill of materials of the image, in CycloneDX: the packages of Debian, what was built from source, and the modules of the
// programs that are in Go. It depends on nothing but these.
func sbom(version, source string, packages []debian, programs []string) (string, error) {
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
			parts = append(parts, component(cyclonedx.ComponentTypeLibrary, m.Path, m.Version, "pkg:golang/"+m.Path+"@"+escape(m.Version)))
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

// escape writes a part of a package URL: versions of Debian have colons and plus signs.
func escape(text string) string { return strings.ReplaceAll(url.PathEscape(text), "+", "%2B") }
