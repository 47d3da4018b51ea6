// Command edge-auth is the Worker's Wasm module. It only exports functions to worker.mjs, which calls them in
// this order: reserve and configure once; then, for each request, reserve and decide, and after each fetch
// reserve and respond. What they mean is in internal/gate, what the bytes mean in internal/wire.
//
// The module imports nothing: no clock, no randomness, no IO. Between two calls it keeps its keys and two
// buffers.
package main

import (
	"slices"
	"unsafe"

	"weir/edge-auth/internal/gate"
	"weir/edge-auth/internal/wire"
)

var edge *gate.Gate

// The buffers are kept and only ever grow: the collector, which looks for addresses in whatever may be one,
// would let many a large piece of garbage live.
var (
	input  []byte // what the shim is about to write, or has written
	output []byte // what the shim is about to read
)

// main is never called: the module is a library.
func main() {}

// reserve gives the address of size bytes for the shim to write the next message to.
//
//go:wasmexport reserve
func reserve(size int32) unsafe.Pointer {
	input = slices.Grow(input[:0], int(size))[:size]
	return unsafe.Pointer(unsafe.SliceData(input))
}

// configure takes the secret TOKEN_KEYS from the reserved bytes.
//
//go:wasmexport configure
func configure() {
	tokenKeys, ok := wire.ReadSecret(input)
	if !ok {
		panic("configure: the shim wrote something else than one field")
	}
	edge = gate.New(tokenKeys)
}

// decide takes a request from the reserved bytes and gives the size of the first step.
//
//go:wasmexport decide
func decide() int32 {
	request, now, ok := wire.ReadRequest(input)
	if !ok {
		panic("decide: the shim wrote something else than a request")
	}
	return result(edge.Decide(request, now))
}

// respond takes a fetch and its outcome from the reserved bytes and gives the size of the next step.
//
//go:wasmexport respond
func respond() int32 {
	request, fetch, object, ok := wire.ReadReply(input)
	if !ok {
		panic("respond: the shim wrote something else than a reply")
	}
	return result(gate.Respond(request, fetch, object))
}

// step gives the address of the step that decide or respond gave the size of.
//
//go:wasmexport step
func step() unsafe.Pointer {
	return unsafe.Pointer(unsafe.SliceData(output))
}

func result(s gate.Step) int32 {
	output = wire.AppendStep(output[:0], s)
	return int32(len(output))
}
