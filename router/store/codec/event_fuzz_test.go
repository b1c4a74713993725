package codec

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

// FuzzEvent stores an event of any texts and reads it back. Bytes that were cut
// off within its fields are never read as an event.
func FuzzEvent(f *testing.F) {
	f.Add("evt_1", "o", "t", "s", "text/plain", "n", "v", []byte("data"), int64(1), int64(2), 3, true, 20)
	f.Add("", "", "", "", "", "", "", []byte{}, int64(-1), int64(0), 0, false, 0)
	f.Fuzz(func(t *testing.T, id, origin, typ, source, contentType, name, value string, data []byte, at, received int64, hops int, given bool, cut int) {
		e := &event.Event{
			Position: 5, ID: id, OriginID: origin, Given: given, Scope: name, Type: typ, Source: source, Subject: value, Tenant: origin,
			Time: time.Unix(0, at).UTC(), Received: time.Unix(0, received).UTC(), ContentType: contentType,
			Header: []event.Field{{Name: name, Value: value}, {Name: value, Value: name}}, Data: data, Cause: source, Hops: hops & 0xffff,
		}
		b := AppendEvent([]byte("before"), e)
		if !bytes.HasPrefix(b, []byte("before")) {
			t.Fatalf("what stood before is gone: %x", b)
		}
		b = b[len("before"):]
		got, err := Event(5, b)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Data) == 0 && len(data) == 0 {
			got.Data, e.Data = nil, nil
		}
		if !reflect.DeepEqual(got, e) {
			t.Fatalf("%+v is read as %+v", e, got)
		}
		var h Head
		if err := EventHead(b, &h); err != nil {
			t.Fatal(err)
		}
		if !h.Received.Equal(e.Received) || !bytes.Equal(h.Data, data) || string(h.ID) != id || string(h.Type) != typ || string(h.Source) != source ||
			string(h.OriginID) != origin || string(h.Subject) != value || string(h.Tenant) != origin {
			t.Fatalf("the head of %+v is read as %+v", e, h)
		}
		if end := len(b) - len(data); cut >= 0 && cut < end {
			if err := EventHead(b[:cut], &h); !errors.Is(err, ErrMalformed) {
				t.Fatalf("the head of the first %d of %d bytes is read, error %v", cut, end, err)
			}
			if got, err := Event(5, b[:cut]); !errors.Is(err, ErrMalformed) {
				t.Fatalf("the first %d of %d bytes are read as %+v, error %v", cut, end, got, err)
			}
		}
	})
}

// FuzzLane stores the state of a lane with any references that ascend, and
// postings of the same, and reads them back.
func FuzzLane(f *testing.F) {
	f.Add([]byte{1, 0, 9, 3}, uint64(7), uint64(2), uint64(1))
	f.Add([]byte{255, 255, 255, 255, 0, 1}, uint64(1)<<60, uint64(0), uint64(1)<<40)
	f.Fuzz(func(t *testing.T, steps []byte, start, left, dead uint64) {
		at := store.Ref{Position: start & (1<<60 - 1), Index: 1}
		l := &Lane{Cursor: store.Cursor{Low: at}, Left: left & (1<<60 - 1), Dead: dead}
		for i, s := range steps {
			if s&1 == 0 {
				at = store.Ref{Position: at.Position + uint64(s)*uint64(i+1) + 1, Index: uint32(s)}
			} else {
				at.Index += uint32(s)
			}
			l.Cursor.Above = append(l.Cursor.Above, at)
		}
		l.Posted = l.Left + uint64(len(steps))
		got, err := DecodeLane(AppendLane(nil, l))
		if err != nil {
			t.Fatalf("%+v: %v", l, err)
		}
		if len(steps) == 0 {
			got.Cursor.Above = nil
		}
		if !reflect.DeepEqual(got, l) {
			t.Fatalf("%+v is read as %+v", l, got)
		}
		p, err := DecodePostings(AppendPostings(nil, l.Posted, l.Cursor.Above))
		if len(steps) == 0 {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("postings of nothing are read as %+v, error %v", p, err)
			}
		} else if err != nil || p.Posted != l.Posted || !reflect.DeepEqual(p.Refs, l.Cursor.Above) {
			t.Fatalf("postings %v are read as %+v, error %v", l.Cursor.Above, p, err)
		}
	})
}
