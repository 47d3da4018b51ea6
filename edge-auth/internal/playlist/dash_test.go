package playlist_test

import (
	"slices"
	"strings"
	"testing"

	"weir/edge-auth/internal/playlist"
)

// rich has a URI everywhere an MPD may have one, called in-… if the token goes there. What looks like one is called out-….
const rich = `<?xml version="1.0" encoding="UTF-8"?>
<?out <BaseURL>out-1</BaseURL> ?>
<!-- <BaseURL>out-2</BaseURL> "'> -->
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:x="urn:x" type="dynamic" profiles='urn:mpeg:dash:profile:isoff-live:2011'>
  <ProgramInformation moreInformationURL="out-3"><Title>a &lt; b &#169; <![CDATA[<BaseURL>out-4</BaseURL>]]></Title></ProgramInformation>
  <BaseURL serviceLocation="out-5">out-6/</BaseURL>
  <BaseURL>
    in-1.mp4
  </BaseURL>
  <BaseURL>./out-7/?a=1</BaseURL>
  <BaseURL/>
  <BaseURL></BaseURL>
  <Location>in-2.mpd?a=1&amp;b=2</Location>
  <PatchLocation ttl="60">in-3.mpp</PatchLocation>
  <ContentSteering defaultServiceLocation="out-8">in-4.json</ContentSteering>
  <InitializationSet id="1" initialization="in-5.mp4" xlink:href='in-6.xml'/>
  <x:Place>out-9</x:Place>
  <Period id="out-10" xlink:href="in-7.xml" xlink:actuate="onLoad">
    <ImportedMPD>in-8.mpd</ImportedMPD>
    <EventStream schemeIdUri="out-11" xlink:href="in-9.xml"><Event>out-12</Event></EventStream>
    <AdaptationSet bitstreamSwitching="true" xlink:href="urn:mpeg:dash:resolve-to-zero:2013">
      <SupplementalProperty schemeIdUri="urn:x" value="out-13"/>
      <SegmentTemplate media="in-10/$RepresentationID$/$Number%05d$.m4s" initialization = 'in-11/$RepresentationID$/"init".mp4'
        index="in-12-$Time$.sidx?a=1" bitstreamSwitching="in-13.mp4#f" startNumber="1" timescale="1000"><SegmentTimeline><S t="0" d="6000" r="3"/></SegmentTimeline></SegmentTemplate>
      <Representation id="720p" bandwidth="1000" codecs="avc1.640028,mp4a.40.2"/>
    </AdaptationSet>
    <AdaptationSet xlink:href="in-14.xml">
      <Representation id="a" bandwidth="1"><BaseURL>in-15.mp4</BaseURL>
        <SegmentBase indexRange="0-1"><Initialization range="0-1" sourceURL="in-16.mp4"/><RepresentationIndex sourceURL="in-17.sidx"/></SegmentBase></Representation>
      <Representation id="b" bandwidth="1"><SegmentList duration="6" xlink:href="in-18.xml"><BitstreamSwitching sourceURL="in-19.mp4"/>
        <SegmentURL media="in-20.m4s" mediaRange="0-1" index="in-21.sidx"/><SegmentURL mediaRange="2-3"/>
        <SegmentURL media="https://example.com/out-14.m4s"/><SegmentURL media="//example.com/out-15.m4s"/></SegmentList></Representation>
    </AdaptationSet>
  </Period>
</MPD>
`

// An XML parser finds the same document, with the token once in everything that is called in-… and nowhere else.
func TestAnXMLParserFindsTheTokens(t *testing.T) {
	var before, after []string
	collect := func(to *[]string) func(element, attribute, value string) {
		return func(element, attribute, value string) { *to = append(*to, element, attribute, value) }
	}
	got := withToken(t, playlist.DASH, rich)
	if !each(rich, collect(&before)) || !each(got, collect(&after)) {
		t.Fatalf("not XML: %s", got)
	}
	if len(before) != len(after) {
		t.Fatalf("%d parts become %d", len(before), len(after))
	}
	inherited := 0
	for i, part := range before {
		want := part
		if strings.Contains(part, "in-") && i%3 == 2 {
			want = expected(part)
			inherited++
		}
		if after[i] != want {
			t.Errorf("%s: got %q, want %q", before[i/3*3], after[i], want)
		}
	}
	if inherited != 21 {
		t.Errorf("%d URIs were looked at, not 21", inherited)
	}
}

