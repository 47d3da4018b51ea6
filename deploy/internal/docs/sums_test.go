package docs_test

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const number = `\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?`

var (
	firstNumber = regexp.MustCompile(number)
	wholeNumber = regexp.MustCompile(`^(?:` + number + `)`)
)

// value is what an expression comes to, and what is left of the text behind it: of numbers, + − × ÷ and parentheses, with × and ÷
// before + and −. digits are those behind the point of a number that stands alone; of an expression, -1.
func value(text string) (v float64, digits int, rest string, ok bool) {
	v, digits, rest, ok = product(text)
	for ok {
		after := strings.TrimLeft(rest, " ")
		sign := 1.0
		next, found := strings.CutPrefix(after, "+")
		if !found {
			next, found = strings.CutPrefix(after, "−")
			sign = -1
		}
		if !found {
			return v, digits, rest, true
		}
		var w float64
		if w, _, rest, ok = product(next); ok {
			v, digits = v+sign*w, -1
		}
	}
	return v, digits, rest, false
}

func product(text string) (v float64, digits int, rest string, ok bool) {
	v, digits, rest, ok = factor(text)
	for ok {
		after := strings.TrimLeft(rest, " ")
		next, times := strings.CutPrefix(after, "×")
		next, over := strings.CutPrefix(next, "÷")
		if !times && !over {
			return v, digits, rest, true
		}
		var w float64
		if w, _, rest, ok = factor(next); ok && over {
			w = 1 / w
		}
		v, digits = v*w, -1
	}
	return v, digits, rest, false
}

func factor(text string) (v float64, digits int, rest string, ok bool) {
	text = strings.TrimLeft(text, " ")
	if inside, found := strings.CutPrefix(text, "("); found {
		if v, _, rest, ok = value(inside); ok {
			rest, ok = strings.CutPrefix(strings.TrimLeft(rest, " "), ")")
		}
		return v, -1, rest, ok
	}
	n := wholeNumber.FindString(text)
	if n == "" {
		return 0, 0, text, false
	}
	v, err := strconv.ParseFloat(strings.ReplaceAll(n, ",", ""), 64)
	if _, fraction, found := strings.Cut(n, "."); found {
		digits = len(fraction)
	}
	return v, digits, text[len(n):], err == nil
}

// before is the expression that a text ends with.
func before(text string) (v float64, digits int, ok bool) {
	for i, c := range text {
		if !strings.ContainsRune("(0123456789", c) || i > 0 && strings.ContainsRune("0123456789.,", rune(text[i-1])) {
			continue
		}
		if v, digits, rest, ok := value(text[i:]); ok && strings.TrimSpace(rest) == "" {
			return v, digits, true
		}
	}
	return 0, 0, false
}

// sums finds equations that do not come out, and counts all. Where all is to be equations, so is each " = ".
func sums(d document, all bool) (count int, problems []string) {
	text := code.ReplaceAllString(strings.ReplaceAll(d.prose, "**", ""), "")
	line := 1
	for paragraph := range strings.SplitAfterSeq(text, "\n\n") {
		// A table has an equation in each cell; other text runs over its lines.
		parts := []string{strings.ReplaceAll(paragraph, "\n", " ")}
		if strings.HasPrefix(strings.TrimSpace(paragraph), "|") {
			parts = regexp.MustCompile(`[|\n]`).Split(paragraph, -1)
		}
		for _, part := range parts {
			sides := strings.Split(part, " = ")
			for i := 1; i < len(sides); i++ {
				left, leftDigits, okLeft := before(sides[i-1])
				right, digits, _, okRight := value(sides[i])
				rounded := 0.0 // a number is as exact as it is written, an expression is exact
				if digits = max(digits, leftDigits); digits >= 0 {
					rounded = 0.5 * math.Pow10(-digits)
				}
				switch {
				case (!okLeft || !okRight) && all:
					problems = append(problems, d.problem(line, "this is no sum: %s = %s", sides[i-1], sides[i]))
				case !okLeft || !okRight:
				default:
					count++
					if math.Abs(left-right) > rounded+1e-6 {
						problems = append(problems, d.problem(line, "%s = %s does not come out: it is %v", sides[i-1], sides[i], left))
					}
				}
			}
		}
		line += strings.Count(paragraph, "\n")
	}
	return count, problems
}

