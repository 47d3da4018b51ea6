// Package token verifies playback tokens: JWTs (RFC 7519) in compact form, signed with HS256 or Ed25519.
//
// Start at [ParseKeys], which reads the secret TOKEN_KEYS, and [Keys.Verify], which gives the claims of a
// token or an [*Error] that says why it is refused. The signature is checked before any claim is read, and
// the time is a parameter.
//
// The profile is strict: whatever two JWT libraries could read in two ways is refused. The refusals that go
// beyond golang-jwt are listed, with a witness for each, in this package's differential test, which holds
// the two to the same verdicts otherwise.
//
// The package never reads a clock, never does IO and never follows anything that a token names (jku, x5u,
// jwk): the key comes from the configuration, the token only says which.
package token
