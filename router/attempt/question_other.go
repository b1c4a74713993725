//go:build !unix

package attempt

// asks: exchanges are left to package net here.
const asks = false

func (*conn) step(uintptr) bool { return true }
