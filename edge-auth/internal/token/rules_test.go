package token_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"weir/edge-auth/internal/token"
)

func ruled(t testing.TB, rules string) (token.Claims, error) {
	t.Helper()
	return keys(t).Verify(compactOf(header, `{"sub":"videos/abc","exp":1800000001,"accessRules":`+rules+`}`), now)
}

func TestTheFirstRuleThatMatchesDecides(t *testing.T) {
	const (
		germany  = `{"type":"ip.geoip.country","action":"allow","country":["DE","AT"]}`
		office   = `{"type":"ip.src","action":"allow","ip":["192.0.2.0/24","2001:db8::/32","203.0.113.7"]}`
		bad      = `{"type":"ip.src","action":"block","ip":["192.0.2.66"]}`
		abroad   = `{"type":"ip.geoip.country","action":"block","country":["CH"]}`
		site     = `{"type":"origin","action":"allow","origin":["https://example.com","http://localhost:8080"]}`
		no       = `{"type":"any","action":"block"}`
		yes      = `{"type":"any","action":"allow"}`
		everyone = `{"type":"ip.src","action":"block","ip":["0.0.0.0/0","::/0"]}`
	)
	for _, c := range []struct {
		rules  string
		client token.Client
		want   bool
	}{
		{"", token.Client{}, true},
		{no, token.Client{}, false},
		{yes + "," + no, token.Client{}, true},
		{germany + "," + no, token.Client{Country: "AT"}, true},
		{germany + "," + no, token.Client{Country: "CH"}, false},
		{germany + "," + no, token.Client{}, false},
		{germany, token.Client{Country: "CH"}, true}, // no rule matches
		{office + "," + no, token.Client{IP: "192.0.2.255"}, true},
		{office + "," + no, token.Client{IP: "192.0.3.0"}, false},
		{office + "," + no, token.Client{IP: "2001:db8:ffff::1"}, true},
		{office + "," + no, token.Client{IP: "2001:db9::"}, false},
		{office + "," + no, token.Client{IP: "203.0.113.7"}, true},
		{office + "," + no, token.Client{IP: "203.0.113.8"}, false},
		{bad + "," + office + "," + no, token.Client{IP: "192.0.2.66"}, false},
		{office + "," + bad, token.Client{IP: "192.0.2.66"}, true},
		{everyone, token.Client{IP: "198.51.100.1"}, false},
		{everyone, token.Client{IP: "2001:db8::1"}, false},
		{abroad, token.Client{Country: "CH"}, false},
		{abroad, token.Client{Country: "DE"}, true},
		// What is not known may be what is blocked, and is not what is allowed.
		{everyone, token.Client{}, false},
		{bad, token.Client{IP: "unknown"}, false},
		{abroad, token.Client{IP: "192.0.2.1"}, false},
		{yes + "," + abroad, token.Client{}, true},
		{germany + "," + abroad, token.Client{}, false},
		{office, token.Client{}, true},
		{site + "," + no, token.Client{Origin: "https://example.com"}, true},
		{site + "," + no, token.Client{Origin: "https://example.com.evil.test"}, false},
		{site + "," + no, token.Client{Origin: "http://localhost:8080"}, true},
		{site + "," + no, token.Client{}, false},
	} {
		claims, err := ruled(t, "["+c.rules+"]")
		if err != nil {
			t.Fatalf("%s: %v", c.rules, err)
		}
		if got := claims.Admits(c.client); got != c.want {
			t.Errorf("[%s] lets %+v in: %v", c.rules, c.client, got)
		}
	}
}

