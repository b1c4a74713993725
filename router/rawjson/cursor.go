package rawjson

import "bytes"

// cursor walks over the members of an object or the elements of an array. The
// offsets are those of the current one.
type cursor struct {
	data      []byte
	object    bool
	done, bad bool
	count     int // members or elements seen, with the current one
	start     int // of the key, or of the element
	keyEnd    int
	value0    int // where the value begins
	end       int // behind the value; behind the bracket before the first next
}

// open returns a cursor before the first member or element. It is bad where
// data is neither an object nor an array.
func open(data []byte) cursor {
	i := skipSpace(data, 0)
	c := cursor{data: data, end: i + 1}
	switch {
	case i == len(data) || data[i] != '{' && data[i] != '[':
		c.done, c.bad = true, true
	default:
		c.object = data[i] == '{'
	}
	return c
}

func openObject(data []byte) cursor { return openAs(data, true) }

func openArray(data []byte) cursor { return openAs(data, false) }

func openAs(data []byte, object bool) cursor {
	c := open(data)
	if c.object != object {
		c.done, c.bad = true, true
	}
	return c
}

// at reports whether the current member or element is the one that s names.
func (c *cursor) at(s Segment) bool {
	if c.object {
		return EqualString(c.key(), s.name)
	}
	return c.count-1 == s.index
}

func (c *cursor) key() []byte { return c.data[c.start:c.keyEnd] }

func (c *cursor) value() []byte { return c.data[c.value0:c.end] }

// next moves to the next member or element. It returns false at the end and,
// with bad set, where the data makes no sense.
func (c *cursor) next() bool { return c.nextKey() && c.skip() }

// nextKey is next without looking for the end of the value.
func (c *cursor) nextKey() bool {
	if c.done {
		return false
	}
	d := c.data
	i := skipSpace(d, c.end)
	if i == len(d) {
		return c.fail()
	}
	if d[i] == '}' || d[i] == ']' {
		c.done = true
		return false
	}
	if c.count > 0 {
		if d[i] != ',' {
			return c.fail()
		}
		i = skipSpace(d, i+1)
	}
	c.count++
	c.start = i
	if c.object {
		if i == len(d) || d[i] != '"' {
			return c.fail()
		}
		if c.keyEnd = skipString(d, i); c.keyEnd < 0 {
			return c.fail()
		}
		i = skipSpace(d, c.keyEnd)
		if i == len(d) || d[i] != ':' {
			return c.fail()
		}
		i = skipSpace(d, i+1)
	}
	c.value0 = i
	return true
}

// skip goes over the value that nextKey found.
func (c *cursor) skip() bool {
	end := skipValue(c.data, c.value0)
	if end < 0 {
		return c.fail()
	}
	c.end = end
	return true
}

func (c *cursor) fail() bool {
	c.done, c.bad = true, true
	return false
}

func skipSpace(data []byte, i int) int {
	for i < len(data) {
		switch data[i] {
		case ' ', '\t', '\n', '\r':
			i++
		default:
			return i
		}
	}
	return i
}

// skipString returns the offset behind the string whose opening quote is at i,
// or -1 where it does not end.
func skipString(data []byte, i int) int {
	start := i + 1
	for i = start; ; i++ {
		n := bytes.IndexByte(data[i:], '"')
		if n < 0 {
			return -1
		}
		i += n
		back := i
		for back > start && data[back-1] == '\\' {
			back--
		}
		if (i-back)%2 == 0 {
			return i + 1
		}
	}
}

// skipValue returns the offset behind the value that begins at i, or -1 where
// there is none. Inside of objects and arrays it counts brackets only.
func skipValue(data []byte, i int) int {
	if i >= len(data) {
		return -1
	}
	switch data[i] {
	case '"':
		return skipString(data, i)
	case '{', '[':
		return skipRest(data, i+1)
	}
	start := i
	for i < len(data) {
		switch data[i] {
		case ',', '}', ']', ':', ' ', '\t', '\n', '\r', '"', '{', '[':
			if i == start {
				return -1
			}
			return i
		}
		i++
	}
	return i
}
