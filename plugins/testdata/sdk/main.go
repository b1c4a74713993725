// A guest that uses all of the SDK: the event's type says what.
package main

import (
	"errors"
	"fmt"

	weir "github.com/weirhq/weir/sdk/go"
)

func main() {}

//go:wasmexport weir_init
func start() int32 {
	return weir.Init(func() error {
		if weir.Config().Get("refuse").Bool() {
			return errors.New("config refused")
		}
		weir.Info("started")
		return nil
	})
}

//go:wasmexport weir_filter
func filter() int32 {
	return weir.Filter(func(m *weir.Message) (bool, error) {
		if err := m.SetType("x"); !errors.Is(err, weir.ErrNotAllowed) {
			return false, fmt.Errorf("a filter could change the type: %v", err)
		}
		return !m.Bool("drop"), nil
	})
}

//go:wasmexport weir_transform
func transform() int32 {
	return weir.Transform(func(m *weir.Message) error {
		switch m.Type() {
		case "split":
			var err error
			m.Get("items").Each(func(_ string, item weir.Value) bool {
				if err = m.Set("", item); err == nil {
					err = m.Emit()
				}
				return err == nil
			})
			return err
		case "drop":
			return weir.Drop
		case "fields":
			text := fmt.Sprintf("%s|%s|%s|%s|%s|%s|%s|%s|%s|%s|%s", m.ID(), m.Type(), m.Source(), m.Subject(), m.Tenant(), m.Time(), m.Route(), m.ContentType(),
				m.Header("X-One"), m.Data(), m.JSON())
			weir.Info(text)
			return nil
		case "limit":
			for {
				if err := m.Emit(); err != nil {
					return err
				}
			}
		}
		if m.Remove("absent") || m.Has("absent") {
			return errors.New("something absent was there")
		}
		if err := m.Set("a.b", "\"quoted\"\n"); err != nil {
			return err
		}
		if err := m.Set("list.5", 1); !errors.Is(err, weir.ErrNoPlace) {
			return fmt.Errorf("set past the end: %v", err)
		}
		if err := m.Set("list.0", m.Int("list.0")+1); err != nil {
			return err
		}
		if !m.Remove("gone") {
			return errors.New("gone was absent")
		}
		if err := m.Set("greeting", weir.Config().String()); err != nil {
			return err
		}
		if err := m.SetHeader("Webhook-Id", "x"); !errors.Is(err, weir.ErrNotAllowed) {
			return fmt.Errorf("webhook-id could be set: %v", err)
		}
		if err := m.SetData([]byte("{")); !errors.Is(err, weir.ErrMalformed) {
			return fmt.Errorf("broken data was taken: %v", err)
		}
		if err := errors.Join(m.SetHeader("X-Set", "yes"), m.SetType("changed"), m.SetSubject("s2")); err != nil {
			return err
		}
		if !m.RemoveHeader("x-two") || m.Header("x-two") != "" {
			return errors.New("x-two was not removed")
		}
		return nil
	})
}
