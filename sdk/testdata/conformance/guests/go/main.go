// The conformance guest in Go: what each SDK must be able to do, chosen by the
// type of the event. The events beside it say what must come of it.
package main

import (
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	weir "github.com/weirhq/weir/sdk/go"
)

func main() {}

//go:wasmexport weir_init
func start() int32 {
	return weir.Init(func() error {
		if weir.Config().Get("refuse").Bool() {
			return errors.New("refused by its config")
		}
		return nil
	})
}

//go:wasmexport weir_filter
func filter() int32 {
	return weir.Filter(func(m *weir.Message) (bool, error) {
		switch m.Type() {
		case "filter.drop":
			return false, nil
		case "filter.fail":
			return true, errors.New("the filter gives up")
		case "filter.change":
			return true, m.Set("changed", true)
		case "filter.panic":
			panic("broken filter")
		}
		return true, nil
	})
}

//go:wasmexport weir_transform
func transform() int32 { return weir.Transform(do) }

// check panics where a change fails that must not.
func check(err error) {
	if err != nil {
		panic(err)
	}
}

func do(m *weir.Message) error {
	saw := func(name string, value any) { check(m.Set("saw."+name, value)) }
	switch m.Type() {
	case "do.fields":
		saw("id", m.ID())
		saw("type", m.Type())
		saw("source", m.Source())
		saw("subject", m.Subject())
		saw("tenant", m.Tenant())
		saw("time", m.Time())
		saw("route", m.Route())
		saw("content_type", m.ContentType())
	case "do.get":
		saw("text", m.String("text"))
		saw("count", m.Int("count"))
		saw("ratio", m.Float("ratio"))
		saw("yes", m.Bool("yes"))
		saw("null", m.Has("nothing"))
		saw("escaped", m.String(`a\.b.1.c\\d`))
		saw("unicode", m.String("größe"))
		saw("whole", len(m.Get("").Get("text").String()))
		saw("big", m.Get("big"))
		saw("exact", m.Get("exact"))
	case "do.missing":
		saw("there", m.Has("nope"))
		saw("text", m.String("nope"))
		saw("count", m.Int("nope.deeper"))
		saw("ratio", m.Float("list.7"))
		saw("yes", m.Bool("text.below"))
		saw("header", m.Header("x-none"))
		saw("removed", m.Remove("nope"))
	case "do.set":
		check(m.Set("text", "é \"quoted\" \\ \n\x01 😀"))
		check(m.Set("int", int64(9007199254740993)))
		check(m.Set("negative", -7))
		check(m.Set("float", 1.5))
		check(m.Set("large", 1e21))
		check(m.Set("yes", true))
		check(m.Set("no", false))
		check(m.Set("nothing", nil))
		check(m.Set("made.on.the.way", 1))
		check(m.Set("list.2", "appended"))
		check(m.Set("list.0", weir.Value(`{"raw": 1.0}`)))
	case "do.remove":
		saw("there", m.Remove("secret"))
		saw("inside", m.Remove("list.1"))
		saw("again", m.Remove("secret"))
	case "do.walk":
		var sum int64
		m.Get("items").Each(func(_ string, item weir.Value) bool {
			sum += item.Get("n").Int()
			return true
		})
		var keys []string
		m.Get("names").Each(func(key string, v weir.Value) bool {
			keys = append(keys, key+"="+v.String())
			return true
		})
		saw("sum", sum)
		saw("keys", strings.Join(keys, " "))
	case "do.headers":
		saw("one", m.Header("X-One"))
		saw("repeated", m.Header("x-many"))
		check(m.SetHeader("X-New", "new"))
		check(m.SetHeader("x-one", "changed"))
		saw("now", m.Header("x-ONE"))
		saw("removed", m.RemoveHeader("X-Two"))
		saw("again", m.RemoveHeader("x-two"))
	case "do.write":
		check(m.SetType("done.written"))
		check(m.SetSubject("the subject"))
		check(m.SetContentType("text/plain"))
		check(m.SetData([]byte("plain é")))
	case "do.unset":
		check(m.SetSubject(""))
	case "do.bytes":
		b := m.Data()
		check(m.SetData(append(b, 0xff, byte(len(b)))))
	case "do.form":
		name := m.String("name")
		check(m.SetData([]byte("hello=" + name)))
	case "do.large":
		saw("length", len(m.String("text")))
	case "do.message":
		saw("type", m.JSON().Get("type").String())
		saw("name", m.JSON().Get("data.name").String())
	case "do.clock":
		saw("now", time.Now().UnixMilli())
		saw("random", rand.Uint64() != rand.Uint64())
	case "do.config":
		saw("limit", weir.Config().Get("limit").Int())
		saw("second", weir.Config().Get("names.1").String())
		saw("missing", weir.Config().Get("nope").Exists())
	case "do.split":
		m.Get("items").Each(func(_ string, item weir.Value) bool {
			check(m.Set("item", item))
			m.Remove("items")
			check(m.Emit())
			return true
		})
	case "do.drop":
		return weir.Drop
	case "do.emit-drop":
		check(m.Set("first", true))
		check(m.Emit())
		check(m.Set("second", true))
		return weir.Drop
	case "do.fail":
		return errors.New("no customer é")
	case "do.emit-fail":
		check(m.Emit())
		return errors.New("after an emit")
	case "do.log":
		for level, text := range []string{"a trace", "a detail", "said é", "be warned", "an error"} {
			weir.Log(weir.LevelTrace+level, text)
		}
	case "do.panic":
		panic("broken: 7")
	case "do.bad-path":
		m.Get("a..b")
	case "do.reserved":
		return m.SetHeader("Authorization", "x")
	case "do.no-place":
		return m.Set("text.below", 1)
	case "do.malformed":
		return m.SetType("")
	case "do.too-many":
		for range 65 {
			if err := m.Emit(); err != nil {
				return err
			}
		}
	}
	return nil
}
