// Package dash writes a video's media presentation description (MPD, ISO/IEC 23009-1): the very segments that the HLS
// playlists name, for DASH players. Start at [MPD].
//
// Segments carry a hash of their content in their names, which no template can make, so an MPD lists them one by one. That
// is the profile isoff-main; isoff-live wants templates. Everything here is a pure function of its arguments: the same segments
// give the same bytes on every node, and what is said about a bit rate is measured.
package dash

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/Eyevinn/dash-mpd/mpd"
	"github.com/Eyevinn/dash-mpd/xml"

	"weir/transcoder/internal/hls"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
)

const (
	// folder leads from the MPD to the renditions' folders. It is relative, so that a token in the path is inherited.
	folder = "../hls/"
	// buffer is what players are to have before they begin: the first segment, and what the encoder's own buffer holds.
	buffer = 2 * time.Second
	// closed is the type of stream access point that each segment starts with (ISO/IEC 14496-12, annex I): a picture, or a
	// sound, on which nothing before it and all behind it depends.
	closed = 1
)

// MPD writes the MPD of a video that is there in whole, as dash/manifest.mpd in the video's folder. The rungs of the plan are one
// adaptation set in each codec, highest first, and so are the bit rates of each of its audio tracks; then each of its subtitles
// has one.
func MPD(p plan.Plan, out media.Output) ([]byte, error) {
	w := writer{target: p.TargetDuration(), renditions: out.Renditions}
	var sets []*adaptationSet
	for _, codec := range p.Codecs() {
		picture, err := w.picture(p.Only(codec))
		if err != nil {
			return nil, err
		}
		sets = append(sets, picture)
	}
	offerSwitching(sets)
	for _, track := range p.Tracks() {
		sound, err := w.sound(p, track)
		if err != nil {
			return nil, err
		}
		sets = append(sets, sound)
	}
	sets = append(sets, textSets(p, out.Texts)...)
	for i, s := range sets {
		s.Id = mpd.Ptr(uint32(i + 1))
	}

	head := mpd.NewMPD(mpd.STATIC_TYPE)
	head.XMLNs, head.Profiles = mpd.DASH_NAMESPACE, mpd.PROFILE_MAIN
	head.MediaPresentationDuration, head.MaxSegmentDuration = &w.length, &w.longest
	head.MinBufferTime = mpd.Ptr(mpd.Duration(buffer))
	text, err := xml.MarshalIndent(document{head, period{&mpd.Period{Id: "1", Start: mpd.Ptr(mpd.Duration(0))}, sets}}, "", " ")
	if err != nil {
		return nil, fmt.Errorf("write the MPD: %w", err)
	}
	// The one element of which there are thousands.
	text = bytes.ReplaceAll(text, []byte("></SegmentURL>"), []byte("/>"))
	return slices.Concat([]byte(xml.Header), text, []byte("\n")), nil
}

// The library's types write the parts of a segment list in another order than the schema has. These are the same types with a
// list in the schema's order at their end.
type (
	document struct {
		*mpd.MPD
		Period period
	}
	period struct {
		*mpd.Period
		AdaptationSets []*adaptationSet `xml:"AdaptationSet"`
	}
	adaptationSet struct {
		*mpd.AdaptationSetType
		Representations []*representation `xml:"Representation"`
	}
	representation struct {
		*mpd.RepresentationType
		SegmentList *segmentList // nil where the representation is one file
	}
	segmentList struct {
		Initialization mpd.URLType
		SegmentURLs    []mpd.SegmentURLType `xml:"SegmentURL"`
	}
)

func newSet(content, mime string, role media.Role) *adaptationSet {
	set := mpd.NewAdaptationSetWithParams(content, mime, true, closed)
	set.Roles = []*mpd.DescriptorType{mpd.NewRole(string(role))}
	return &adaptationSet{AdaptationSetType: set}
}

// switching is the scheme by which adaptation sets say to which others a player may switch (DASH-IF IOP 5, part 4, 9.3.2).
const switching = "urn:mpeg:dash:adaptation-set-switching:2016"

// offerSwitching lets players that can do it change the codec on the way. Sets are numbered from 1.
func offerSwitching(sets []*adaptationSet) {
	for i, s := range sets {
		var others []string
		for n := range sets {
			if n != i {
				others = append(others, strconv.Itoa(n+1))
			}
		}
		if len(others) > 0 {
			s.SupplementalProperties = append(s.SupplementalProperties, mpd.NewDescriptor(switching, strings.Join(others, ","), ""))
		}
	}
}

// writer adds renditions and keeps the longest times.
type writer struct {
	target          int // seconds
	renditions      []media.Rendition
	length, longest mpd.Duration // of the video, of a segment
}

// picture is the set of the rungs.
func (w *writer) picture(p plan.Plan) (*adaptationSet, error) {
	rate := frameRate(p.Source.Video.Rate)
	set := newSet("video", mpd.MIME_TYPE_VIDEO_MP4, media.Main)
	set.MaxFrameRate = rate
	for _, v := range p.Video {
		r, err := w.add(set, v.Name)
		if err != nil {
			return nil, err
		}
		r.Width, r.Height, r.Sar, r.FrameRate = uint32(v.Width), uint32(v.Height), "1:1", mpd.FrameRateType(rate)
		set.MaxWidth, set.MaxHeight = max(set.MaxWidth, r.Width), max(set.MaxHeight, r.Height)
	}
	return set, nil
}