// expected is a decoded URI with the token, blanks around it kept.
func expected(part string) string {
	uri := strings.TrimSpace(part)
	path, fragment, hasFragment := strings.Cut(uri, "#")
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	with := path + separator + "token=T"
	if hasFragment {
		with += "#" + fragment
	}
	return strings.Replace(part, uri, with, 1)
}

func TestMPD(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"quotes", `<SegmentURL media="a'b" index='c"d'/>`, `<SegmentURL media="a'b?token=T" index='c"d?token=T'/>`},
		{"blanks around the equals sign", "<SegmentURL\n media =\t'a'\n/>", "<SegmentURL\n media =\t'a?token=T'\n/>"},
		{"a greater-than sign in a value", `<S t=">"/><SegmentURL x=">" media="a"/>`, `<S t=">"/><SegmentURL x=">" media="a?token=T"/>`},
		{"a query", `<SegmentURL media="a?b=1"/>`, `<SegmentURL media="a?b=1&amp;token=T"/>`},
		{"an empty query", `<SegmentURL media="a?"/>`, `<SegmentURL media="a?token=T"/>`},
		{"a token of its own", `<SegmentURL media="a?b=1&amp;token=S"/>`, `<SegmentURL media="a?b=1&amp;token=S"/>`},
		{"templates", `<SegmentTemplate media="$RepresentationID$/$Number%05d$.m4s"/>`, `<SegmentTemplate media="$RepresentationID$/$Number%05d$.m4s?token=T"/>`},
		{"a template's query", `<SegmentTemplate media="a?t=$Time$"/>`, `<SegmentTemplate media="a?t=$Time$&amp;token=T"/>`},
		{"the boolean of the same name", `<AdaptationSet bitstreamSwitching="true"/>`, `<AdaptationSet bitstreamSwitching="true"/>`},
		{"an attribute of the same name elsewhere", `<S media="a"/><Representation index="a"/>`, `<S media="a"/><Representation index="a"/>`},
		{"text behind an element", `<BaseURL/>a<BaseURL>b</BaseURL>c`, `<BaseURL/>a<BaseURL>b?token=T</BaseURL>c`},
		{"a file beside a folder", `<BaseURL>a/</BaseURL><BaseURL>a</BaseURL>`, `<BaseURL>a/</BaseURL><BaseURL>a?token=T</BaseURL>`},
		{"a folder with a query", `<BaseURL>a/?b</BaseURL>`, `<BaseURL>a/?b</BaseURL>`},
		{"another host's MPD", `<Location>https://c/a</Location><SegmentURL media="a"/>`, `<Location>https://c/a</Location><SegmentURL media="a?token=T"/>`},
		{"a reference that could be a colon", `<SegmentURL media="a&#58;//c"/><SegmentURL media="a"/>`, `<SegmentURL media="a&#58;//c"/><SegmentURL media="a?token=T"/>`},
		{"a comment", `<!-- <SegmentURL media="a"/> -- > ' -->`, `<!-- <SegmentURL media="a"/> -- > ' -->`},
		{"a comment that begins like its end", `<!--><SegmentURL media="a"/>-->`, `<!--><SegmentURL media="a"/>-->`},
		{"CDATA", `<Event><![CDATA[<SegmentURL media="a"/>]]></Event>`, `<Event><![CDATA[<SegmentURL media="a"/>]]></Event>`},
		{"a processing instruction", `<?x <SegmentURL media="a"/>?>`, `<?x <SegmentURL media="a"/>?>`},
		{"a prefix", `<x:SegmentURL media="a"/>`, `<x:SegmentURL media="a?token=T"/>`},
		{"an attribute with a prefix", `<SegmentURL x:media="a"/>`, `<SegmentURL x:media="a"/>`},
	} {
		if got := withToken(t, playlist.DASH, "<MPD>"+c.text+"</MPD>"); got != "<MPD>"+c.want+"</MPD>" {
			t.Errorf("%s: got %s", c.name, got)
		}
	}
}

func TestTheRootMayHaveAPrefix(t *testing.T) {
	const text = `<m:MPD xmlns:m="urn:mpeg:dash:schema:mpd:2011"><m:SegmentURL media="a"/></m:MPD>`
	if got := withToken(t, playlist.DASH, text); got != strings.Replace(text, `"a"`, `"a?token=T"`, 1) {
		t.Errorf("got %s", got)
	}
}