func TestRulesThatAreNotUnderstoodAreRefused(t *testing.T) {
	for _, rules := range []string{
		`{}`, `null`, `"any"`, `[1]`, `[{}]`, `[{"type":"any"}]`, `[{"action":"block"}]`,
		`[{"type":"any","action":"deny"}]`, `[{"type":"ANY","action":"block"}]`, `[{"type":"asn","action":"block"}]`,
		`[{"type":"any","action":"block","country":["DE"]}]`,
		`[{"type":"ip.src","action":"block"}]`, `[{"type":"ip.src","action":"block","ip":[]}]`,
		`[{"type":"ip.src","action":"block","ip":"192.0.2.0/24"}]`, `[{"type":"ip.src","action":"block","ip":[1]}]`,
		`[{"type":"ip.src","action":"block","ip":["192.0.2.1/24"]}]`,
		`[{"type":"ip.geoip.country","action":"block","country":["de"]}]`, `[{"type":"ip.geoip.country","action":"block","country":["DEU"]}]`,
		`[{"type":"origin","action":"allow","origin":["example.com"]}]`, `[{"type":"origin","action":"allow","origin":["https://example.com/"]}]`,
		`[{"type":"origin","action":"allow","origin":["https://Example.com"]}]`,
		`[` + strings.Repeat(`{"type":"any","action":"allow"},`, 16) + `{"type":"any","action":"allow"}]`,
	} {
		if _, err := ruled(t, rules); token.Reason(err) != `its "accessRules" are not rules that the edge knows` {
			t.Errorf("%s: %v", rules, err)
		}
	}
}

// Addresses and blocks are read as package netip reads them.
func TestNetworksAreThoseOfNetip(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	parsed, inside := 0, 0
	for range 20_000 {
		block, address := randomNetwork(random), randomAddress(random)
		prefix, err := netip.ParsePrefix(block)
		if a, addrErr := netip.ParseAddr(block); addrErr == nil && a.Zone() == "" {
			prefix, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		valid := err == nil && prefix == prefix.Masked() && !prefix.Addr().Is4In6()
		claims, err := ruled(t, fmt.Sprintf(`[{"type":"ip.src","action":"block","ip":[%q]}]`, block))
		if prefix.Addr().Is4In6() {
			continue // netip tells the two spellings apart
		}
		if (err == nil) != valid {
			t.Fatalf("block %q: %v, but for netip it is valid: %v", block, err, valid)
		}
		if !valid {
			continue
		}
		parsed++
		ip, err := netip.ParseAddr(address)
		want := err != nil || ip.Zone() != "" || prefix.Contains(ip.Unmap()) // what is no address may be any
		if err == nil && want {
			inside++
		}
		if blocked := !claims.Admits(token.Client{IP: address}); blocked != want {
			t.Fatalf("%q is in %q: %v, for netip %v", address, block, blocked, want)
		}
	}
	if parsed < 2000 || inside < 200 {
		t.Errorf("only %d blocks were valid, and %d addresses in them", parsed, inside)
	}
}

// randomAddress writes an address in one of its forms, or something like one.
func randomAddress(r *rand.Rand) string {
	var a netip.Addr
	if r.IntN(2) == 0 {
		a = netip.AddrFrom4([4]byte{10, byte(r.IntN(2)), byte(r.IntN(2) * 255), byte(r.IntN(4))})
	} else {
		a = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 5: byte(r.IntN(2)), 11: byte(r.IntN(2)), 15: byte(r.IntN(3))})
	}
	text := a.String()
	switch r.IntN(6) {
	case 0:
		text = a.StringExpanded()
	case 1:
		text = strings.ToUpper(text)
	case 2:
		text = strings.Replace(text, ":0:", "::", 1)
	case 3:
		at := r.IntN(len(text))
		text = text[:at] + string(":.:0f9/% "[r.IntN(9)]) + text[at+r.IntN(2):]
	case 4:
		if a.Is6() {
			text = "2001:db8::10.0.0." + fmt.Sprint(r.IntN(300))
		}
	}
	return text
}

func randomNetwork(r *rand.Rand) string {
	address := randomAddress(r)
	a, err := netip.ParseAddr(address)
	if err != nil || r.IntN(4) == 0 {
		return address
	}
	bits := r.IntN(a.BitLen() + 2)
	if p, err := a.Prefix(bits); err == nil && r.IntN(4) > 0 {
		address = p.Addr().String()
	}
	return address + "/" + []string{"", "0"}[r.IntN(10)/9] + fmt.Sprint(bits)
}

func TestAKindNarrowsAToken(t *testing.T) {
	for text, want := range map[string]token.Kind{`"playlist"`: token.Playlist, `"thumbnail"`: token.Thumbnail, `"key"`: token.Key} {
		claims, err := keys(t).Verify(compactOf(header, `{"sub":"a","exp":1800000001,"kind":`+text+`}`), now)
		if err != nil || claims.Kind != want {
			t.Errorf("kind %s: %q, %v", text, claims.Kind, err)
		}
	}
}
