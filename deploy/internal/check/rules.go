package check

// Rule is one that a tree is held to.
type Rule struct {
	// ID is the number in Apple's HLS Authoring Specification, or the source and its section: RFC is RFC 8216, W is Weir.
	ID    string
	Level Level // of what breaks it
	Text  string
}

// Rules are all that are checked.
var Rules = []Rule{
	{"1.1", Error, "video is H.264, HEVC or AV1"},
	{"1.3b", Error, "H.264 is at most High profile, level 5.2"},
	{"1.4", Warning, "H.264 is in High profile"},
	{"1.6", Error, "HEVC is in Main or Main 10 profile, at most level 5.0"},
	{"1.10", Warning, "parameter sets are in the sample description: avc1, hvc1"},
	{"1.13", Warning, "there is an IDR picture every two seconds"},
	{"1.19", Error, "there are at most 60 frames a second"},
	{"1.26", Error, "the average bit rate is within 10 % of AVERAGE-BANDWIDTH"},
	{"1.27", Error, "the peak bit rate is within 10 % of BANDWIDTH"},
	{"1.30", Warning, "the peak bit rate is at most 200 % of the average"},
	{"1.32", Warning, "the variant in H.264 nearest to 2000 kbit/s is listed first"},
	{"1.33", Warning, "all variants have the same aspect ratio, within the rounding to even pixels"},
	{"2.2", Error, "sound is AAC, at a usual sample rate"},
	{"2.3", Error, "sound is stereo"},
	{"6.1", Error, "there are I-frame playlists"},
	{"6.6", Warning, "there is an I-frame playlist for each resolution"},
	{"6.8", Error, "an I-frame playlist has EXT-X-I-FRAMES-ONLY"},
	{"6.9", Error, "the bit rates of I-frame playlists are measured"},
	{"6.10", Error, "an I-frame's byte range is its moof, or its packets, and its picture, which is an IDR picture"},
	{"7.3", Error, "a fragment's decode time is the end of the one before it"},
	{"7.4", Error, "a segment starts with an IDR picture"},
	{"7.5", Warning, "the target duration is 6 s"},
	{"7.6", Warning, "segments have 6 s, but for the first and the last"},
	{"7.7", Error, "no segment is longer than the target duration and half a second"},
	{"8.1", Error, "the sums of EXTINF are within a video frame of what the segments last"},
	{"8.2", Error, "all playlists of video and audio have the same target duration"},
	{"8.3", Error, "sound and picture last the same time, within 40 ms and a frame of sound"},
	{"8.6", Error, "the playlist type is VOD"},
	{"8.7", Error, "all playlists cover the same time"},
	{"8.10", Error, "EXT-X-MEDIA has a LANGUAGE"},
	{"8.18", Error, "media is served without redirects"},
	{"8.20", Error, "there is an EXT-X-MAP, unless segments are transport streams"},
	{"8.22", Warning, "segments start at the same times in all renditions"},
	{"9.1", Error, "a variant has CODECS"},
	{"9.2", Error, "a variant has a RESOLUTION"},
	{"9.3", Error, "an I-frame variant has CODECS"},
	{"9.4", Error, "an I-frame variant has a RESOLUTION"},
	{"9.5", Warning, "sound and picture are apart"},
	{"9.9", Warning, "there are several variants"}, // MUST, but a small upload has pixels for only one
	{"9.11", Warning, "the multivariant playlist has EXT-X-INDEPENDENT-SEGMENTS"},
	{"9.13", Error, "BANDWIDTH is no less than the peaks of picture and sound together"},
	{"9.14", Error, "a variant has an AVERAGE-BANDWIDTH"},
	{"9.15", Error, "a variant has a FRAME-RATE"},
	{"9.16", Error, "a variant has the VIDEO-RANGE of its picture, unless that is SDR"},
	{"10.1", Error, "playlists are served with gzip to those who take it"},
	{"10.4", Warning, "objects have the recommended media types"},

	{"RFC 3.2", Warning, "a transport stream has its tables first of all"},
	{"RFC 4", Error, "a playlist can be read by a strict parser"},
	{"RFC 3.5", Error, "a segment of subtitles has the cues that are shown in its time, and says how it is counted"},
	{"RFC 4.1", Error, "a playlist starts with EXTM3U, is UTF-8 without a byte order mark, and has valid URIs"},
	{"RFC 4.2", Error, "attribute lists follow the grammar, each name once"},
	{"RFC 4.3.1.2", Error, "EXT-X-VERSION is there and covers what the playlist uses"},
	{"RFC 4.3.2.2", Error, "a byte range lies within its object"},
	{"RFC 4.3.2.4", Error, "the key of encrypted segments can be had, and has 16 bytes"},
	{"RFC 4.3.3.1", Error, "each EXTINF, rounded, is at most the target duration"},
	{"RFC 4.3.3.4", Error, "a VOD playlist ends with EXT-X-ENDLIST"},
	{"RFC 4.3.4.1", Error, "renditions have TYPE, GROUP-ID and NAME, sound the CHANNELS that it has, and subtitles a URI; names are unique in a group, at most one is the default"},
	{"RFC 4.3.4.1.1", Warning, "what a player may take by itself differs from all else in its group in LANGUAGE or CHARACTERISTICS"},
	{"RFC 4.3.4.2.1", Error, "all groups of a type have the same renditions, with the same names, languages and choices"},
	{"RFC 4.3.4.2", Error, "what is said of a variant is so: CODECS, RESOLUTION, FRAME-RATE, its groups"},
	{"RFC 5.2", Error, "encrypted segments are AES-128 with CBC, in whole blocks, with padding by PKCS #7"},
	{"RFC 6.2.1", Error, "what a playlist names is there"},
	{"RFC 6.2.4", Error, "all variants show the same content: as many pictures"},
	{"RFC 9110 14.2", Error, "media is served in ranges"},
	{"ISO 14496-12", Error, "init segments and segments can be read, and belong together"},
	{"ISO 13818-1", Error, "transport streams can be read: tables with checksums, PES packets with times, access units with delimiters"},
	{"ISO 13818-1 2.4.3.3", Error, "continuity counters run on, from segment to segment as well"},
	{"ISO 13818-1 2.7.2", Error, "there is a clock reference every 100 ms, behind what is decoded"},
	{"H.264 A.3", Error, "the level allows the size and the rate of the picture"},
	{"H.265 A.4", Error, "the level allows the size and the rate of the picture"},
	{"AV1 A.3", Error, "the level allows the size and the rate of the picture"},
	{"WebVTT 4", Error, "subtitles are WebVTT: UTF-8, cues in the order of their starts that end after they start"},

	{"W H.264", Error, "there are variants in H.264, which all players know"},
	{"W start", Error, "decoding and showing start at 0"},
	{"W closed", Error, "GOPs are closed: no picture is shown before its IDR picture, or after the next one"},
	{"W once", Error, "no segment is listed twice"},
	{"W texts", Warning, "all variants go with the same subtitles"},
	{"W key", Error, "keys are kept by no cache, and no two segments have the same key and initialization vector"},
	{"W cache", Warning, "media may be cached for an hour at least, playlists not for ever"},
	{"W default", Error, "a group of sound has one that is heard unless another is chosen, and a variant of sound alone holds it"},
	{"W iframes", Error, "each IDR picture that starts a fragment is in the I-frame playlist beside its rendition's playlist"},
	{"W images", Error, "the image playlist lasts as long as the video, its tiles lie within its pictures, and pictures are JPEG"},
	{"W manifest", Error, "the manifest has the renditions of the playlists, with their segments, bytes and durations, and what it names is there"},
	{"W MPD", Error, "the MPD has the renditions of the playlists, with their segments and durations"},
	{"W read", Error, "the segments can be looked into"},
}

var levels = func() map[string]Level {
	all := make(map[string]Level, len(Rules))
	for _, r := range Rules {
		all[r.ID] = r.Level
	}
	return all
}()
