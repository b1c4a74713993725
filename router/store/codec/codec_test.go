package codec

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

// row is a kind of row: an encoded example, and a function that decodes bytes
// and encodes what they gave.
type row struct {
	name    string
	example []byte
	again   func(b []byte) ([]byte, error)
}

func rows() []row {
	attempt := store.Attempt{Number: 3, Started: now, Latency: 5, DNS: 1, Connect: -1, TLS: 2, FirstByte: 3, Status: 503, Reason: "status", Error: "e", Body: []byte("body")}
	routing := &Routing{
		Routing: store.Routing{
			Config:   "00ff",
			Matches:  []store.Match{{Route: "r", Plugins: []store.Verdict{{Plugin: "p", Build: "abcd", Filter: "keep", Error: "x", Duration: 9, Fuel: 1 << 40, Logs: []store.Log{{Level: 3, Text: "l"}, {}}}}}, {Route: "s", Config: "c", Version: 3}},
			Contents: []store.Content{{Type: "t", Data: []byte("d"), HeaderChanged: true, Header: []event.Field{{Name: "a", Value: "b"}}}, {Type: "u", Head: 300, Tail: 2}},
			Deliveries: []store.Delivery{
				{Lane: "a", Content: 0, N: 2, Several: true}, {Lane: "b", Content: -1, Match: 1, Due: now, Replay: "rp"},
				{Lane: "@routing", Content: -1, Dead: store.ReasonRouting, Error: "broken"},
			},
		},
		Outside: []int{-1, 700000},
		Gone:    map[uint32]bool{1: true},
	}
	return []row{
		{"event", AppendEvent(nil, &event.Event{ID: "id", OriginID: "o", Given: true, Scope: "sc", Type: "t", Source: "s", Subject: "su", Tenant: "te", Time: time.Time{}, Received: now, ContentType: "c", Header: []event.Field{{Name: "n", Value: "v"}}, Data: []byte("data"), Cause: "ca", Hops: 2, Trace: &event.Trace{TraceID: [16]byte{1, 15: 2}, SpanID: [8]byte{3, 7: 4}, Flags: 1, State: "a=b"}}),
			func(b []byte) ([]byte, error) {
				e, err := Event(7, b)
				if err != nil {
					return nil, err
				}
				return AppendEvent(nil, e), nil
			}},
		{"note", AppendNote(nil, &Note{Until: now, Alias: "alias"}), func(b []byte) ([]byte, error) {
			n, err := DecodeNote(b)
			if err != nil {
				return nil, err
			}
			return AppendNote(nil, n), nil
		}},
		{"spare events", AppendSpares(nil, 7, []Spare{{Note: []byte("note"), Data: []byte("data")}, {Data: []byte("more")}}), func(b []byte) ([]byte, error) {
			first, list, err := DecodeSpares(b)
			if err != nil {
				return nil, err
			}
			return AppendSpares(nil, first, list), nil
		}},
		{"routing", AppendRouting(nil, routing), func(b []byte) ([]byte, error) {
			r, err := DecodeRouting(7, b)
			if err != nil {
				return nil, err
			}
			return AppendRouting(nil, r), nil
		}},
		{"lane", AppendLane(nil, &Lane{Cursor: store.Cursor{Low: store.Ref{Position: 5, Index: 1}, Above: []store.Ref{{Position: 6}, {Position: 6, Index: 2}, {Position: 1 << 60}}}, Posted: 9, Left: 3, Dead: 1}),
			func(b []byte) ([]byte, error) {
				l, err := DecodeLane(b)
				if err != nil {
					return nil, err
				}
				return AppendLane(nil, l), nil
			}},
		{"postings", AppendPostings(nil, 9, []store.Ref{{Position: 6}, {Position: 8, Index: 7}}), func(b []byte) ([]byte, error) {
			p, err := DecodePostings(b)
			if err != nil {
				return nil, err
			}
			return AppendPostings(nil, p.Posted, p.Refs), nil
		}},
		{"positions", AppendPositions(nil, []uint64{1, 5, 1 << 50}), func(b []byte) ([]byte, error) {
			p, err := DecodePositions(b)
			if err != nil {
				return nil, err
			}
			return AppendPositions(nil, p), nil
		}},
		{"id", AppendID(nil, &ID{Position: 4, Sum: [16]byte{1, 2}, Until: now}), func(b []byte) ([]byte, error) {
			id, err := DecodeID(b)
			if err != nil {
				return nil, err
			}
			return AppendID(nil, id), nil
		}},
		{"retry", AppendRetry(nil, Retry{Tries: 2, Attempts: 300, Key: 1 << 60}), func(b []byte) ([]byte, error) {
			y, err := DecodeRetry(b)
			if err != nil {
				return nil, err
			}
			return AppendRetry(nil, y), nil
		}},
		{"time", AppendTime(nil, now), func(b []byte) ([]byte, error) {
			v, err := DecodeTime(b)
			if err != nil {
				return nil, err
			}
			return AppendTime(nil, v), nil
		}},
		{"delivery", AppendDelivery(nil, &Delivery{State: store.Retrying, Due: now, Tries: 2, Reason: "r", Note: "n", Changed: now, Attempts: []store.Attempt{attempt, {}}, Key: 77}),
			func(b []byte) ([]byte, error) {
				d, err := DecodeDelivery(b)
				if err != nil {
					return nil, err
				}
				return AppendDelivery(nil, d), nil
			}},
		{"history", AppendHistory(nil, []Settled{{Ref: store.Ref{Position: 3}, Attempt: &attempt, Tries: 1}, {Ref: store.Ref{Position: 3, Index: 1}, Row: true}}),
			func(b []byte) ([]byte, error) {
				l, err := DecodeHistory(b)
				if err != nil {
					return nil, err
				}
				return AppendHistory(nil, l), nil
			}},
		{"lines of history", AppendHistory(nil, []Settled{{Ref: store.Ref{Position: 3}, Attempt: &attempt, Tries: 1}, {Ref: store.Ref{Position: 9, Index: 1}, Row: true}}),
			func(b []byte) ([]byte, error) {
				h, err := ReadHistory(b)
				if err != nil {
					return nil, err
				}
				lines := make([]Settled, h.Len())
				for i := range lines {
					l, err := h.Line(i)
					if err != nil {
						return nil, err
					}
					at, found := h.Find(h.Ref(i))
					if lines[i] = *l; l.Ref != h.Ref(i) || !found || at != i {
						return nil, fmt.Errorf("line %d is of %v, and found at %d", i, l.Ref, at)
					}
				}
				return AppendHistory(nil, lines), nil
			}},
	}
}

