// Command rootfs lays out the files of the container image; deploy/Dockerfile runs it on the Debian where FFmpeg was built.
//
//	rootfs --root DIR --version V --source NAME@VERSION --scripts FILE PROGRAM…
//
// DIR gets the programs, the libraries that they are linked with, certificates, the user that they run as, and the licences of all of it;
// and it gets to know what it is: a bill of materials (sbom.go), and a file a Debian package, where scanners look for packages in images
// that have no package manager.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

const (
	// bill is where the bill of materials is in the image.
	bill = "usr/share/doc/weir/sbom.cdx.json"
	// certificates are what TLS trusts.
	certificates = "/etc/ssl/certs/ca-certificates.crt"
)

// accounts are for programs that ask who they are.
var accounts = map[string]string{
	"etc/passwd": "root:x:0:0:root:/:/nonexistent\nweir:x:65532:65532:weir:/data:/nonexistent\n",
	"etc/group":  "root:x:0:\nweir:x:65532:\n",
}

// merged are the folders that Debian has under /usr, and their old names.
var merged = []string{"bin", "lib", "lib64"}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "rootfs:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("rootfs", flag.ContinueOnError)
	root := flags.String("root", "", "the folder to lay out")
	version := flags.String("version", "devel", "the version of Weir")
	source := flags.String("source", "", "NAME@VERSION of what was built from source beside the packages")
	scripts := flags.String("scripts", "", "the file that says what the player of the page for people is made of, licences.txt")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *root == "" || flags.NArg() == 0 {
		return errors.New("usage: rootfs --root DIR [--version V] [--source NAME@VERSION] [--scripts FILE] PROGRAM…")
	}
	for _, name := range merged {
		if err := os.MkdirAll(filepath.Join(*root, "usr", name), 0o755); err != nil {
			return err
		}
		if err := os.Symlink("usr/"+name, filepath.Join(*root, name)); err != nil {
			return err
		}
	}
	for name, text := range accounts {
		if err := write(filepath.Join(*root, name), text); err != nil {
			return err
		}
	}
	files := map[string]string{certificates: certificates} // where each is to be, and where it is
	for _, program := range flags.Args() {
		files["/usr/bin/"+filepath.Base(program)] = program
		libraries, err := libraries(program)
		if err != nil {
			return err
		}
		for _, l := range libraries {
			files[l] = l
		}
	}
	for _, to := range slices.Sorted(maps.Keys(files)) {
		if err := install(files[to], filepath.Join(*root, to)); err != nil {
			return err
		}
	}
	packages, err := owners(slices.Collect(maps.Values(files)))
	if err != nil {
		return err
	}
	for _, p := range packages {
		if err := write(filepath.Join(*root, "var/lib/dpkg/status.d", p.Name), p.Stanza+"\n"); err != nil {
			return err
		}
		licence := filepath.Join("usr/share/doc", p.Name, "copyright")
		if err := install("/"+licence, filepath.Join(*root, licence)); err != nil {
			return err
		}
	}
	player, err := modules(*scripts)
	if err != nil {
		return err
	}
	text, err := sbom(*version, *source, packages, player, flags.Args())
	if err != nil {
		return err
	}
	return write(filepath.Join(*root, bill), text)
}

// install copies a file, not a link to it, with its mode.
func install(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}

func write(name, text string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(text), 0o644)
}
