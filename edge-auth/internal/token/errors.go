package token

import "errors"

// The ways in which a token is refused. A player can cure ErrExpired with a new token; the others are faults
// of whoever made the token, or attacks.
var (
	ErrMalformed   = errors.New("malformed token")
	ErrUnknownKey  = errors.New("unknown key")
	ErrSignature   = errors.New("bad signature")
	ErrExpired     = errors.New("expired token")
	ErrNotYetValid = errors.New("token not yet valid")
)

// Error is a refusal: its kind, one of the values above, and the reason as the end of a sentence whose
// subject is the token ("it has expired"). The reason repeats nothing from the token.
type Error struct {
	Kind   error
	Reason string
}

func (e *Error) Error() string { return e.Kind.Error() + ": " + e.Reason }

// Unwrap makes errors.Is find the kind.
func (e *Error) Unwrap() error { return e.Kind }

func refuse(kind error, reason string) *Error {
	return &Error{Kind: kind, Reason: reason}
}

// Reason is the reason of a refusal that err is, or "".
func Reason(err error) string {
	var e *Error
	if !errors.As(err, &e) {
		return ""
	}
	return e.Reason
}
