// Package decimal reads and writes whole numbers that are not negative. Package strconv would do it, and make the Wasm
// module larger by a tenth.
package decimal

// Max is the largest number that JavaScript can count to.
const Max = 1<<53 - 1

// Parse reads a number of digits alone, at least one; what is larger than Max is read as Max.
func Parse(digits string) (n int64, ok bool) {
	for _, c := range []byte(digits) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = min(n*10+int64(c-'0'), Max)
	}
	return n, digits != ""
}

// Append appends a number.
func Append(to []byte, n int64) []byte {
	size := 1
	for rest := n / 10; rest > 0; rest /= 10 {
		size++
	}
	for range size {
		to = append(to, '0')
	}
	for i := len(to) - 1; n > 0; i-- {
		to[i] += byte(n % 10)
		n /= 10
	}
	return to
}

// Text is a number written out.
func Text(n int64) string {
	const digits = 19 // of the largest int64
	return string(Append(make([]byte, 0, digits), n))
}
