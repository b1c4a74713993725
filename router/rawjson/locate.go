package rawjson

// locate follows p through data in one pass, however deep the path, since a
// plugin chooses both and must not make the host's work grow with their
// product. It returns how many segments lead somewhere, and where the value
// begins that the last of them leads to (0 segments: all of data). It returns
// false where the data makes no sense.
//
// Of duplicate keys the last counts, so a match is kept until the same level
// matches again, and every object on the way is read to its end.
func locate(data []byte, p Path) (reached, start int, ok bool) {
	var few [1]uint64
	objects := few[:] // one bit a level: the container there is an object
	if len(p) > 64 {
		objects = make([]uint64, len(p)/64+1)
	}
	i := skipSpace(data, 0)
	start = i
	level, first := 0, true
	for entering := true; ; {
		if entering {
			// i is at a value that p[:level] leads to.
			entering = false
			switch {
			case i < len(data) && level < len(p) && data[i] == '{':
				objects[level/64] |= 1 << (level % 64)
				i, first = i+1, true
			case i < len(data) && level < len(p) && data[i] == '[' && p[level].index >= 0:
				c := open(data[i:])
				for c.nextKey() && c.count-1 < p[level].index && c.skip() {
				}
				switch {
				case c.bad:
					return 0, 0, false
				case c.done: // too short
					if i = skipRest(data, i+c.end); i < 0 {
						return 0, 0, false
					}
					level--
				default:
					objects[level/64] &^= 1 << (level % 64)
					i += c.value0
					level++
					reached, start, entering = level, i, true
					continue
				}
			default:
				if i = skipValue(data, i); i < 0 {
					return 0, 0, false
				}
				level--
			}
			if level < 0 {
				return reached, start, true
			}
		}
		if objects[level/64]&(1<<(level%64)) == 0 {
			// The one element that counts is behind us.
			if i = skipRest(data, i); i < 0 {
				return 0, 0, false
			}
			if level--; level < 0 {
				return reached, start, true
			}
			first = false
			continue
		}
		m := cursor{data: data, object: true, end: i}
		if !first {
			m.count = 1
		}
		matched := false
		for m.nextKey() {
			if EqualString(m.key(), p[level].name) {
				matched = true
				break
			}
			if !m.skip() {
				break
			}
		}
		switch {
		case m.bad:
			return 0, 0, false
		case matched:
			i = m.value0
			level++
			reached, start, entering = level, i, true
		default:
			i = skipSpace(data, m.end) + 1
			if level--; level < 0 {
				return reached, start, true
			}
		}
		first = false
	}
}

// skipRest returns the offset behind the object or array that i is in, or -1.
func skipRest(data []byte, i int) int {
	depth := 1
	for i < len(data) {
		switch data[i] {
		case '"':
			if i = skipString(data, i); i < 0 {
				return -1
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return -1
}
