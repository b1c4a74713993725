package golden

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// canonical writes a JSON value so that two of them have the same text where they
// mean the same: keys sorted, of duplicates the last, numbers in one form and
// without rounding. The value must be valid.
func canonical(value []byte) []byte {
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		panic(fmt.Sprintf("%q was said to be JSON: %v", value, err))
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(plain(v)); err != nil {
		panic(fmt.Sprintf("%q was read as JSON and can't be written: %v", value, err))
	}
	return bytes.TrimSpace(b.Bytes())
}

// plain puts every number in v into one form.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			v[k] = plain(x)
		}
	case []any:
		for i, x := range v {
			v[i] = plain(x)
		}
	case json.Number:
		return json.Number(number(string(v)))
	}
	return v
}

// number is the one form of a JSON number: no zeros that say nothing, and an
// exponent only where the digits alone would be long. -0 is 0.
func number(s string) string {
	digits, negative := strings.CutPrefix(s, "-")
	exponent := 0
	if i := strings.IndexAny(digits, "eE"); i >= 0 {
		n, err := strconv.Atoi(digits[i+1:])
		if err != nil {
			return s // an exponent beyond all reason is only equal to itself
		}
		digits, exponent = digits[:i], n
	}
	whole, fraction, _ := strings.Cut(digits, ".")
	exponent -= len(fraction)
	digits = strings.TrimLeft(whole+fraction, "0")
	if digits == "" {
		return "0"
	}
	trimmed := strings.TrimRight(digits, "0")
	exponent += len(digits) - len(trimmed)
	digits = trimmed
	switch {
	case exponent >= 0 && len(digits)+exponent <= 24:
		digits += strings.Repeat("0", exponent)
	case exponent < 0 && exponent > -24:
		if over := len(digits) + exponent; over > 0 {
			digits = digits[:over] + "." + digits[over:]
		} else {
			digits = "0." + strings.Repeat("0", -over) + digits
		}
	default:
		digits += "e" + strconv.Itoa(exponent)
	}
	if negative {
		return "-" + digits
	}
	return digits
}
