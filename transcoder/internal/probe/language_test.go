package probe

import (
	"encoding/json"
	"testing"
)

func TestTheLanguageOfTheSoundIsARightTag(t *testing.T) {
	for _, c := range []struct{ name, report, want string }{
		{"three letters", `{"tags": {"language": "eng"}}`, "en"},
		{"three letters of old", `{"tags": {"language": "ger"}}`, "de"},
		{"with a region", `{"tags": {"language": "pt-br"}}`, "pt-BR"},
		{"undetermined", `{"tags": {"language": "und"}}`, ""},
		{"none", `{}`, ""},
		{"no language", `{"tags": {"language": "e\"\n#EXT"}}`, ""},
	} {
		var s stream
		if err := json.Unmarshal([]byte(c.report), &s); err != nil {
			t.Fatal(err)
		}
		if got := s.language(); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
