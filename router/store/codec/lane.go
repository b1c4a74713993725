package codec

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/weirhq/weir/router/store"
)

// Lane is a lane as its row has it.
type Lane struct {
	Cursor store.Cursor
	// Posted counts all postings ever made, and Left those of them that are no
	// longer waiting.
	Posted, Left uint64
	// The numbers of deliveries in these states.
	Retrying, Dead, Delivered, Cancelled uint64
}

// Counts gives the numbers that the store's interface has.
func (l *Lane) Counts() store.Counts {
	return store.Counts{
		Waiting: l.Posted - l.Left, Retrying: l.Retrying, Dead: l.Dead,
		Delivered: l.Delivered, Cancelled: l.Cancelled,
	}
}

// AppendLane appends l.
func AppendLane(b []byte, l *Lane) []byte {
	b = append(b, version)
	b = appendRef(b, l.Cursor.Low)
	b = appendRefs(b, l.Cursor.Above)
	for _, v := range [...]uint64{l.Posted, l.Left, l.Retrying, l.Dead, l.Delivered, l.Cancelled} {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

// DecodeLane decodes bytes of [AppendLane].
func DecodeLane(b []byte) (*Lane, error) {
	r := newReader("lane", string(b))
	l := &Lane{}
	l.Cursor.Low = r.ref()
	l.Cursor.Above = r.refs()
	for _, v := range [...]*uint64{&l.Posted, &l.Left, &l.Retrying, &l.Dead, &l.Delivered, &l.Cancelled} {
		*v = r.uvarint()
	}
	if r.err == nil && l.Left > l.Posted {
		r.fail("more left than were posted")
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	return l, nil
}

// Postings is a chunk of a lane's order.
type Postings struct {
	// Posted counts the lane's postings up to and with the last of this chunk.
	Posted uint64
	Refs   []store.Ref
}

// AppendPostings appends a chunk. Its references must ascend.
func AppendPostings(b []byte, posted uint64, refs []store.Ref) []byte {
	b = append(b, version)
	b = binary.AppendUvarint(b, posted)
	return appendRefs(b, refs)
}

// DecodePostings decodes bytes of [AppendPostings].
func DecodePostings(b []byte) (*Postings, error) {
	r := newReader("postings", string(b))
	p := &Postings{Posted: r.uvarint(), Refs: r.refs()}
	if r.err == nil && (len(p.Refs) == 0 || uint64(len(p.Refs)) > p.Posted) {
		r.fail("its count does not fit")
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	return p, nil
}

// AppendPositions appends positions, which must ascend, such as those of the
// events of one type.
func AppendPositions(b []byte, positions []uint64) []byte {
	b = append(b, version)
	b = binary.AppendUvarint(b, uint64(len(positions)))
	var last uint64
	for _, p := range positions {
		b = binary.AppendUvarint(b, p-last)
		last = p
	}
	return b
}

// DecodePositions decodes bytes of [AppendPositions].
func DecodePositions(b []byte) ([]uint64, error) {
	r := newReader("positions", string(b))
	n := r.count(1)
	positions := make([]uint64, 0, n)
	var last uint64
	for range n {
		d := r.uvarint()
		if d == 0 || last+d < last {
			r.fail("positions do not ascend")
			break
		}
		last += d
		positions = append(positions, last)
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	return positions, nil
}

// ID is what is remembered of an id that a producer gave.
type ID struct {
	Position uint64
	// Sum is the beginning of a hash of type and data.
	Sum [16]byte
	// Until is when another event may have the id, zero for at once.
	Until time.Time
}

// AppendID appends id.
func AppendID(b []byte, id *ID) []byte {
	b = append(b, version)
	b = binary.AppendUvarint(b, id.Position)
	b = append(b, id.Sum[:]...)
	return appendTime(b, id.Until)
}

// DecodeID decodes bytes of [AppendID].
func DecodeID(b []byte) (*ID, error) {
	r := newReader("id", string(b))
	id := &ID{Position: r.uvarint()}
	if len(r.s) < len(id.Sum) {
		r.fail("it ends too early")
	} else {
		copy(id.Sum[:], r.s)
		r.s = r.s[len(id.Sum):]
	}
	id.Until = r.time()
	if err := r.end(); err != nil {
		return nil, err
	}
	return id, nil
}

// Alias is what is remembered of an alias.
type Alias struct {
	ID
	// Name is the id of the event.
	Name string
}

// AppendAlias appends a.
func AppendAlias(b []byte, a *Alias) []byte {
	b = binary.AppendUvarint(b, uint64(len(a.Name)))
	b = append(b, a.Name...)
	return AppendID(b, &a.ID)
}

// DecodeAlias decodes bytes of [AppendAlias].
func DecodeAlias(b []byte) (*Alias, error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return nil, fmt.Errorf("%w alias: it ends too early", ErrMalformed)
	}
	id, err := DecodeID(b[size+int(n):])
	if err != nil {
		return nil, err
	}
	return &Alias{ID: *id, Name: string(b[size : size+int(n)])}, nil
}

// Retry is what the row of a retry holds beside its key.
type Retry struct {
	Tries, Attempts int
	// Key is that of the order which it is in, 0 for none.
	Key uint64
}

// AppendRetry appends y.
func AppendRetry(b []byte, y Retry) []byte {
	start := len(b)
	b = append(b, version)
	b = binary.AppendUvarint(b, uint64(max(y.Tries, 0)))
	b = binary.AppendUvarint(b, uint64(max(y.Attempts, 0)))
	return appendKey(b, start, y.Key)
}

// DecodeRetry decodes bytes of [AppendRetry].
func DecodeRetry(b []byte) (Retry, error) {
	r := newReaderOf("retry", string(b), keyed)
	y := Retry{Tries: r.int(), Attempts: r.int(), Key: r.key()}
	if err := r.end(); err != nil {
		return Retry{}, err
	}
	return y, nil
}

// AppendTime appends a row that is one time.
func AppendTime(b []byte, t time.Time) []byte {
	return appendTime(append(b, version), t)
}

// DecodeTime decodes bytes of [AppendTime].
func DecodeTime(b []byte) (time.Time, error) {
	r := newReader("time", string(b))
	t := r.time()
	return t, r.end()
}

// AppendNumbers appends a row of plain numbers.
func AppendNumbers(b []byte, v ...uint64) []byte {
	b = append(b, version)
	for _, n := range v {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

// DecodeNumbers decodes bytes of [AppendNumbers] into each of v.
func DecodeNumbers(b []byte, v ...*uint64) error {
	r := newReader("numbers", string(b))
	for _, n := range v {
		*n = r.uvarint()
	}
	return r.end()
}

func cloneRefs(refs []store.Ref) []store.Ref { return slices.Clone(refs) }

// CloneCursor copies c so that neither sees changes of the other.
func CloneCursor(c store.Cursor) store.Cursor {
	return store.Cursor{Low: c.Low, Above: cloneRefs(c.Above)}
}
