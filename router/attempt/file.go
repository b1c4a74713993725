package attempt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/weirhq/weir/router/config"
)

func init() { register("file", openFile) }

// file appends one line for each delivery.
type file struct {
	appender *appender
	timeout  time.Duration
	release  func() error // once, however often Close is called
}

func openFile(c *config.Destination, _ Options) (Sender, error) {
	path := c.Parsed.Path
	if c.Parsed.Host != "" || !filepath.IsAbs(path) {
		return nil, errors.New("a file's URL has three slashes and an absolute path, such as file:///var/lib/weir/rest.jsonl")
	}
	a := holdAppender(filepath.Clean(path))
	return &file{appender: a, timeout: c.Timeout, release: sync.OnceValue(a.release)}, nil
}

// Send returns OK when the line is on disk. Where the time runs out first the
// line may still be written: it is then there twice after the next attempt.
func (s *file) Send(ctx context.Context, d *Delivery) Outcome {
	o := Outcome{Started: time.Now().UTC()}
	timed := ctx
	if s.timeout > 0 {
		var cancel context.CancelFunc
		timed, cancel = context.WithTimeout(ctx, s.timeout)
		defer cancel()
	}
	err := s.appender.append(timed, appendLine(nil, d.ContentType, d.Body))
	o.Latency = time.Since(o.Started)
	switch {
	case err == nil:
		o.OK = true
	case ctx.Err() != nil:
		o.Reason, o.Error = ReasonStopped, "the router stopped while the file was written"
	case errors.Is(err, context.DeadlineExceeded):
		o.Reason, o.Error = ReasonTimeout, "the file was not written in time"
	default:
		o.Reason, o.Error = ReasonIO, err.Error()
	}
	return o
}

func (s *file) Close() error { return s.release() }

// appenders are the open files by path: destinations that name the same file
// share one, so that their lines do not mix.
var appenders = struct {
	sync.Mutex
	byPath map[string]*appender
}{byPath: map[string]*appender{}}

// appender writes lines to one file. All who wait share one write and one
// flush. It has one goroutine, which runs while the appender is held.
type appender struct {
	path  string
	holds int // under appenders' lock
	lines chan *pending
	done  chan struct{}
	file  *os.File // the goroutine's
	err   error    // of closing; read after done
}

type pending struct {
	line   []byte
	result chan error // of capacity 1: nobody need be there to receive
}

// maxBatch bounds what is written at a time, in lines.
const maxBatch = 256

func holdAppender(path string) *appender {
	appenders.Lock()
	defer appenders.Unlock()
	a := appenders.byPath[path]
	if a == nil {
		a = &appender{path: path, lines: make(chan *pending, maxBatch), done: make(chan struct{})}
		appenders.byPath[path] = a
		go a.run()
	}
	a.holds++
	return a
}

// release closes the file once nobody holds it, and waits for that.
func (a *appender) release() error {
	appenders.Lock()
	a.holds--
	last := a.holds == 0
	if last {
		delete(appenders.byPath, a.path)
	}
	appenders.Unlock()
	if !last {
		return nil
	}
	close(a.lines)
	<-a.done
	return a.err
}

func (a *appender) append(ctx context.Context, line []byte) error {
	p := &pending{line: line, result: make(chan error, 1)}
	select {
	case a.lines <- p:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-p.result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *appender) run() {
	defer close(a.done)
	for first := range a.lines {
		batch := []*pending{first}
		buffer := first.line
	fill:
		for len(batch) < maxBatch {
			select {
			case p, open := <-a.lines:
				if !open {
					break fill
				}
				batch = append(batch, p)
				buffer = append(buffer, p.line...)
			default:
				break fill
			}
		}
		err := a.write(buffer)
		for _, p := range batch {
			p.result <- err
		}
	}
	if a.file != nil {
		a.err = a.file.Close()
	}
}

// write puts whole lines on disk, or none.
func (a *appender) write(lines []byte) error {
	if err := a.reopen(); err != nil {
		return err
	}
	info, err := a.file.Stat()
	if err != nil {
		return fmt.Errorf("look at the file: %w", err)
	}
	if _, err := a.file.Write(lines); err != nil {
		if info.Mode().IsRegular() { // a part of a line would swallow the next one
			err = errors.Join(err, a.file.Truncate(info.Size()))
		}
		return err
	}
	if !info.Mode().IsRegular() {
		return nil // a pipe or device has no disk to flush to
	}
	if err := a.file.Sync(); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	return nil
}

// reopen makes sure that the file is open and still the one at the path: log
// rotation moves it away.
func (a *appender) reopen() error {
	if a.file != nil {
		here, err := os.Stat(a.path)
		if err == nil {
			open, err := a.file.Stat()
			if err == nil && os.SameFile(here, open) {
				return nil
			}
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("look at the file: %w", err)
		}
		if err := a.file.Close(); err != nil {
			return fmt.Errorf("close the file that was moved: %w", err)
		}
		a.file = nil
	}
	f, err := os.OpenFile(a.path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	if err := settle(f); err != nil {
		return errors.Join(err, f.Close())
	}
	a.file = f
	return nil
}

// settle makes a file ready to be appended to: its name survives a power cut,
// and a line that a crash cut off is ended.
func settle(f *os.File) error {
	dir, err := os.Open(filepath.Dir(f.Name()))
	if err != nil {
		return fmt.Errorf("open the folder: %w", err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("flush the folder: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("look at the file: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() == 0 {
		return nil
	}
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, info.Size()-1); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the last byte: %w", err)
	}
	if last[0] == '\n' {
		return nil
	}
	if _, err := f.Write([]byte{'\n'}); err != nil {
		return fmt.Errorf("end the last line: %w", err)
	}
	return nil
}
