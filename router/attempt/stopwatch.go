package attempt

import (
	"context"
	"crypto/tls"
	"net/http/httptrace"
	"sync"
	"time"
)

// stopwatch takes the phases of an attempt. The transport may go on dialling
// after the attempt has ended, so everything is under a lock.
type stopwatch struct {
	mu                                   sync.Mutex
	dns, connect, tls, wrote             time.Time // when each began
	dnsTook, connectTook, tlsTook, first time.Duration
	inTLS                                bool
	connected                            bool
}

func (w *stopwatch) trace(ctx context.Context) context.Context {
	locked := func(f func()) {
		w.mu.Lock()
		defer w.mu.Unlock()
		f()
	}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { locked(func() { w.dns = time.Now() }) },
		DNSDone:  func(httptrace.DNSDoneInfo) { locked(func() { w.dnsTook = time.Since(w.dns) }) },
		// Two addresses may be tried at the same time: from the first start to
		// the last end.
		ConnectStart: func(string, string) {
			locked(func() {
				if w.connect.IsZero() {
					w.connect = time.Now()
				}
			})
		},
		ConnectDone:       func(string, string, error) { locked(func() { w.connectTook = time.Since(w.connect) }) },
		TLSHandshakeStart: func() { locked(func() { w.tls, w.inTLS = time.Now(), true }) },
		TLSHandshakeDone: func(_ tls.ConnectionState, err error) {
			locked(func() { w.tlsTook, w.inTLS = time.Since(w.tls), err != nil })
		},
		GotConn:      func(httptrace.GotConnInfo) { locked(func() { w.connected = true }) },
		WroteRequest: func(httptrace.WroteRequestInfo) { locked(func() { w.wrote = time.Now() }) },
		GotFirstResponseByte: func() {
			locked(func() {
				if !w.wrote.IsZero() { // an answer may come before the request is out
					w.first = time.Since(w.wrote)
				}
			})
		},
	})
}

func (w *stopwatch) phases() Phases {
	w.mu.Lock()
	defer w.mu.Unlock()
	return Phases{DNS: w.dnsTook, Connect: w.connectTook, TLS: w.tlsTook, FirstByte: w.first}
}

// handshaking reports whether the attempt ended inside of a TLS handshake.
func (w *stopwatch) handshaking() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.inTLS && !w.connected
}

// reached reports whether there was a connection to send on.
func (w *stopwatch) reached() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.connected
}
