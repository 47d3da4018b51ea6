package gate

import (
	"strings"
	"unsafe"
)

// HTTP dates (RFC 9110 section 5.6.7), as Unix seconds. Package time would do the same, and make the Wasm module larger by a
// sixth.

var (
	weekdays = []string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"}
	months   = []string{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"}
)

// The three forms of a date. Digits stand for themselves; a letter stands for what httpDate and parseDate say.
const (
	imfFixdate = "w, d m y t GMT"
	rfc850     = "W, d-m-Y t GMT"
	asctime    = "w m D t y"
)

// date is a date while it is read.
type date struct{ year, month, day, seconds int }

// parseDate reads a date in any of its forms. Whether the day of the week is the date's does not matter.
func parseDate(text string) (int64, bool) {
	if text == "" {
		return 0, false
	}
	for _, form := range []string{imfFixdate, rfc850, asctime} {
		if d, ok := readDate(text, form); ok {
			return d.unix(), true
		}
	}
	return 0, false
}

func readDate(text, form string) (d date, ok bool) {
	for i := range len(form) {
		length := 0
		switch form[i] {
		case 'w', 'W':
			for _, name := range weekdays {
				if form[i] == 'w' {
					name = name[:3]
				}
				if strings.HasPrefix(text, name) {
					length = len(name)
				}
			}
		case 'm':
			for m, name := range months {
				if strings.HasPrefix(text, name) {
					d.month, length = m+1, len(name)
				}
			}
		case 'd':
			d.day, length = digits(text, 2)
		case 'D': // asctime has a space for a leading zero
			if strings.HasPrefix(text, " ") {
				text = text[1:]
				d.day, length = digits(text, 1)
			} else {
				d.day, length = digits(text, 2)
			}
		case 'y':
			d.year, length = digits(text, 4)
		case 'Y':
			d.year, length = digits(text, 2)
			d.year += 1900
			if d.year < 1969 {
				d.year += 100
			}
		case 't':
			d.seconds, length = clock(text)
		default:
			if text != "" && text[0] == form[i] {
				length = 1
			}
		}
		if length == 0 {
			return date{}, false
		}
		text = text[length:]
	}
	return d, text == "" && d.day >= 1 && d.day <= d.daysInMonth()
}

// digits reads exactly n digits; a length of 0 says that there are none.
func digits(text string, n int) (number, length int) {
	if len(text) < n {
		return 0, 0
	}
	for _, c := range []byte(text[:n]) {
		if c < '0' || c > '9' {
			return 0, 0
		}
		number = number*10 + int(c-'0')
	}
	return number, n
}

// clock reads hh:mm:ss, as seconds of the day.
func clock(text string) (seconds, length int) {
	for i, most := range []int{23, 59, 59} {
		if i > 0 {
			if !strings.HasPrefix(text, ":") {
				return 0, 0
			}
			text = text[1:]
		}
		n, ok := digits(text, 2)
		if ok == 0 || n > most {
			return 0, 0
		}
		seconds, text = seconds*60+n, text[2:]
	}
	return seconds, len("hh:mm:ss")
}

func leap(year int) bool { return year%4 == 0 && (year%100 != 0 || year%400 == 0) }

func (d date) daysInMonth() int {
	switch d.month {
	case 2:
		if leap(d.year) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// unixEpoch is 1 January 1970, in days since 1 March of the year 0.
const unixEpoch = 719468

// unix counts in years that begin in March, so that a leap day is a year's last.
func (d date) unix() int64 {
	year, month := int64(d.year), int64(d.month)-3
	if month < 0 {
		year, month = year-1, month+12
	}
	if year < 0 { // January and February of the year 0: its February has 29 days
		return (int64(d.day)-1+(month-10)*31-60-unixEpoch)*86400 + int64(d.seconds)
	}
	days := year*365 + year/4 - year/100 + year/400 + (153*month+2)/5 + int64(d.day) - 1
	return (days-unixEpoch)*86400 + int64(d.seconds)
}

// httpDate writes a date, of the years that have four digits, in the form that is to be written.
func httpDate(unix int64) string {
	days, seconds := unix/86400, unix%86400
	if seconds < 0 {
		days, seconds = days-1, seconds+86400
	}
	weekday := weekdays[((days+4)%7+7)%7]
	days += unixEpoch
	era := days / 146097 // of 400 years
	days %= 146097
	yearOfEra := (days - days/1460 + days/36524 - days/146096) / 365
	dayOfYear := days - (365*yearOfEra + yearOfEra/4 - yearOfEra/100)
	month := (5*dayOfYear + 2) / 153
	day := dayOfYear - (153*month+2)/5 + 1
	year := era*400 + yearOfEra
	if month += 3; month > 12 {
		year, month = year+1, month-12
	}
	text := []byte("day, 00 mon 0000 00:00:00 GMT")
	copy(text, weekday[:3])
	copy(text[8:], months[month-1])
	put := func(at int, n int64) { text[at], text[at+1] = byte('0'+n/10), byte('0'+n%10) }
	put(5, day)
	put(12, year/100)
	put(14, year%100)
	put(17, seconds/3600)
	put(20, seconds/60%60)
	put(23, seconds%60)
	return unsafe.String(unsafe.SliceData(text), len(text)) //nolint:gosec // nobody else has it
}
