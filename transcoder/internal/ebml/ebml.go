// Package ebml reads the numbers of EBML (RFC 8794), of which Matroska is made. Start at [Vint].
package ebml

// Unknown is the size of an element that ends where another begins.
const Unknown = -1

// Vint reads a variable-size integer (section 4) and returns how many bytes it has; 0 means that there is none. An element's ID is
// read with the marker of its width in it; a size is read without, and is [Unknown] if it is of ones alone.
func Vint(b []byte, marked bool) (value int64, width int) {
	if len(b) == 0 || b[0] == 0 {
		return 0, 0
	}
	for width = 1; b[0]&(0x80>>(width-1)) == 0; width++ {
	}
	if len(b) < width {
		return 0, 0
	}
	value = int64(b[0])
	if !marked {
		value &= 0xff >> width
	}
	for _, next := range b[1:width] {
		value = value<<8 | int64(next)
	}
	if !marked && value == 1<<(7*width)-1 {
		value = Unknown
	}
	return value, width
}
