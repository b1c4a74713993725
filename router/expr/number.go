package expr

import (
	"errors"
	"math/big"
	"math/bits"
	"strconv"
)

const (
	// precision is that of cty's numbers, in bits.
	precision = 512
	// maxDigits bounds the work on a number that a producer wrote: parsing is
	// quadratic in its digits.
	maxDigits = 1000
	// maxExponent bounds the binary exponent: adding 1 to 1e300000000 would take
	// as many digits.
	maxExponent = 1 << 16
	// smallDigits is how many digits always fit an int64.
	smallDigits = 18
)

var (
	errDivideByZero = errors.New("division by zero")
	errNumberRange  = errors.New("the number is too large or too small")
)

var pow10 = func() (p [smallDigits + 1]int64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = p[i-1] * 10
	}
	return p
}()

// number is coef / 10^scale exactly, with the smallest possible scale; or big
// where that does not fit.
type number struct {
	coef  int64
	scale uint8
	big   *big.Float
}

func intNumber(n int) number { return number{coef: int64(n)} }

// parseNumber reads what JSON and HCL call a number.
func parseNumber(s string) (number, bool) {
	if len(s) == 0 || len(s) > maxDigits {
		return number{}, false
	}
	i, neg := 0, false
	if s[0] == '-' || s[0] == '+' {
		neg = s[0] == '-'
		i++
	}
	var coef int64
	digits, seen, fraction, point := 0, 0, 0, false
	zeros := 0 // zeros that count only if another digit follows
	fits := true
	for ; i < len(s); i++ {
		c := s[i]
		if c == '.' {
			if point {
				return number{}, false
			}
			point = true
			continue
		}
		if c < '0' || c > '9' {
			break
		}
		seen++
		if point {
			fraction++
		}
		if c == '0' {
			if digits > 0 {
				zeros++
			}
			continue
		}
		digits += zeros + 1
		if digits > smallDigits {
			fits = false
			zeros = 0
			continue
		}
		coef = coef*pow10[zeros+1] + int64(c-'0')
		zeros = 0
	}
	if seen == 0 {
		return number{}, false
	}
	exponent := 0
	if i < len(s) {
		if s[i] != 'e' && s[i] != 'E' {
			return number{}, false
		}
		e, err := strconv.Atoi(s[i+1:])
		if err != nil {
			return number{}, false
		}
		exponent = e
	}
	if coef == 0 && fits {
		return number{}, true
	}
	if fits && exponent > -100 && exponent < 100 {
		// coef stands for its digits without the zeros at the end.
		switch e := zeros - fraction + exponent; {
		case e >= 0 && digits+e <= smallDigits:
			coef *= pow10[e]
			if neg {
				coef = -coef
			}
			return number{coef: coef}, true
		case e < 0 && -e <= smallDigits:
			if neg {
				coef = -coef
			}
			return number{coef: coef, scale: uint8(-e)}, true
		}
	}
	f, _, err := big.ParseFloat(s, 10, precision, big.ToNearestEven)
	if err != nil || !bounded(f) {
		return number{}, false
	}
	return number{big: f}, true
}

// fromBig takes f, which must be finite.
func fromBig(f *big.Float) number {
	if f.IsInt() {
		if n, acc := f.Int64(); acc == big.Exact && n > -pow10[smallDigits] && n < pow10[smallDigits] {
			return number{coef: n}
		}
	}
	return number{big: f}
}

func newBig() *big.Float { return new(big.Float).SetPrec(precision) }

func (n number) float() *big.Float {
	if n.big != nil {
		return n.big
	}
	f := newBig().SetInt64(n.coef)
	if n.scale == 0 {
		return f
	}
	return f.Quo(f, newBig().SetInt64(pow10[n.scale]))
}

func (n number) sign() int {
	switch {
	case n.big != nil:
		return n.big.Sign()
	case n.coef < 0:
		return -1
	case n.coef > 0:
		return 1
	}
	return 0
}

// shift returns coef * 10^by and whether it fits.
func shift(coef int64, by uint8) (int64, bool) {
	if by == 0 {
		return coef, true
	}
	return multiply(coef, pow10[by])
}

func multiply(a, b int64) (int64, bool) {
	neg := (a < 0) != (b < 0)
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	if hi != 0 || lo > 1<<63-1 {
		return 0, false
	}
	if neg {
		return -int64(lo), true
	}
	return int64(lo), true
}

