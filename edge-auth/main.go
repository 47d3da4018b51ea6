// Command edge-auth is the Worker's Wasm module. It only exports functions to worker.mjs, which calls them in
// this order: configure once; then decide for each request, and respond after each fetch. What they mean is in internal/gate, what
// the bytes mean in internal/wire. For each message about an upload it is intake, which internal/intake explains. Each takes the
// size of a message, which lies where reserve said.
//
// The module imports nothing: no clock, no randomness, no IO. Between two calls it keeps its settings, the
// tokens that it has verified, and two buffers.
package main

import (
	"slices"
	"unsafe"

	"weir/edge-auth/internal/gate"
	"weir/edge-auth/internal/intake"
	"weir/edge-auth/internal/object"
	"weir/edge-auth/internal/wire"
)

var edge *gate.Gate

// The buffers are kept and only ever grow: the collector, which looks for addresses in whatever may be one,
// would let many a large piece of garbage live.
var (
	input  []byte // what the shim is about to write, or has written
	output []byte // what the shim is about to read

	textSize int
)

// main is never called: the module is a library.
func main() {}

// reserve gives the address of size bytes for the shim to write messages to, this one and later ones.
//
//go:wasmexport reserve
func reserve(size int32) unsafe.Pointer {
	input = slices.Grow(input[:0], int(size))[:size]
	return unsafe.Pointer(unsafe.SliceData(input))
}

// configure takes the settings.
//
//go:wasmexport configure
func configure(size int32) {
	config, ok := wire.ReadConfig(input[:size])
	if !ok {
		panic("configure: the shim wrote something else than the settings")
	}
	edge = gate.New(config)
}

// decide takes a request and gives the size of the first step's fields.
//
//go:wasmexport decide
func decide(size int32) int32 {
	request, now, ok := wire.ReadRequest(input[:size])
	if !ok {
		panic("decide: the shim wrote something else than a request")
	}
	return result(edge.Decide(request, now))
}

// respond takes a fetch and its outcome and gives the size of the next step's fields.
//
//go:wasmexport respond
func respond(size int32) int32 {
	request, fetch, object, now, ok := wire.ReadReply(input[:size])
	if !ok {
		panic("respond: the shim wrote something else than a reply")
	}
	return result(edge.Respond(request, fetch, object, now))
}

// keep takes an object's key and stored Cache-Control and gives the size of a step that says how a cache behind the gate is to keep
// the object.
//
//go:wasmexport keep
func keep(size int32) int32 {
	key, stored, ok := wire.ReadKeep(input[:size])
	if !ok {
		panic("keep: the shim wrote something else than an object's")
	}
	output, textSize = wire.AppendKeep(output[:0], object.ClassOf(key).Kept(stored)), 0
	return int32(len(output))
}

// unanswered takes the terms of a request and gives the size of the fields of the answer that says that the transcoder gave none.
//
//go:wasmexport unanswered
func unanswered(size int32) int32 {
	request, ok := wire.ReadTerms(input[:size])
	if !ok {
		panic("unanswered: the shim wrote something else than the terms of a request")
	}
	return result(gate.Unanswered(request))
}

// takeIn takes a notification, and what it has led to so far, and gives the size of the next step.
//
//go:wasmexport intake
func takeIn(size int32) int32 {
	n, s, sent, reply, ok := wire.ReadIntake(input[:size])
	if !ok {
		panic("intake: the shim wrote something else than a notification")
	}
	s.Transcoder = edge.Transcoder()
	output, textSize = wire.AppendIntake(output[:0], n, s, intake.Next(n, s, sent, reply)), 0
	return int32(len(output))
}

// step gives the address of the step that the last of these functions gave the size of.
//
//go:wasmexport step
func step() unsafe.Pointer {
	return unsafe.Pointer(unsafe.SliceData(output))
}

// text gives the size of the answer's text, which is behind the step's fields.
//
//go:wasmexport text
func text() int32 { return int32(textSize) }

func result(s gate.Step) int32 {
	output, textSize = wire.AppendStep(output[:0], s)
	return int32(len(output) - textSize)
}
