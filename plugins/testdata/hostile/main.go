// A guest that does harm: the event's type says which.
package main

import (
	"fmt"
	"math/rand"
	"os"
	"strings"
	"time"

	weir "github.com/weirhq/weir/sdk/go"
)

func main() {}

var (
	seen int
	hold [][]byte
	sink int
)

//go:wasmimport weir read
func read(field int32, ptr uint32, size uint32) int32

//go:wasmexport weir_transform
func transform() int32 {
	var m weir.Message
	switch typ := m.Type(); typ {
	case "panic":
		panic("bare panic")
	case "nil":
		var p *struct{ n int }
		sink = p.n
	case "loop":
		for {
			sink++
		}
	case "sleep":
		time.Sleep(time.Hour)
	case "memory":
		for {
			hold = append(hold, make([]byte, 1<<20))
		}
	case "recursion":
		sink = deep(0)
	case "exit":
		os.Exit(3)
	case "stderr":
		for range 10000 {
			fmt.Fprintln(os.Stderr, strings.Repeat("noise ", 10))
		}
		panic("after the noise")
	case "result":
		return 7
	case "negative":
		return -5
	case "pointer":
		return read(0, 0xffffff00, 64)
	case "sdk-panic":
		return weir.Transform(func(*weir.Message) error { panic(fmt.Errorf("inside %d", seen)) })
	case "sdk-error":
		return weir.Transform(func(*weir.Message) error { return fmt.Errorf("no customer") })
	case "path":
		return weir.Transform(func(m *weir.Message) error { m.String("a..b"); return nil })
	}
	seen++
	return weir.Transform(func(m *weir.Message) error {
		_, file := os.ReadFile("/etc/passwd")
		return m.Set("", weir.Value(fmt.Sprintf(`{"seen":%d,"time":%q,"random":%d,"args":%d,"env":%d,"file":%t}`,
			seen, time.Now().UTC().Format(time.RFC3339Nano), rand.Int63(), len(os.Args), len(os.Environ()), file == nil)))
	})
}

func deep(n int) int { return deep(n+1) + 1 }
