// Package docs has no code but its tests: what README.md and docs/ say is held to what is so.
//
// Links lead somewhere; tasks, settings, codes, messages and tests that are named are there; sums come out; commands and
// programs run, or are in a list that says who runs them. Each check is itself tried on a document that is wrong. Start with
// docs_test.go, which reads the documents; walk_test.go is a newcomer who runs what they say.
package docs
