package attempt

import (
	"context"
	"io"
	"os"
	"sync"
	"time"

	"github.com/weirhq/weir/router/config"
)

func init() { register("stdout", openStdout) }

// stdoutLines keeps the lines of several destinations apart.
var stdoutLines sync.Mutex

// stdout prints one line for each delivery.
type stdout struct{ w io.Writer }

func openStdout(_ *config.Destination, o Options) (Sender, error) {
	w := o.Stdout
	if w == nil {
		w = os.Stdout
	}
	return &stdout{w: w}, nil
}

// Send returns when the line is written. A reader that does not read makes it
// wait, and everything else that prints.
func (s *stdout) Send(_ context.Context, d *Delivery) Outcome {
	o := Outcome{Started: time.Now().UTC()}
	line := appendLine(nil, d.ContentType, d.Body)
	stdoutLines.Lock()
	_, err := s.w.Write(line)
	stdoutLines.Unlock()
	o.Latency = time.Since(o.Started)
	if err != nil {
		o.Reason, o.Error = ReasonIO, "write to standard output: "+err.Error()
		return o
	}
	o.OK = true
	return o
}

func (s *stdout) Close() error { return nil }
