package token

import (
	"strings"

	"weir/edge-auth/internal/decimal"
)

// ip is an IPv6 address, or an IPv4 address as IPv6 writes it (::ffff:a.b.c.d, RFC 4291 section 2.5.5.2).
//
// Package net/netip would do the same, and make the Wasm module larger by a fifth.
type ip [16]byte

// network is a block of addresses.
type network struct {
	base ip
	bits int // of base that count, 0 to 128
}

// mapped is how many bits of an IPv4 address say that it is one.
const mapped = 96

func (n network) contains(a ip) bool {
	whole := n.bits / 8
	if a.isIPv4() != n.base.isIPv4() || string(a[:whole]) != string(n.base[:whole]) {
		return false
	}
	rest := n.bits % 8
	return rest == 0 || (a[whole]^n.base[whole])>>(8-rest) == 0
}

func (a ip) isIPv4() bool { return [mapped / 8]byte(a[:]) == [mapped / 8]byte{10: 0xff, 11: 0xff} }

// parseNetwork reads an address, or a block of them in CIDR notation (RFC 4632 section 3.1) whose host bits are 0.
func parseNetwork(text string) (network, bool) {
	address, length, isBlock := strings.Cut(text, "/")
	base, ok := parseIP(address)
	if !ok {
		return network{}, false
	}
	n, most := network{base: base, bits: 128}, 128
	if !strings.Contains(address, ":") {
		most = 32
	}
	if isBlock {
		bits, ok := number(length, int64(most))
		if !ok {
			return network{}, false
		}
		n.bits = 128 - most + int(bits)
	}
	for i := n.bits; i < 128; i++ {
		if base[i/8]>>(7-i%8)&1 != 0 {
			return network{}, false
		}
	}
	return n, true
}

// parseIP reads an address in dotted decimal or as RFC 4291 section 2.2 writes it, without a zone.
func parseIP(text string) (ip, bool) {
	var a ip
	if !strings.Contains(text, ":") {
		a[10], a[11] = 0xff, 0xff
		ok := parseIPv4(text, a[mapped/8:]) // not in the return: whether a is read before or after it is not specified, and TinyGo's is before
		return a, ok
	}
	head, tail, elided := strings.Cut(text, "::")
	front, okFront := parseGroups(head)
	back, okBack := parseGroups(tail)
	switch {
	case !okFront, !okBack, elided && strings.Contains(head, "."):
		return ip{}, false
	case elided && len(front)+len(back) > 14, !elided && len(front) != 16:
		return ip{}, false
	}
	copy(a[:], front)
	copy(a[16-len(back):], back)
	return a, true
}

// parseGroups reads groups of four hexadecimal digits between colons; the last may be an IPv4 address.
func parseGroups(text string) (bytes []byte, ok bool) {
	if text == "" {
		return nil, true
	}
	for {
		group, rest, more := strings.Cut(text, ":")
		if !more && strings.Contains(group, ".") {
			var v4 [4]byte
			ok := parseIPv4(group, v4[:])
			return append(bytes, v4[:]...), ok && len(bytes) <= 12
		}
		n, ok := hexadecimal(group)
		if !ok || len(bytes) == 16 {
			return nil, false
		}
		bytes = append(bytes, byte(n>>8), byte(n))
		if !more {
			return bytes, true
		}
		text = rest
	}
}

func parseIPv4(text string, into []byte) bool {
	for i := range 4 {
		part, rest, more := strings.Cut(text, ".")
		n, ok := number(part, 255)
		if !ok || more != (i < 3) {
			return false
		}
		into[i], text = byte(n), rest
	}
	return true
}

// number reads a number without leading zeros.
func number(digits string, most int64) (n int64, ok bool) {
	n, ok = decimal.Parse(digits)
	return n, ok && n <= most && (digits[0] != '0' || len(digits) == 1)
}

func hexadecimal(digits string) (n int, ok bool) {
	if digits == "" || len(digits) > 4 {
		return 0, false
	}
	for _, c := range []byte(digits) {
		switch {
		case '0' <= c && c <= '9':
			n = n<<4 | int(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			n = n<<4 | int(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return n, true
}
