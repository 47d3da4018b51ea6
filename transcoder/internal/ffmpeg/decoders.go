package ffmpeg

import "strings"

// decoders are those that FFmpeg may use, by its names for them: what cameras, phones, screen recorders, editors, broadcasters and
// the players of the last thirty years have written. The hundreds of others, of games, fonts and picture formats, are hardly
// looked after, and a file needs none of them to be a video. It is one wall of several; [weir/transcoder/internal/box] is
// another.
const decoders = "" +
	// Pictures, for viewers.
	"h264 hevc libdav1d libaom-av1 av1 vp8 vp9 libvpx libvpx-vp9 vp3 vp5 vp6 vp6a vp6f vp7 theora " +
	"mpeg1video mpeg2video mpegvideo mpeg4 msmpeg4 msmpeg4v1 msmpeg4v2 h261 h263 h263i h263p flv wmv1 wmv2 wmv3 vc1 mss1 mss2 " +
	"rv10 rv20 rv30 rv40 svq1 svq3 cinepak indeo2 indeo3 indeo4 indeo5 msvideo1 msrle rpza smc 8bps aasc cljr ultimotion truemotion1 truemotion2 " +
	// Of cameras and editors.
	"dvvideo dnxhd prores cfhd mjpeg mjpegb sp5x jpeg2000 libopenjpeg jpegls dirac hap dxv notchlc speedhq sheervideo pixlet " +
	"ffv1 ffvhuff huffyuv hymt utvideo magicyuv lagarith snow vble hq_hqa hqx cllc qtrle qdraw png apng gif bmp tiff targa webp dpx exr " +
	"rawvideo r10k r210 v210 v210x v308 v408 v410 y41p yuv4 ayuv 012v avrp avui frwu bitpacked " +
	// Of screens.
	"flashsv flashsv2 camtasia tscc2 camstudio zmbv vmnc zlib mszh loco fraps g2m screenpresso rscc scpr msa1 mts2 " +
	// Sound.
	"aac aac_fixed aac_latm als mp1 mp1float mp2 mp2float mp3 mp3float mp3adu mp3adufloat mp3on4 mp3on4float ac3 ac3_fixed eac3 dca truehd mlp dolby_e s302m " +
	"opus libopus vorbis libvorbis flac alac speex libspeex wavpack tta tak ape shorten mpc7 mpc8 wmav1 wmav2 wmapro wmalossless wmavoice " +
	"amrnb amrwb evrc qcelp gsm libgsm gsm_ms libgsm_ms ilbc g722 g723_1 g726 g726le g729 nellymoser sbc aptx aptx_hd " +
	"cook sipr ralf real_144 real_288 qdm2 qdmc mace3 mace6 atrac1 atrac3 atrac3plus atrac9 imc iac truespeech on2avc metasound twinvq dvaudio dst " +
	"pcm_alaw pcm_mulaw pcm_bluray pcm_dvd pcm_lxf pcm_f16le pcm_f24le pcm_f32be pcm_f32le pcm_f64be pcm_f64le " +
	"pcm_s8 pcm_s8_planar pcm_s16be pcm_s16be_planar pcm_s16le pcm_s16le_planar pcm_s24be pcm_s24daud pcm_s24le pcm_s24le_planar " +
	"pcm_s32be pcm_s32le pcm_s32le_planar pcm_s64be pcm_s64le pcm_u8 pcm_u16be pcm_u16le pcm_u24be pcm_u24le pcm_u32be pcm_u32le " +
	"adpcm_ms adpcm_ima_wav adpcm_ima_qt adpcm_swf adpcm_yamaha adpcm_sbpro_2 adpcm_sbpro_3 adpcm_sbpro_4 adpcm_adx dsd_lsbf dsd_msbf dsd_lsbf_planar dsd_msbf_planar " +
	// Subtitles: those that are not published are beside videos all the same.
	"srt subrip ass ssa webvtt mov_text text dvbsub dvdsub pgssub xsub cc_dec libzvbi_teletextdec microdvd sami realtext subviewer subviewer1 mpl2 pjs vplayer stl jacosub"

// whitelist is the decoders as FFmpeg's option wants them.
var whitelist = strings.ReplaceAll(decoders, " ", ",")