func magnitude(a int64) uint64 {
	if a < 0 {
		return -uint64(a)
	}
	return uint64(a)
}

// align gives both numbers one scale.
func align(a, b number) (x, y int64, scale uint8, ok bool) {
	if a.big != nil || b.big != nil {
		return 0, 0, 0, false
	}
	scale = max(a.scale, b.scale)
	x, ok = shift(a.coef, scale-a.scale)
	if !ok {
		return 0, 0, 0, false
	}
	y, ok = shift(b.coef, scale-b.scale)
	return x, y, scale, ok
}

func (n number) compare(m number) int {
	if x, y, _, ok := align(n, m); ok {
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	}
	return n.float().Cmp(m.float())
}

// decimal removes the zeros at the end of a fraction.
func decimal(coef int64, scale uint8) number {
	for scale > 0 && coef%10 == 0 {
		coef, scale = coef/10, scale-1
	}
	return number{coef: coef, scale: scale}
}

func (n number) add(m number) (number, error) {
	if x, y, scale, ok := align(n, m); ok {
		if s := x + y; (s > x) == (y > 0) {
			return decimal(s, scale), nil
		}
	}
	return finite(newBig().Add(n.float(), m.float()))
}

func (n number) negate() number {
	if n.big != nil {
		return number{big: newBig().Neg(n.big)}
	}
	return number{coef: -n.coef, scale: n.scale} // never the smallest int64: see multiply
}

func (n number) mul(m number) (number, error) {
	if n.big == nil && m.big == nil && n.scale+m.scale <= smallDigits {
		if p, ok := multiply(n.coef, m.coef); ok {
			return decimal(p, n.scale+m.scale), nil
		}
	}
	return finite(newBig().Mul(n.float(), m.float()))
}

func (n number) div(m number) (number, error) {
	if m.sign() == 0 {
		return number{}, errDivideByZero
	}
	if x, y, _, ok := align(n, m); ok && x%y == 0 {
		return number{coef: x / y}, nil
	}
	return finite(newBig().Quo(n.float(), m.float()))
}

// mod has the sign of n.
func (n number) mod(m number) (number, error) {
	if m.sign() == 0 {
		return number{}, errDivideByZero
	}
	if x, y, scale, ok := align(n, m); ok {
		return decimal(x%y, scale), nil
	}
	a, b := n.float(), m.float()
	q := newBig().Quo(a, b)
	if q.IsInf() || q.MantExp(nil) > precision {
		return number{}, errNumberRange // the rest would have no exact digit
	}
	whole, _ := q.Int(nil)
	q.SetInt(whole)
	return finite(q.Sub(a, q.Mul(q, b)))
}

func bounded(f *big.Float) bool {
	e := f.MantExp(nil)
	return !f.IsInf() && e <= maxExponent && e >= -maxExponent
}

func finite(f *big.Float) (number, error) {
	if !bounded(f) {
		return number{}, errNumberRange
	}
	return fromBig(f), nil
}

// text is the number as HCL prints it: no exponent, no needless zero.
func (n number) text() (string, error) {
	if n.big != nil {
		if e := n.big.MantExp(nil); e > 3*maxDigits || e < -3*maxDigits {
			return "", errNumberRange
		}
		return n.big.Text('f', -1), nil
	}
	if n.scale == 0 {
		return strconv.FormatInt(n.coef, 10), nil
	}
	var buf [24]byte
	digits := strconv.AppendUint(buf[:0], magnitude(n.coef), 10)
	out := make([]byte, 0, 24)
	if n.coef < 0 {
		out = append(out, '-')
	}
	whole := len(digits) - int(n.scale)
	if whole <= 0 {
		out = append(out, '0', '.')
		for ; whole < 0; whole++ {
			out = append(out, '0')
		}
		return string(append(out, digits...)), nil
	}
	out = append(out, digits[:whole]...)
	out = append(out, '.')
	return string(append(out, digits[whole:]...)), nil
}

// index returns the number as a place in a list.
func (n number) index() (int, bool) {
	if n.big != nil || n.scale != 0 || n.coef < 0 || n.coef > 1<<31 {
		return 0, false
	}
	return int(n.coef), true
}
