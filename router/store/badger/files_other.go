//go:build !(linux || darwin || freebsd)

package badger

func filesShort() bool { return false }
