package token

import (
	"slices"
	"strings"
)

// maxRules bounds the access rules of a token.
const maxRules = 16

// Client is what is known of whoever uses a token. What is not known is empty.
type Client struct {
	IP      string // as the network wrote it: the text of an IPv4 or IPv6 address
	Country string // ISO 3166-1 alpha-2
	Origin  string // of the page: scheme, host and port if it is not the scheme's, in lower case
}

// Rule is an access rule, in the terms of Cloudflare Stream's accessRules, with one type more:
//
//	{"type":"ip.geoip.country","action":"allow","country":["DE","AT"]}
//	{"type":"ip.src","action":"block","ip":["192.0.2.0/24","2001:db8::/32"]}
//	{"type":"origin","action":"allow","origin":["https://example.com"]}
//	{"type":"any","action":"block"}
type Rule struct {
	Allow bool

	any       bool
	countries []string
	networks  []network
	origins   []string
}

// Admits tells whether the access rules let a client in: the first rule that it matches decides. Without one, it is let in. An
// address or a country that is not known may be one that is blocked.
func (c Claims) Admits(client Client) bool {
	if len(c.Rules) == 0 {
		return true
	}
	ip, known := parseIP(client.IP)
	for _, r := range c.Rules {
		if !r.Allow && (len(r.countries) > 0 && client.Country == "" || len(r.networks) > 0 && !known) {
			return false
		}
		if r.any || slices.Contains(r.countries, client.Country) || slices.Contains(r.origins, client.Origin) ||
			known && slices.ContainsFunc(r.networks, func(n network) bool { return n.contains(ip) }) {
			return r.Allow
		}
	}
	return true
}

// parseRules reads the claim accessRules. A rule that is not understood is an error: it might be one that lets nobody in.
func parseRules(claim *value) ([]Rule, bool) {
	if claim == nil {
		return nil, true
	}
	if claim.kind != isArray || len(claim.members) > maxRules {
		return nil, false
	}
	var rules []Rule
	for i := range claim.members {
		rule, ok := parseRule(&claim.members[i])
		if !ok {
			return nil, false
		}
		rules = append(rules, rule)
	}
	return rules, true
}

func parseRule(v *value) (Rule, bool) {
	r := Rule{Allow: v.member("action").string() == "allow"}
	if !r.Allow && v.member("action").string() != "block" {
		return r, false
	}
	list, known := "", true
	switch v.member("type").string() {
	case "any":
		r.any = true
	case "ip.geoip.country":
		list = "country"
	case "ip.src":
		list = "ip"
	case "origin":
		list = "origin"
	default:
		known = false
	}
	for _, m := range v.members { // a list of another type would be overlooked
		known = known && (m.name == "type" || m.name == "action" || m.name == list)
	}
	if !known || list != "" && len(v.member(list).elements()) == 0 {
		return r, false
	}
	for _, e := range v.member(list).elements() {
		if !r.add(list, e.string()) {
			return r, false
		}
	}
	return r, true
}

// add adds an element of a rule's list.
func (r *Rule) add(list, text string) bool {
	switch list {
	case "country":
		r.countries = append(r.countries, text)
		return len(text) == 2 && text == strings.ToUpper(text)
	case "ip":
		n, ok := parseNetwork(text)
		r.networks = append(r.networks, n)
		return ok
	default:
		r.origins = append(r.origins, text)
		scheme, host, ok := strings.Cut(text, "://")
		return ok && scheme != "" && host != "" && !strings.ContainsAny(host, "/?#@ ") && text == strings.ToLower(text)
	}
}
