package router

import (
	"net"
	"testing"
	"time"
)

// BenchmarkDeadlines is what the deadlines of one request cost, without its bytes.
func BenchmarkDeadlines(b *testing.B) {
	for _, way := range []string{"patient", "plain"} {
		b.Run(way, func(b *testing.B) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			if way == "patient" {
				c = newPatientConn(c)
			}
			b.ReportAllocs()
			for b.Loop() {
				now := time.Now()
				for _, err := range [...]error{
					c.SetReadDeadline(now.Add(2 * time.Minute)), c.SetReadDeadline(now.Add(30 * time.Second)), c.SetWriteDeadline(now.Add(time.Minute)),
				} {
					if err != nil {
						b.Fatal(err)
					}
				}
				if p, ok := c.(*patientConn); ok { // what a read and a write add
					p.read.begin()
					if err := p.read.apply(); err != nil {
						b.Fatal(err)
					}
					p.read.end()
					p.write.begin()
					if err := p.write.apply(); err != nil {
						b.Fatal(err)
					}
					p.write.end()
				}
			}
		})
	}
}