// forBlind is the purpose of sound that says what is seen (ETSI TS 102 822-3-1, AudioPurposeCS), as DASH-IF's guidelines want it said
// beside the role.
var forBlind = mpd.NewDescriptor("urn:tva:metadata:cs:AudioPurposeCS:2007", "1", "")

// sound is the set of one audio track.
func (w *writer) sound(p plan.Plan, track int) (*adaptationSet, error) {
	var set *adaptationSet
	for _, a := range p.Audio {
		if a.Track != track {
			continue
		}
		if set == nil {
			set = soundSet(p.Track(a))
		}
		r, err := w.add(set, a.Name)
		if err != nil {
			return nil, err
		}
		// The ticks of sound are its samples.
		r.AudioSamplingRate = mpd.Ptr(mpd.UIntVectorType(strconv.FormatUint(uint64(*set.SegmentList.Timescale), 10)))
	}
	return set, nil
}

func soundSet(track media.Audio) *adaptationSet {
	set := newSet("audio", mpd.MIME_TYPE_AUDIO_MP4, cmp.Or(track.Role, media.Main))
	set.Lang = track.Language
	if track.Name != "" {
		set.Labels = []*mpd.LabelType{{Value: track.Name}}
	}
	if track.Role == media.Description {
		set.Accessibilities = []*mpd.DescriptorType{forBlind}
	}
	layout := mpd.NewDescriptor(mpd.AUDIO_CHANNEL_CONFIGURATION_MPEG_DASH, strconv.Itoa(plan.Channels), "")
	set.AudioChannelConfigurations = []*mpd.DescriptorType{layout}
	return set
}

// add adds a rendition to a set. Its segments are as long as those of the others there, so the set has the one timeline.
func (w *writer) add(set *adaptationSet, name string) (*representation, error) {
	i := slices.IndexFunc(w.renditions, func(r media.Rendition) bool { return r.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("write the MPD: rendition %s is missing", name)
	}
	r := w.renditions[i]
	times, ticks := timeline(r)
	common := set.SegmentList
	if common == nil {
		common = &mpd.SegmentListType{}
		common.Timescale, common.SegmentTimeline = &r.Timescale, times
		set.SegmentList = common
	}
	if err := aligned(*common, r, times); err != nil {
		return nil, fmt.Errorf("write the MPD: %s: %w", name, err)
	}
	w.length = max(w.length, duration(ticks, r))
	peak, _ := hls.Bandwidth(r, w.target)
	out := &representation{
		RepresentationType: &mpd.RepresentationType{
			Id: r.Name, Bandwidth: uint32(peak), BaseURLs: []*mpd.BaseURLType{mpd.NewBaseURL(folder + r.Name + "/")},
		},
		SegmentList: &segmentList{Initialization: mpd.URLType{SourceURL: mpd.AnyURI(r.Init)}},
	}
	out.Codecs = r.Codecs
	for _, s := range r.Segments {
		w.longest = max(w.longest, duration(s.Ticks, r))
		out.SegmentList.SegmentURLs = append(out.SegmentList.SegmentURLs, mpd.SegmentURLType{Media: mpd.AnyURI(s.Name)})
	}
	set.Representations = append(set.Representations, out)
	return out, nil
}

// aligned tells in which way a rendition cannot be switched to from the others of its set.
func aligned(common mpd.SegmentListType, r media.Rendition, times *mpd.SegmentTimelineType) error {
	if *common.Timescale != r.Timescale {
		return errors.New("its ticks are not those of its set")
	}
	same := func(a, b *mpd.S) bool { return a.D == b.D && a.R == b.R }
	if !slices.EqualFunc(common.SegmentTimeline.S, times.S, same) {
		return errors.New("its segments are not as long as those of its set")
	}
	return nil
}

// timeline lists how long the segments of a rendition are, and sums it up.
func timeline(r media.Rendition) (times *mpd.SegmentTimelineType, ticks uint64) {
	times = &mpd.SegmentTimelineType{}
	var last *mpd.S
	for _, s := range r.Segments {
		ticks += s.Ticks
		if last != nil && last.D == s.Ticks {
			last.R++
			continue
		}
		last = &mpd.S{D: s.Ticks}
		if len(times.S) == 0 {
			last.T = mpd.Ptr(uint64(0))
		}
		times.S = append(times.S, last)
	}
	return times, ticks
}

// duration is a time in ticks as an MPD has it, in milliseconds: rounded up, because players cut off what comes after the end.
func duration(ticks uint64, r media.Rendition) mpd.Duration {
	scale := uint64(r.Timescale)
	return mpd.Duration((ticks*1000+scale-1)/scale) * mpd.Duration(time.Millisecond)
}

func frameRate(r media.Rate) string {
	if r.Den == 1 {
		return strconv.FormatInt(r.Num, 10)
	}
	return r.String()
}