// A relative URI may be resolved against any BaseURL. If one is of another host, or may be, no URI gets the token.
func TestNoTokenForTheHostOfABaseURL(t *testing.T) {
	for _, elsewhere := range []string{
		"<BaseURL>https://example.com/</BaseURL>", "<BaseURL>\n //example.com/ </BaseURL>", `<BaseURL>/\example.com/</BaseURL>`,
		"<BaseURL>https&#58;//example.com/</BaseURL>", "<BaseURL>https&#x3a;//example.com/</BaseURL>", "<BaseURL>&sol;/example.com/</BaseURL>",
		"<x:BaseURL>https://example.com/</x:BaseURL>", "<BaseURL><![CDATA[//example.com/]]></BaseURL>", "<BaseURL><!-- -->//example.com/</BaseURL>", "<BaseURL>ht<!-- -->tps://example.com/</BaseURL>",
		"<BaseURL>/<?x?>/example.com/</BaseURL>", `<Representation id="//example.com"/>`, `<Representation id="/"/>`,
		`<Representation id="https:"/>`, `<Representation id=" /"/>`, `<Representation id=""/>`,
	} {
		for _, text := range []string{
			`<MPD>` + elsewhere + `<SegmentTemplate media="$RepresentationID$/example.com/x"/></MPD>`,
			`<MPD><Period><SegmentTemplate media="x"/><AdaptationSet>` + elsewhere + `</AdaptationSet></Period><BaseURL>a</BaseURL></MPD>`,
		} {
			if got := withToken(t, playlist.DASH, text); got != text {
				t.Errorf("%s\nbecomes %s", text, got)
			}
		}
	}
}

func TestWhatIsNotUnderstoodStays(t *testing.T) {
	const good = `<SegmentURL media="a"/>`
	for _, text := range []string{
		"", "a", good, `<MPDX>` + good, `<xMPD>` + good, `<Patch>` + good + `</Patch>`,
		`<!DOCTYPE MPD [<!ENTITY x "y">]><MPD>` + good + `</MPD>`,
		`<MPD>` + good + `<SegmentURL media="b`, `<MPD>` + good + `<SegmentURL media=b/>`, `<MPD>` + good + `<SegmentURL media/>`,
		`<MPD>` + good + `<!-- `, `<MPD>` + good + `<![CDATA[ ]]`, `<MPD>` + good + `<?x`, `<MPD>` + good + `</MPD`, `<MPD>` + good + `<`,
		`<MPD>` + good + `<BaseURL>a`, "\xff\xfe<\x00M\x00P\x00D\x00>\x00",
	} {
		if got := withToken(t, playlist.DASH, text); got != text {
			t.Errorf("%q\nbecomes %q", text, got)
		}
	}
}

// Whatever the MPD: to an XML parser only values with a token have changed, and these are where URIs are.
func FuzzAnMPDStaysTheSameXML(f *testing.F) {
	f.Add(rich)
	f.Add(`<MPD><BaseURL>a&amp;b</BaseURL><SegmentURL media = 'x"' index=""/><!-- - --></MPD>`)
	f.Fuzz(func(t *testing.T, text string) {
		const token = "T0ken"
		if strings.Contains(text, token) {
			t.Skip("the text has the token already")
		}
		var before, after []string
		if !each(text, func(element, attribute, value string) { before = append(before, element, attribute, value) }) {
			t.Skip("no XML")
		}
		got := withThis(t, playlist.DASH, text, token)
		if !each(got, func(element, attribute, value string) { after = append(after, element, attribute, value) }) || len(before) != len(after) {
			t.Fatalf("%q\nbecomes %q", text, got)
		}
		for i, value := range before {
			if value == after[i] {
				continue
			}
			if strings.Count(after[i], "token="+token) != 1 || !slices.Contains([]string{"BaseURL", "Location", "PatchLocation", "ImportedMPD",
				"ContentSteering", "SegmentTemplate", "SegmentURL", "Initialization", "RepresentationIndex", "BitstreamSwitching",
				"InitializationSet", "Period", "EventStream", "AdaptationSet", "SegmentList"}, before[i/3*3]) {
				t.Errorf("%q\nbecomes %q: %q becomes %q", text, got, value, after[i])
			}
		}
	})
}
