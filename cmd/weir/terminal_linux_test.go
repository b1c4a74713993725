package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// onTerminal runs a command whose output is a terminal of so many columns, and
// returns what the terminal got (pty(7)).
func onTerminal(t *testing.T, columns int, env []string, args ...string) string {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: uint16(columns)}); err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(weirBinary, args...)
	cmd.Env = append(os.Environ(), append([]string{"TERM=xterm", "NO_COLOR="}, env...)...)
	cmd.Stdout, cmd.Stderr = slave, slave
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	var out bytes.Buffer
	if _, err := io.Copy(&out, master); err != nil && !errors.Is(err, syscall.EIO) { // which is its end
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	return strings.ReplaceAll(out.String(), "\r\n", "\n")
}

// On a terminal a table fits, ids stay whole, states have a colour and long work a
// bar; in a pipe nothing is left out and nothing added.
func TestTerminal(t *testing.T) {
	r, config := configured(t, `
destination "crm" {
  url = "http://127.0.0.1:1/a/path/that/is/so/long/that/no/narrow/terminal/has/room/for/all/of/it"
  retry {
    schedule = ["0s"]
  }
}
route "all" {
  to = [destination.crm]
}
`)
	for i := range 3 {
		status, body := post(t, r.base+"/events", fmt.Sprintf(`{"event":"order.with.a.rather.long.name.of.its.type","event_id":"order-%d","data":1}`, i))
		if status != http.StatusAccepted {
			t.Fatal(status, body)
		}
	}
	await(t, "three dead letters", func() bool {
		out, _, _ := weir(t, t.TempDir(), "dead-letters", "ls", "-c", config)
		return strings.Count(out, "order.with") == 3
	})
	piped, _, _ := weir(t, t.TempDir(), "dead-letters", "ls", "-c", config)
	if strings.Contains(piped, "…") || strings.Contains(piped, "\x1b") || !strings.Contains(piped, "order.with.a.rather.long.name.of.its.type") {
		t.Errorf("in a pipe:\n%s", piped)
	}
	for _, columns := range []int{40, 80, 100, 140} {
		out := onTerminal(t, columns, []string{"NO_COLOR=1"}, "dead-letters", "ls", "-c", config)
		for line := range strings.Lines(out) {
			if n := len([]rune(strings.TrimRight(line, "\n"))); n > columns {
				t.Errorf("a line of %d in %d columns: %s", n, columns, line)
			}
		}
		if strings.Count(out, "dlv_00000000") != 3 || !strings.Contains(out, "…") || strings.Contains(out, "\x1b") {
			t.Errorf("in %d columns:\n%s", columns, out)
		}
	}
	if out := onTerminal(t, 200, nil, "destinations", "ls", "-c", config); !strings.Contains(out, "\x1b[31mfailing\x1b[0m") && !strings.Contains(out, "\x1b[31mopen") {
		t.Errorf("no state is red:\n%q", out)
	}
	if out := onTerminal(t, 100, nil, "dead-letters", "retry", "--all", "-c", config); !strings.Contains(out, "to be sent again") || !strings.Contains(out, "/3") {
		t.Errorf("no bar:\n%q", out)
	}
}

// A shell is offered the names that the running router has, and none where no
// router answers.
func TestCompletion(t *testing.T) {
	r, config := configured(t, `
destination "crm" {
  url = "stdout:"
}
destination "archive" {
  url = "stdout:"
}
route "all" {
  to = [destination.crm]
}
`)
	if status, body := post(t, r.base+"/events", `{"event":"order.paid","event_id":"order-7","data":1}`); status != http.StatusAccepted {
		t.Fatal(status, body)
	}
	await(t, "the delivery", func() bool {
		out, _, _ := weir(t, t.TempDir(), "deliveries", "ls", "-c", config)
		return strings.Contains(out, "delivered")
	})
	for _, c := range []struct {
		args      string
		want, not string
	}{
		{"destinations pause c", "crm\tactive", "archive"},
		{"destinations pause crm ", ":4", "archive"},
		{"events show ", "order-7\torder.paid", "crm"},
		{"explain order", "order-7", "evt_"},
		{"events ls --destination ", "archive", "order-7"},
		{"events ls --type ", "order.paid", "crm"},
		{"replay --to a", "archive", "crm"},
		{"deliveries ls --status d", "dead", "crm"},
		{"destinations ls --status ", "failing", "retrying"},
		{"dead-letters ls --status ", "dead", "waiting"},
		{"deliveries show ", "dlv_", "crm\tactive"},
		{"replay order-7 --routes ", "original", "crm"},
	} {
		args := append([]string{"__complete"}, strings.Split(c.args, " ")...)
		out, errOut, code := weirEnv(t, t.TempDir(), []string{"WEIR_CONFIG=" + config}, args...)
		if code != 0 || !strings.Contains(out, c.want) || strings.Contains(out, c.not) {
			t.Errorf("%s: %d\n%s%s", c.args, code, out, errOut)
		}
	}
	r.stop(t)
	out, _, code := weirEnv(t, t.TempDir(), []string{"WEIR_CONFIG=" + config}, "__complete", "destinations", "pause", "")
	if code != 0 || strings.Contains(out, "crm") || !strings.Contains(out, ":4") {
		t.Errorf("without a router: %d\n%s", code, out)
	}
}
