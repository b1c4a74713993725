//go:build !linux

package segment

import "testing"

func blocks(*testing.T, string) int64 { return 0 }
