package check

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/jpeg"
	"maps"
	"math"
	"slices"
)

// readImages fetches an image playlist (Image Media Playlist specification, version 0.4) and its pictures. It is nil if it is not there.
func (c *checker) readImages(ctx context.Context, uri string) (*list, error) {
	l, err := c.fetchList(ctx, uri)
	if l == nil {
		return nil, err
	}
	l.sheets = make([]image.Config, len(l.items))
	return l, l.each(ctx, func(ctx context.Context, i int) error {
		r, err := c.readMedia(ctx, l.base, l.items[i].uri)
		if r == nil {
			return err
		}
		l.sheets[i] = c.picture(c.name(r.url), r.body)
		return nil
	})
}

// picture reads how large a picture is; zero of what is no JPEG.
func (c *checker) picture(name string, data []byte) image.Config {
	config, err := jpeg.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		c.find("W images", name, "a JPEG", "%v", err)
		return image.Config{}
	}
	return config
}

// judgeImages looks at image playlists and the poster.
func (c *checker) judgeImages(t *tree) {
	if poster := t.beside[posterPath]; poster != nil {
		c.picture("../"+posterPath, poster)
	}
	video := whole(t.video)
	for _, uri := range slices.Sorted(maps.Keys(t.images)) {
		l := t.images[uri]
		for i, sheet := range l.sheets {
			if sheet.Width > 0 && l.items[i].tiles.attrs != nil {
				c.judgeTiles(c.object(l.base, l.items[i].uri), l.items[i], sheet)
			}
		}
		if len(video) == 0 {
			continue
		}
		if a, b := l.duration(), video[0].length(); math.Abs(a-b) > t.frame() {
			c.find("W images", l.name, fmt.Sprintf("%.3f s, as %s lasts", b, video[0].name), "%.3f s", a)
		}
	}
}

// judgeTiles holds what EXT-X-TILES says of a picture to the picture: as many tiles as its time has lie within it.
func (c *checker) judgeTiles(name string, i item, sheet image.Config) {
	width, height, ok := resolution(i.tiles)
	var columns, rows int
	if n, err := fmt.Sscanf(i.tiles.text("LAYOUT"), "%dx%d", &columns, &rows); !ok || n != 2 || err != nil || columns < 1 || rows < 1 {
		c.find("W images", name, "EXT-X-TILES with a RESOLUTION and a LAYOUT", "%q and %q", i.tiles.text("RESOLUTION"), i.tiles.text("LAYOUT"))
		return
	}
	tiles := columns * rows
	if each := i.tiles.number("DURATION"); each > 0 {
		tiles = int(math.Ceil(i.duration/each - 0.001)) // EXTINF is rounded
	}
	if tiles > columns*rows {
		c.find("W images", name, fmt.Sprintf("at most %d tiles", columns*rows), "%d, in %.3f s", tiles, i.duration)
		return
	}
	right, bottom := width*min(tiles, columns), height*((tiles+columns-1)/columns)
	if right > sheet.Width || bottom > sheet.Height {
		c.find("W images", name, fmt.Sprintf("tiles within its %dx%d pixels", sheet.Width, sheet.Height), "%d tiles as far as %dx%d", tiles, right, bottom)
	}
}
