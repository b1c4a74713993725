//go:build !linux

package badger

// logAdvice is of use on Linux only.
type logAdvice struct{}

func newLogAdvice(string) *logAdvice { return &logAdvice{} }

func (*logAdvice) check() {}