func TestRoundTrip(t *testing.T) {
	for _, r := range rows() {
		t.Run(r.name, func(t *testing.T) {
			got, err := r.again(bytes.Clone(r.example))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, r.example) {
				t.Errorf("got %x, want %x", got, r.example)
			}
		})
	}
}

// TestCutAndLengthened shows that nothing but the whole is taken. An event's data
// has no end of its own, so only its fields are cut.
func TestCutAndLengthened(t *testing.T) {
	for _, r := range rows() {
		end := len(r.example)
		if r.name == "event" {
			end -= len("data")
		}
		for n := range end {
			if _, err := r.again(bytes.Clone(r.example[:n])); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s cut to %d of %d bytes: got error %v", r.name, n, end, err)
			}
		}
		if _, err := r.again(append(bytes.Clone(r.example), 0)); r.name != "event" && !errors.Is(err, ErrMalformed) {
			t.Errorf("%s and a byte more: got error %v", r.name, err)
		}
		other := bytes.Clone(r.example)
		other[0]++
		if _, err := r.again(other); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s of another version: got error %v", r.name, err)
		}
	}
}

// A routing without versions is as those were before there were any.
func TestRoutingWithoutVersions(t *testing.T) {
	r := &Routing{Routing: store.Routing{Config: "00", Matches: []store.Match{{Route: "r", Config: "c"}}}}
	b := AppendRouting(nil, r)
	got, err := DecodeRouting(0, b)
	if err != nil || b[0] != routingVersion || len(got.Matches) != 1 || got.Matches[0].Config != "c" || got.Matches[0].Version != 0 {
		t.Errorf("version %d: %+v, %v", b[0], got, err)
	}
	r.Matches[0].Version = 1
	if b = AppendRouting(nil, r); b[0] != versionedRouting {
		t.Errorf("one with a version is of version %d", b[0])
	}
}

func TestRoutingIsSmall(t *testing.T) {
	r := &Routing{Routing: store.Routing{Matches: []store.Match{{Route: "r"}}}}
	name := "wh_0000000000000"
	for i := range 10000 {
		b := []byte(name)
		for j, v := len(b)-1, i; v > 0; j, v = j-1, v/10 {
			b[j] = byte('0' + v%10)
		}
		r.Deliveries = append(r.Deliveries, store.Delivery{Lane: string(b), Content: -1})
	}
	if n := len(AppendRouting(nil, r)) / len(r.Deliveries); n > 24 {
		t.Errorf("%d bytes a delivery", n)
	}
}

func TestLateFields(t *testing.T) {
	e := &event.Event{ID: "0123", Type: "t", Received: now, Time: now, Data: []byte("d")}
	b := AppendEvent(nil, e)
	SetReceived(b, now.Add(time.Hour).UnixNano())
	if err := SetID(b, "4567"); err != nil {
		t.Fatal(err)
	}
	if err := SetID(b, "45678"); err == nil {
		t.Error("an id of another length is taken")
	}
	got, err := Event(9, b)
	if err != nil {
		t.Fatal(err)
	}
	want := *e
	want.Position, want.ID, want.Received = 9, "4567", now.Add(time.Hour)
	if !reflect.DeepEqual(got, &want) {
		t.Errorf("got %+v, want %+v", got, &want)
	}
}

// FuzzRows decodes any bytes as any row. What is taken must encode to something
// that decodes to the same.
func FuzzRows(f *testing.F) {
	for i, r := range rows() {
		f.Add(byte(i), r.example)
	}
	list := rows()
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		r := list[int(kind)%len(list)]
		first, err := r.again(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: %v", r.name, err)
			}
			return
		}
		second, err := r.again(bytes.Clone(first))
		if err != nil || !bytes.Equal(first, second) {
			t.Errorf("%s: %x became %x, then %x, error %v", r.name, b, first, second, err)
		}
	})
}