// totals holds the last row of a table, if it begins with "total", to the rows above: its terms are their results. It gives the
// totals by the heading that they are under.
func totals(d document) (all map[string][]float64, problems []string) {
	all = map[string][]float64{}
	under, columns := "", [][]string{}
	for i, line := range strings.Split(strings.ReplaceAll(d.prose, "**", ""), "\n") {
		if h, found := strings.CutPrefix(line, "## "); found {
			under = h
		}
		if !strings.HasPrefix(line, "|") {
			columns = nil
			continue
		}
		cells := strings.Split(strings.Trim(line, "| "), "|")[1:]
		total := strings.HasPrefix(line, "| total ")
		for c, cell := range cells {
			if c == len(columns) {
				columns = append(columns, nil)
			}
			terms, result, _ := strings.Cut(cell, " = ")
			if !total {
				if n := firstNumber.FindString(cell[strings.LastIndex(cell, " = ")+1:]); n != "" {
					columns[c] = append(columns[c], n)
				}
				continue
			}
			if got := firstNumber.FindAllString(terms, -1); strings.Join(got, " + ") != strings.Join(columns[c], " + ") {
				problems = append(problems, d.problem(i+1, "the total is of %v, and the rows are %v", got, columns[c]))
			}
			v, _, _, _ := value(result)
			all[under] = append(all[under], v)
		}
	}
	return all, problems
}

func TestSumsComeOut(t *testing.T) {
	for _, d := range documents(t) {
		cost := d.name == "docs/cost.md"
		count, problems := sums(d, cost)
		report(t, problems)
		if cost && count < 50 {
			t.Errorf("%s has %d sums: are they written as before?", d.name, count)
		}
	}
}

// The last table of cost.md repeats the totals.
func TestTotalsAreOfTheirRows(t *testing.T) {
	d := read("docs/cost.md", file(t, "docs/cost.md"))
	all, problems := totals(d)
	report(t, problems)
	_, last, found := strings.Cut(d.prose, "## What it comes to")
	if !found || len(all) != 4 {
		t.Fatalf("found totals of %v", all)
	}
	for heading, want := range all {
		row := regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(strings.Split(heading, " and ")[0]) + `[^|]*\|(.*)\|$`).FindStringSubmatch(last)
		if row == nil {
			t.Errorf("the last table has no row of %s", heading)
			continue
		}
		for c, cell := range strings.Split(row[1], "|") {
			if got, _, _, _ := value(cell); got != math.Round(want[c]) {
				t.Errorf("%s: the last table says %v, the total is %v", heading, got, want[c])
			}
		}
	}
}

func TestWrongSumsAreNoticed(t *testing.T) {
	for text, wrong := range map[string]int{
		"2 × 3 = 6":                        0,
		"2 × 3 = 7":                        1,
		"so that (12 − 10) × 0.30 = 0.60.": 0,
		"so that (12 − 10) × 0.30 = 0.61.": 1,
		"1,000 + 2 × 10 = 1,020 and more":  0,
		"1,000 + 2 × 10 = 10,020":          1,
		"10 ÷ 4 = 2.5 = 1 + 1.5":           0,
		"10 ÷ 4 = 2.5 = 1 + 2":             1,
		"10 ÷ 3 = 3.33":                    0,
		"10 ÷ 3 = 3.34":                    1,
		"| a | 1 + 1 = **2** | 2 = 3 |":    1,
		"something = 3":                    1,
		"1 +\n1 = 2":                       0,
	} {
		if _, got := sums(read("x.md", text), true); len(got) != wrong {
			t.Errorf("%q: noticed %q, want %d", text, got, wrong)
		}
	}
	const table = "## A\n\n| | x |\n| --- | --- |\n| a | 2 × 3 = 6.00 |\n| b | 0.00 (of 5) |\n| **total** | 6.00 + 0.00 = **6.00** |\n"
	if _, got := totals(read("x.md", table)); got != nil {
		t.Errorf("of a right table: %q", got)
	}
	if _, got := totals(read("x.md", strings.Replace(table, "= 6.00 |\n| b", "= 7.00 |\n| b", 1))); len(got) != 1 {
		t.Errorf("of a wrong table: %q", got)
	}
}
