// Command deploy is the operator's program: it sets a machine up and runs Weir on it.
//
//	deploy setup                     install what is missing to run and to test Weir
//	deploy wasm                      build the Worker's module
//	deploy demo [--exit] [VIDEO]     show one video, from the upload to the player
//	deploy dev                       run everything, without a video
//	deploy image                     build the container image
//	deploy image-verify [VIDEO]      show one video with the transcoder of the image
//	deploy plan [--offline]          tell what a Cloudflare account lacks of a deployment
//	deploy apply                     bring the account to that, the Worker included
//	deploy rotate-keys               change the key that signs tokens, while people watch
//	deploy destroy [--data]          take it down, once its name was typed
//	deploy verify [--url URL]        hold a deployment to the Worker's specification
//	deploy verify-local              the same with a whole job, of everything on this machine
//	deploy check URL                 hold a published video to Apple's rules and to RFC 8216
//	deploy chaos                     break it as machines break, and see what it keeps
//	deploy bench                     measure how quick it is, how it scales and what it needs
//	deploy bench-picture             compare it with the command lines that people write
//	deploy bench-edge                measure what the Worker takes
//
// Flags come before operands. It ends with 0, with 2 if it was called wrongly, and with 1 if something failed.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
