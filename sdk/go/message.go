package weir

import "strconv"

// Message is the event on its way along a route. It is valid during the call
// that it was given to.
type Message struct{ emitted int }

// ID returns the event's id. It never changes.
func (m *Message) ID() string { return readString(fieldID) }

// Type returns the type, such as "payment.completed".
func (m *Message) Type() string { return readString(fieldType) }

// Source returns the name of the source block that took the event.
func (m *Message) Source() string { return readString(fieldSource) }

// Subject returns the subject, or "".
func (m *Message) Subject() string { return readString(fieldSubject) }

// Tenant returns the tenant, or "".
func (m *Message) Tenant() string { return readString(fieldTenant) }

// Time returns the event's time in RFC 3339.
func (m *Message) Time() string { return readString(fieldTime) }

// Route returns the name of the route.
func (m *Message) Route() string { return readString(fieldRoute) }

// ContentType returns the content type of the data, or "".
func (m *Message) ContentType() string { return readString(fieldContentType) }

// Data returns the data's bytes as they stand.
func (m *Message) Data() []byte {
	b, _ := read(fieldData)
	return b
}

// JSON returns the whole message: id, type, source, subject, time, header and
// data.
func (m *Message) JSON() Value {
	v, _ := read(fieldMessage)
	return v
}

// SetType changes the type, which the receiver sees.
func (m *Message) SetType(s string) error { return change(hostWrite(fieldType, []byte(s))) }

// SetSubject changes the subject.
func (m *Message) SetSubject(s string) error { return change(hostWrite(fieldSubject, []byte(s))) }

// SetContentType changes the content type. To one that claims JSON only when the
// data is JSON already.
func (m *Message) SetContentType(s string) error {
	return change(hostWrite(fieldContentType, []byte(s)))
}

// SetData replaces all of the data. Under a content type that claims JSON it
// must be one JSON value.
func (m *Message) SetData(b []byte) error { return change(hostWrite(fieldData, b)) }

// Get returns the value at a path of data, empty where there is none. Forms and
// texts have values too: an object of strings, and a string.
func (m *Message) Get(path string) Value {
	return append(Value(nil), m.peek(path)...)
}

// peek is Get without a copy: the value is there until the next call of the host.
func (m *Message) peek(path string) Value {
	n := hostGet(path, scratch[:])
	if n >= 0 && int(n) <= len(scratch) {
		return scratch[:n]
	}
	if n == -2 {
		panic("malformed path " + strconv.Quote(path))
	}
	if n < 0 {
		return nil
	}
	taken += int(n)
	b := make([]byte, n)
	hostGet(path, b)
	return b
}

// Has reports whether there is a value at a path of data, null included.
func (m *Message) Has(path string) bool { return m.peek(path).Exists() }

// String returns the string at a path of data. See [Value.String].
func (m *Message) String(path string) string { return m.peek(path).String() }

// Int returns the integer at a path of data, 0 where there is none.
func (m *Message) Int(path string) int64 { return m.peek(path).Int() }

// Float returns the number at a path of data, 0 where there is none.
func (m *Message) Float(path string) float64 { return m.peek(path).Float() }

// Bool reports whether the value at a path of data is true.
func (m *Message) Bool(path string) bool { return m.peek(path).Bool() }

// Set puts a value at a path of data. Objects that are missing on the way are
// made, and the index behind an array's last element appends. The value is a
// string, a bool, an integer, a float64, nil, or a [Value], which stands for
// itself; anything else is [ErrMalformed].
func (m *Message) Set(path string, value any) error {
	v, ok := appendValue(encoded[:0], value)
	if !ok {
		return ErrMalformed
	}
	return change(hostSet(path, v))
}

// Remove takes the value at a path out of data, and reports whether there was
// one.
func (m *Message) Remove(path string) bool {
	code := hostRemove(path)
	if code < -1 {
		panic("remove " + strconv.Quote(path) + ": " + change(code).Error())
	}
	return code == 0
}

// Header returns a header's value, repeated ones joined by ", ", or "".
func (m *Message) Header(name string) string {
	b, _ := pull(func(buffer []byte) int32 { return hostHeader(name, buffer) })
	return string(b)
}

// SetHeader sets a header that the receiver gets.
func (m *Message) SetHeader(name, value string) error { return change(hostSetHeader(name, value)) }

// RemoveHeader removes a header and reports whether there was one.
func (m *Message) RemoveHeader(name string) bool { return hostRemoveHeader(name) == 0 }

// Emit adds the message as it stands to the results, then puts it back to what
// it was at first. After an Emit only what was emitted counts.
func (m *Message) Emit() error {
	if err := change(hostEmit()); err != nil {
		return err
	}
	m.emitted++
	return nil
}
